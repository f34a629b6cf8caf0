"""lab/kernels.toml, the one description of the lab's kernels.

    python3 -m lab.kernels          # lists them
    python3 -m lab.kernels NAME     # for scripts/build-kernel: shell variables
"""

from __future__ import annotations

import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .machine import BUILD, ROOT


@dataclass(frozen=True)
class Kernel:
    name: str
    about: str
    fragments: list[str]
    minutes: int
    tree: str = "series"
    builder: str = "build-kernel"
    margin: int = 60
    slow: int = 1
    tier: str = ""
    runs: str = ""
    on_request: bool = False

    @property
    def source(self) -> Path:
        return BUILD / ("linux" if self.tree == "series" else f"{self.name}/linux")

    @property
    def objects(self) -> Path:
        """Where bzImage, modules/ and .config are."""
        return BUILD / (f"kernel-{self.name}" if self.tree == "series" else f"{self.name}/kernel")

    @property
    def configs(self) -> list[Path]:
        return [ROOT / "lab/configs" / fragment for fragment in self.fragments]

    def built(self) -> Path:
        """Its objects, which must be there."""
        if not (self.objects / "bzImage").exists():
            raise SystemExit(f"the {self.name} kernel is not built: scripts/{self.builder} {self.name}")
        return self.objects


KERNELS = {name: Kernel(name, **fields)
           for name, fields in tomllib.loads((ROOT / "lab/kernels.toml").read_text()).items()}
# Those that a guest can boot
BOOTABLE = {name: kernel for name, kernel in KERNELS.items() if kernel.builder != "kunit.py"}


def one(name: str) -> Kernel:
    if name not in BOOTABLE:
        raise SystemExit(f"no kernel '{name}'; there are: {', '.join(BOOTABLE)}")
    return BOOTABLE[name]


def main() -> None:
    if len(sys.argv) < 2:
        print("\n".join(f"  {kernel.name:7} {kernel.about}" for kernel in BOOTABLE.values()))
        return
    kernel = one(sys.argv[1])
    for name in ("tree", "builder", "source", "objects", "minutes"):
        print(f"{name}={shlex.quote(str(getattr(kernel, name)))}")
    print(f"fragments=({shlex.join(map(str, kernel.configs))})")


if __name__ == "__main__":
    main()
