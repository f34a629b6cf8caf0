#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the benchmark programs in turn and compare them.

Each round runs every program once, so that whatever else the machine does falls
on all of them; core and stock take turns with what both can do, as neither the CPU
nor its caches are theirs alone.  Printed are the medians of the rounds
with the least and the most, and the goals.  A ratio is the median of the ratios of
what was measured side by side in this run, never in another.
"""

import argparse
import os
import socket
import subprocess
import sys
from statistics import median

# Of each round, the repetitions
Figures = dict[str, list[list[float]]]
# Of a round
Round = dict[str, list[float]]
TAKE_TURNS = ("core", "stock")
# A second time, only allocating and freeing: with each id charged to a cgroup
CHARGED = ("charged", "stock")

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
        f"find_beside_spid_{live}", 1.5) for live in (10, 1000, 100000, 1000000)]
    + [("free_all of 1M beside 100k, per id", "free_all_1000000", "core",
        "free_all_100000", 1.5)]
)
BYTES_GOAL = 100 * 2**20 / 1e6


def parse(out: str) -> Round:
    """The figures that a program printed."""
    figures: Round = {}
    for line in out.splitlines():
        name, value = line.split()
        figures.setdefault(name, []).append(float(value))
    return figures


def run_turns(programs: dict[str, str], names: tuple[str, ...],
              **environment: str) -> dict[str, Round]:
    """Two programs that take turns."""
    ends = socket.socketpair()
    # The first one's turn
    ends[1].send(b"\0")
    running = {}
    for name, end in zip(names, ends):
        running[name] = subprocess.Popen(
            [programs[name]], stdout=subprocess.PIPE, text=True, pass_fds=[end.fileno()],
            env=os.environ | environment | {"BENCH_TURNS": str(end.fileno())})
    for end in ends:
        end.close()
    figures = {}
    for name, process in running.items():
        figures[name] = parse(process.communicate()[0])
        if process.returncode:
            sys.exit(f"{programs[name]} ended with {process.returncode}")
    return figures


def run(programs: dict[str, str]) -> dict[str, Round]:
    """One round."""
    figures = run_turns(programs, TAKE_TURNS)
    charged = run_turns(programs, CHARGED, BENCH_PAIRS="1")
    figures["charged"] = charged["charged"]
    figures["stock beside charged"] = charged["stock"]
    ida = subprocess.run([programs["ida"]], check=True, stdout=subprocess.PIPE, text=True)
    figures["ida"] = parse(ida.stdout)
    return figures


def least(rounds: list[list[float]]) -> list[float]:
    """Of each round."""
    return [min(values) for values in rounds]


def cell(rounds: list[list[float]] | None) -> str:
    """Median [min max], or nothing."""
    if not rounds:
        return f"{'-':>24}"
    values = least(rounds)
    return f"{median(values):8.1f} [{min(values):6.1f} {max(values):6.1f}]"


def ratio(mine: list[list[float]], theirs: list[list[float]]) -> float:
    """How much we take of what they take, side by side."""
    return median(m / t for our, their in zip(mine, theirs) for m, t in zip(our, their))


def ratio_cell(mine: list[list[float]], theirs: list[list[float]] | None) -> str:
    """The ratio, or nothing."""
    if not theirs or not median(least(theirs)):
        return f"{'-':>6}"
    return f"{ratio(mine, theirs):6.2f}"


def print_figures(results: dict[str, Figures]) -> None:
    """All figures side by side, then how they compare."""
    core, stock, ida = (results.get(n, {}) for n in ("core", "stock", "ida"))
    print(f"{'ns, median [min max]':30} {'this core':>24} {'6.1 ioasid.c':>24} "
          f"{'IDA':>24} {'/6.1':>6} {'/IDA':>6}")
    for name, values in core.items():
        print(f"{name:30} {cell(values)} {cell(stock.get(name))} "
              f"{cell(ida.get(name))} {ratio_cell(values, stock.get(name))} "
              f"{ratio_cell(values, ida.get(name))}")


def print_charged(results: dict[str, Figures]) -> None:
    """What it is with a charge, beside a 6.1 that has none."""
    theirs = results["stock beside charged"]
    print("\nEach id charged to a cgroup below the root")
    for name, values in results["charged"].items():
        if name.startswith("pair"):
            print(f"{name:30} {cell(values)} {cell(theirs[name])} {'':>24} "
                  f"{ratio_cell(values, theirs[name])}")


def print_goals(results: dict[str, Figures]) -> int:
    """Returns how many were missed."""
    missed = 0
    print("\nGoals")
    for title, figure, peer, other, limit in GOALS:
        got = ratio(results["core"][figure], results[peer][other])
        missed += got > limit
        print(f"{'MISSED' if got > limit else 'ok':7} {title:45} "
              f"{got:5.2f} <= {limit:4.2f} of "
              f"{'6.1' if peer == 'stock' else 'find' if 'SPID' in title else '100k'}")
    got = median(least(results["core"]["bytes_1000000"]))
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
    programs = {program.rsplit("-", 1)[-1]: program for program in args.programs}
    for _ in range(args.rounds):
        for name, figures in run(programs).items():
            for figure, values in figures.items():
                results.setdefault(name, {}).setdefault(figure, []).append(values)
    print_figures(results)
    print_charged(results)
    print("\nCPU time of the thread; waiting for a grace period is not in it.")
    missed = print_goals(results)
    print(f"\n{missed} goals missed")
    return 1 if missed and args.strict else 0


if __name__ == "__main__":
    sys.exit(main())
