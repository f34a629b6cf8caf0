"""The guest's initial file system: busybox, PID 1, the kernel's modules, and the job.

Written directly in the "newc" cpio format, so that neither root nor cpio is needed.
"""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from pathlib import Path
from typing import IO

from . import steps
from .machine import ROOT

BUSYBOX = Path("/bin/busybox")
LIBRARY = ROOT / "lab/guest/lib"  # headers and scripts that programs of several folders share
INTERFACES = ROOT / "include/uapi/linux"  # of the kernel, as the series adds them


class Cpio:
    """A "newc" archive (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.inode = 0
        self.made: set[str] = set()

    def _entry(self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % value for value in fields) + encoded
        self.out.write(header + b"\0" * (-len(header) % 4))
        self.out.write(content + b"\0" * (-len(content) % 4))

    def directory(self, name: str) -> None:
        for parent in [*reversed(Path(name).parents), Path(name)]:
            if str(parent) != "." and str(parent) not in self.made:
                self.made.add(str(parent))
                self._entry(str(parent), stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, content)

    def copy(self, name: str, source: Path) -> None:
        self.file(name, source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def tree(self, name: str, source: Path) -> None:
        for file in sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink()):
            self.copy(f"{name}/{file.relative_to(source)}", file)

    def link(self, name: str, to: str) -> None:
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, to.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def end(self) -> None:
        self.inode = -1
        self._entry("TRAILER!!!", 0)


def needs_interpreter(program: Path) -> bool:
    """Is this an ELF program that needs a dynamic linker, which the guest does not have?"""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    PT_INTERP = 3
    return any(struct.unpack_from("<I", data, offset + size * i)[0] == PT_INTERP for i in range(count))


def build_program(source: Path, build: Path) -> Path:
    """Compile PID 1, or another C file of the guest, when it or what it may include is newer than the program."""
    program = build / "guest" / source.stem
    included = [*LIBRARY.parent.rglob("*.h"), *INTERFACES.glob("*.h"), *(ROOT / "tools/iommu").rglob("*.c")]
    newest = max(file.stat().st_mtime for file in (source, *included))
    if not program.exists() or program.stat().st_mtime < newest:
        program.parent.mkdir(parents=True, exist_ok=True)
        temporary = program.with_suffix(f".{os.getpid()}")
        steps.logged(f"building {source.name}", build / f"log/guest-{source.stem}.log",
                     ["gcc", "-static", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Werror",
                      f"-I{LIBRARY}", "-idirafter", INTERFACES.parent, "-o", temporary, source])
        temporary.rename(program)
    return program


def write(target: Path, init: Path, modules: Path, argv: list[str], files: dict[str, Path],
          timeout: int, shell: bool) -> None:
    """Write the initial file system for one job; files maps guest paths to host files or directories."""
    with target.open("wb") as out:
        cpio = Cpio(out)
        for name in ("proc", "sys", "dev", "tmp", "run", "lab/bin", "sbin", "usr/bin", "usr/sbin"):
            cpio.directory(name)
        cpio.device("dev/console", 5, 1)
        cpio.copy("init", init)
        cpio.copy("bin/busybox", BUSYBOX)
        applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                cpio.link(f"bin/{applet}", "busybox")
        cpio.link("sbin/modprobe", "../bin/busybox")
        cpio.tree("lib/modules", modules / "lib/modules")
        for name, source in sorted(files.items()):
            cpio.tree(name, source) if source.is_dir() else cpio.copy(name, source)
        cpio.file("lab/job/argv", b"".join(arg.encode() + b"\0" for arg in argv))
        cpio.file("lab/job/timeout", b"0" if shell else b"%d" % timeout)
        if shell:
            cpio.file("lab/job/shell", b"")
        cpio.end()
