"""Run tiers of tests; print a summary and, last, the line 'N passed, N failed, N skipped'.

Without a tier it runs all of them, but not what is on request: neither tiers nor, of a tier, guest tests. Exit 1 when
anything is red: see lab/judge.py and docs/TESTING.md for the words.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import traceback
from functools import partial

from lab import steps
from lab.guesttest import GuestTest
from lab.kernels import KERNELS
from lab.machine import ROOT
from lab.report import AllowedSkips, Result, Tier, show, show_result, summary

from . import declared, tiers


def run_tier(name: str, skips: AllowedSkips, kernel: str = "", only: str = "", asked: bool = True) -> Tier:
    """A tier, or of the guest tests of `kernel` the one that is named. Was it asked for, by its name?"""
    function, groups, about = tiers.TIERS[name]
    if only:
        function, about = partial(tiers.guest, kernel, only), f"{only} on {kernel}"
    elif not asked and name in tiers.GUESTS:
        function = partial(function, asked=False)
    show(f"\n== {name}: {about}")
    tier = Tier(name)
    start = time.monotonic()
    outside = dict(os.environ)
    try:
        if os.environ.get("QEMU") and function is not tiers.qtest:
            groups = tuple(group for group in groups if group != "qemu")
        steps.script(ROOT / "scripts/deps", *groups)
        declared.enter(groups)
        for result in function():
            tier.results.append(skips.judge(name, result))
            show_result(tier.results[-1], passed=bool(only))
    except steps.StepFailed as failed:
        tier.results.append(Result(failed.what, "fail", failed.detail))
        show_result(tier.results[-1])
    except subprocess.CalledProcessError as failed:
        said = "".join(text for text in (failed.stdout, failed.stderr) if isinstance(text, str))
        failed_step = steps.StepFailed(" ".join(map(str, failed.cmd)), failed.returncode, said)
        tier.results.append(Result(failed_step.what, "fail", failed_step.detail))
        show_result(tier.results[-1])
    except (Exception, SystemExit) as error:  # a broken tier must not hide the others
        traceback.print_exc()
        tier.results.append(Result("the tier itself", "fail", str(error)))
    finally:
        os.environ.clear()
        os.environ.update(outside)
    tier.seconds = time.monotonic() - start
    show(f"  {tier.count('pass')} passed, {len(tier.red)} failed, {tier.count('skip')} skipped in {tier.seconds:.0f} s")
    return tier


def headers() -> Tier:
    """What was compiled took its headers from packages that scripts/deps names, too."""
    foreign = declared.foreign_headers(tiers.GROUPS)
    tier = Tier("headers", [Result("each is of a package that scripts/deps names", "fail" if foreign else "pass",
                                   "\n      ".join(foreign[:steps.LAST_LINES]))])
    show_result(tier.results[0])
    return tier


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tier", nargs="*", metavar="tier",
                        help=f"what to run: {', '.join(tiers.TIERS)} (default: all, in this order, "
                             f"but {', '.join(tiers.ON_REQUEST)})")
    parser.add_argument("--all", action="store_true", help="all that there is, with what is on request: half a day")
    parser.add_argument("--test", metavar="NAME", help="one test of lab/guest-tests instead, on each of its kernels")
    parser.add_argument("--kernel", metavar="NAME", help="with --test: on this one of them")
    args = parser.parse_args()
    chosen = list(tiers.TIERS) if args.all else args.tier or [name for name in tiers.TIERS if name not in tiers.ON_REQUEST]
    if unknown := set(chosen) - set(tiers.TIERS):
        parser.error(f"no such tier: {', '.join(sorted(unknown))}")
    started = time.monotonic()
    skips = AllowedSkips(ROOT / "tests/allowed-skips.txt")
    if args.test is not None:
        test = GuestTest.named(args.test)
        if args.kernel:
            test.check(args.kernel)
        on = [args.kernel] if args.kernel else test.kernels
        return summary([run_tier(KERNELS[kernel].tier, skips, kernel, test.name) for kernel in on], started)
    asked = bool(args.all or args.tier)
    return summary([*(run_tier(name, skips, asked=asked) for name in chosen), headers()], started)


if __name__ == "__main__":
    sys.exit(main())
