"""Results of tests, their words, and the summary that ends a run."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Result:
    name: str
    word: str  # pass, skip, or one of the many ways to be red: fail, missing, splat, leak, ...
    detail: str = ""


@dataclass
class Tier:
    name: str
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, *words: str) -> int:
        return sum(result.word in words for result in self.results)

    @property
    def red(self) -> list[Result]:
        return [result for result in self.results if result.word not in ("pass", "skip")]


class AllowedSkips:
    """tests/allowed-skips.txt: 'regular expression of tier and name: reason'. Any other skip is red."""

    def __init__(self, file: Path) -> None:
        lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
        self.patterns = [re.compile(line.split(": ", 1)[0]) for line in lines]

    def judge(self, tier: str, result: Result) -> Result:
        if result.word != "skip" or any(pattern.fullmatch(f"{tier} {result.name}") for pattern in self.patterns):
            return result
        return Result(result.name, "unexpected-skip", result.detail)


def show(text: str) -> None:
    print(text, flush=True)


def show_result(result: Result, passed: bool = False) -> None:
    """Say how a test went, if it has to be said."""
    if passed or result.word != "pass":
        show(f"  {result.word:<16} {result.name}{': ' + result.detail if result.detail else ''}")


def summary(tiers: list[Tier], started: float) -> int:
    """Print the closing block; the exit status of the whole run."""
    show("\n== Summary")
    for tier in tiers:
        words: dict[str, int] = {}
        for result in tier.results:
            words[result.word] = words.get(result.word, 0) + 1
        counts = ", ".join(f"{count} {word}" for word, count in sorted(words.items(), key=lambda item: item[0] != "pass"))
        show(f"  {tier.name:<8} {tier.seconds:6.0f} s   {counts or 'nothing ran'}")
    red = [(tier, result) for tier in tiers for result in tier.red]
    if red:
        show("\nNot passed:")
        for tier, result in red:
            show(f"  {tier.name}: {result.name}: {result.word}{': ' + result.detail if result.detail else ''}")
    passed, skipped = (sum(tier.count(word) for tier in tiers) for word in ("pass", "skip"))
    show(f"\nTook {(time.monotonic() - started) / 60:.1f} minutes; evidence in build/results.")
    show(f"{passed} passed, {len(red)} failed, {skipped} skipped")
    sys.stdout.flush()
    return 1 if red or not passed else 0
