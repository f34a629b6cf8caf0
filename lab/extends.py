"""Descriptions (scenarios, guest tests) that extend others: what several have in common stands once.

    extends = "other"               # or several: ["other", "another"], each on top of the one before
    kernel_args = ["...", "mem=1G"] # a list stands for the other's, which "..." puts in
    memory = "2G"                   # and so does everything else
    [devices]                       # but tables, to which entries are added
    dsa1 = "dsa0,id=dsa1,pri=off"   # an entry may begin with the name of one that is there: a copy with
    iommu = "iommu,x-pss=7"         # options that are added, or changed where they stand
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def load(directory: Path, name: str, below: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `directory`/`name`.toml says on top of `below`, and of what it extends."""
    whole = dict(below or {})
    said = tomllib.loads((directory / f"{name}.toml").read_text())
    others = said.pop("extends", [])
    for other in [others] if isinstance(others, str) else others:
        whole = load(directory, other, whole)
    for key, value in said.items():
        if isinstance(value, dict):
            value = entries(whole.get(key, {}), value)
        elif isinstance(value, list):
            value = [word for item in value for word in (whole.get(key, []) if item == "..." else [item])]
        whole[key] = value
    return whole


def entries(there: dict[str, str], added: dict[str, str]) -> dict[str, str]:
    whole = dict(there)
    for name, text in added.items():
        first, *options = text.split(",")
        words = [*whole.get(first, first).split(","), *options]
        whole[name] = ",".join({word.partition("=")[0]: word for word in words}.values())
    return whole
