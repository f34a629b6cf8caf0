"""Read test results in KTAP or TAP: version 1, 13 or 14, nested by indentation.

(Documentation/dev-tools/ktap.rst.) A test that a plan announced and that never reported is a
result too: the word for it is "missing".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

RESULT = re.compile(r"(not )?ok (\d+)\s*(?:- )?([^#]*?)\s*(?:#\s*(.*))?$")
PLAN = re.compile(r"1\.\.(\d+)")
SUBTEST = re.compile(r"# Subtest: (.+)")
# Kernel log prefixes: level and time.
PREFIX = re.compile(r"^(<\d+>)?(\[ *\d+\.\d+\](\[[^\]]*\])? )?")


@dataclass
class Test:
    name: str
    word: str  # pass, fail, skip, missing
    detail: str = ""


@dataclass
class _Level:
    indent: int
    name: str = ""
    plan: int | None = None
    seen: int = 0
    children: list[Test] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def finish(self) -> list[Test]:
        for number in range(self.seen, self.plan or 0):
            self.children.append(Test(f"test {number + 1} of {self.plan}", "missing", "planned, but did not report"))
        return self.children


def parse(text: str) -> list[Test]:
    """The leaves of the tree of tests; a leaf's name is its path, joined with '.'"""
    levels = [_Level(-1)]
    done: list[Test] = []  # finished children waiting for their parent's result line
    for line in text.replace("\r", "").splitlines():
        line = PREFIX.sub("", line, count=1)
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        if not re.match(r"(not )?ok \d|1\.\.\d|K?TAP version|# ", stripped):
            continue
        if stripped.startswith("# ") and not SUBTEST.match(stripped):
            if levels[-1].indent == indent:
                levels[-1].notes.append(stripped[2:])
            continue
        while levels[-1].indent > indent:
            done = _close(levels, done)
        if levels[-1].indent < indent:
            levels.append(_Level(indent))
        level = levels[-1]
        if plan := PLAN.match(stripped):
            level.plan = int(plan[1])
        elif match := RESULT.match(stripped):
            level.seen += 1
            done = _result(level, match, done)
    while len(levels) > 1:
        done = _close(levels, done)
    return done


def _result(level: _Level, match: re.Match[str], subtests: list[Test]) -> list[Test]:
    name, note = match[3] or f"test {match[2]}", match[4] or ""
    if subtests:
        if match[1] and all(test.word in ("pass", "skip") for test in subtests):
            subtests.append(Test("(as a whole)", "fail", "; ".join(level.notes)))
        level.children += [Test(f"{name}.{test.name}", test.word, test.detail) for test in subtests]
    else:
        skipped = note.upper().startswith("SKIP")
        word = "skip" if skipped else "fail" if match[1] else "pass"
        detail = note[4:].strip() if skipped else "; ".join(level.notes[-3:]) or note if word == "fail" else ""
        level.children.append(Test(name, word, detail))
    level.notes = []
    return []


def _close(levels: list[_Level], pending: list[Test]) -> list[Test]:
    level = levels.pop()
    return pending + level.finish()


def planned(text: str) -> Iterator[int]:
    """Every plan in the text; a text without one proves nothing."""
    for line in text.splitlines():
        if plan := PLAN.fullmatch(PREFIX.sub("", line, count=1).strip()):
            yield int(plan[1])
