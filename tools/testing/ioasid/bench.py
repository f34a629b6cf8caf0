#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the benchmark programs in turn and compare them.

Each round runs every program once, so that whatever else the machine does falls
on all of them.  Printed are the medians with the least and the most of all
rounds, and the goals: a goal compares medians of this run, never of another.
"""

import argparse
import subprocess
import sys
from statistics import median

Figures = dict[str, list[float]]

# (title, figure, of what, other figure, limit): figure <= limit * other figure
Goal = tuple[str, str, str, str, float]
GOALS: list[Goal] = (
    [(f"alloc+free, {how}, {live} live", f"pair_{how}_{live}", "stock",
      f"pair_{how}_{live}", 1.5)
     for how in ("last", "random") for live in (1000, 1000000)]
    + [(f"{kind}, {live} live", f"{kind}_{live}", "stock", f"{kind}_{live}", 1.05)
       for kind in ("find", "find_dependent", "find_miss")
       for live in (1000, 100000, 1000000)]
    + [(f"SPID find beside find, {live} live", f"spid_find_{live}", "core",
        f"find_{live}", 1.5) for live in (10, 1000, 100000, 1000000)]
    + [("free_all of 1M beside 100k, per id", "free_all_1000000", "core",
        "free_all_100000", 1.5)]
)
BYTES_GOAL = 100 * 2**20 / 1e6


def run(program: str) -> dict[str, float]:
    """One round of one program."""
    out = subprocess.run([program], check=True, capture_output=True, text=True)
    pairs = (line.split() for line in out.stdout.splitlines())
    return {name: float(value) for name, value in pairs}


def cell(values: list[float] | None) -> str:
    """Median [min max], or nothing."""
    if not values:
        return f"{'-':>24}"
    return f"{median(values):8.1f} [{min(values):6.1f} {max(values):6.1f}]"


def ratio(mine: list[float], theirs: list[float] | None) -> str:
    """How much we take of what they take."""
    if not theirs or not median(theirs):
        return f"{'-':>6}"
    return f"{median(mine) / median(theirs):6.2f}"


def print_figures(results: dict[str, Figures]) -> None:
    """All figures side by side, then how they compare."""
    core, stock, ida = (results.get(n, {}) for n in ("core", "stock", "ida"))
    print(f"{'ns, median [min max]':30} {'this core':>24} {'6.1 ioasid.c':>24} "
          f"{'IDA':>24} {'/6.1':>6} {'/IDA':>6}")
    for name, values in core.items():
        print(f"{name:30} {cell(values)} {cell(stock.get(name))} "
              f"{cell(ida.get(name))} {ratio(values, stock.get(name))} "
              f"{ratio(values, ida.get(name))}")


def print_goals(results: dict[str, Figures]) -> int:
    """Returns how many were missed."""
    missed = 0
    print("\nGoals")
    for title, figure, peer, other, limit in GOALS:
        if peer not in results:
            continue
        got = median(results["core"][figure]) / median(results[peer][other])
        missed += got > limit
        print(f"{'MISSED' if got > limit else 'ok':7} {title:45} "
              f"{got:5.2f} <= {limit:4.2f} of "
              f"{'6.1' if peer == 'stock' else 'find' if 'SPID' in title else '100k'}")
    got = median(results["core"]["bytes_1000000"])
    missed += got > BYTES_GOAL
    print(f"{'MISSED' if got > BYTES_GOAL else 'ok':7} "
          f"{'bytes per id, 1000000 ids':45} {got:5.1f} <= {BYTES_GOAL:4.1f}")
    return missed


def main() -> int:
    """Measure, print, and say by the exit status whether all goals were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="+", help="bench-core, bench-stock, ...")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strict", action="store_true",
                        help="exit with 1 when a goal is missed")
    args = parser.parse_args()

    results: dict[str, Figures] = {}
    for _ in range(args.rounds):
        for program in args.programs:
            figures = results.setdefault(program.rsplit("-", 1)[-1], {})
            for name, value in run(program).items():
                figures.setdefault(name, []).append(value)
    print_figures(results)
    print("\nCPU time of the thread; waiting for a grace period is not in it.")
    missed = print_goals(results)
    print(f"\n{missed} goals missed")
    return 1 if missed and args.strict else 0


if __name__ == "__main__":
    sys.exit(main())
