"""The mutants of the series, and which of its files the tests in user space compile."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from .target import ROOT

HARNESS = ROOT / "tools/testing/ioasid/Makefile"


def load_mutants() -> list[dict[str, str]]:
    """Every mutant of tests/mutants, with the keys of scripts/mutate."""
    return [mutant for file in sorted((ROOT / "tests/mutants").glob("*.toml"))
            for mutant in tomllib.loads(file.read_text())["mutation"]]


def in_user_space(path: str) -> bool:
    """Is this file of the core compiled into the tests of tools/testing/ioasid?"""
    return HARNESS.exists() and bool(
        re.fullmatch(r"drivers/iommu/.*\.c", path)
        and re.search(rf"\s{re.escape(Path(path).stem)}\.o\b", HARNESS.read_text()))
