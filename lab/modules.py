"""Modules of the lab's own: one C file beside the guest's programs, built for one of the lab's kernels."""

from __future__ import annotations

from pathlib import Path

from . import steps
from .machine import BUILD


def build(source: Path, kernel: str, objects: Path) -> Path:
    """Build it against the objects of this kernel; make knows when there is nothing to do."""
    directory = BUILD / f"modules/{kernel}/{source.stem}"
    directory.mkdir(parents=True, exist_ok=True)
    files = {"Makefile": f"obj-m := {source.stem}.o\nccflags-y := -I{source.parent}\n", source.name: source.read_text()}
    for name, text in files.items():
        # Not touched when it is the same: nothing is built again then
        if not (directory / name).exists() or (directory / name).read_text() != text:
            (directory / name).write_text(text)
    steps.logged(f"building {source.name} for the kernel {kernel}", BUILD / f"log/module-{source.stem}-{kernel}.log",
                 ["make", "-s", "-C", objects, f"M={directory}", "modules"])
    return directory / f"{source.stem}.ko"
