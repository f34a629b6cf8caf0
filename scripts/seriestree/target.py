"""What can be patched (the kernel, QEMU): where its parts stand in the repository and under build/."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .patchfile import FormatError, PatchFile

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD") or ROOT / "build").resolve()

# The top directories of the kernel in which the repository's root holds overlay files.
KERNEL_ROOTS = ("Documentation", "arch", "drivers", "include", "kernel", "lib", "mm", "tools")


class Stop(Exception):
    """Something the user must settle; the message says what."""


def say(text: str) -> None:
    print(f"[{Path(sys.argv[0]).name}] {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Target:
    name: str
    directory: str
    patches: Path
    overlay: Path
    roots: tuple[str, ...]

    @property
    def tree(self) -> Path:
        return BUILD / self.directory

    @property
    def state_file(self) -> Path:
        return BUILD / f"{self.directory}.state.json"

    def series_names(self) -> list[str]:
        file = self.patches / "series"
        lines = file.read_text().splitlines() if file.exists() else []
        names = [line for line in lines if line and not line.startswith("#")]
        for name in names:
            if not (self.patches / name).exists():
                raise Stop(f"{file.relative_to(ROOT)} names {name}, which does not exist")
        return names

    def overlay_files(self) -> list[str]:
        """The overlay files there are: all that git tracks or would track below the overlay's roots."""
        roots = [root for root in self.roots if (self.overlay / root).exists()]
        if not roots:
            return []
        listing = subprocess.run(
            ["git", "-C", self.overlay, "ls-files", "-z", "-c", "-o", "--exclude-standard", "--", *roots],
            check=True, capture_output=True).stdout.decode()
        return sorted({name for name in listing.split("\0") if name and (self.overlay / name).exists()})

    def load_series(self) -> list[tuple[str, PatchFile]]:
        """The patches in order; refuses unless each overlay file is claimed by exactly one of them."""
        claimed: dict[str, str] = {}
        series = []
        names = self.series_names()
        stray = {file.name for file in self.patches.glob("*.patch")} - set(names)
        if stray:
            raise Stop(f"not in {self.patches.name}/series: {', '.join(sorted(stray))}")
        for name in names:
            patch = PatchFile.parse(self.patches / name)
            for path in patch.overlay:
                if path in claimed:
                    raise Stop(f"{path} is claimed by {claimed[path]} and by {name}")
                claimed[path] = name
            series.append((name, patch))
        there = set(self.overlay_files())
        if unclaimed := sorted(there - set(claimed)):
            raise Stop("no patch claims these files (add 'Overlay: A <path>' below the '---' of one): "
                       + " ".join(unclaimed))
        if missing := sorted(set(claimed) - there):
            raise Stop("claimed by a patch, but not in the repository: " + " ".join(missing))
        return series

    def repo_hash(self) -> str:
        """A stamp of everything the series is made from."""
        digest = hashlib.sha256()
        prefix = f"{self.name.upper()}_"
        for line in (ROOT / "pins.mk").read_text().splitlines():
            if line.startswith(prefix):
                digest.update(line.encode() + b"\n")
        files = [self.patches / name for name in self.series_names()]
        files += [self.overlay / name for name in self.overlay_files()]
        for file in files:
            content = file.read_bytes()
            executable = os.access(file, os.X_OK)
            digest.update(f"{file.name}\0{executable}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def load_state(self) -> dict[str, str]:
        return json.loads(self.state_file.read_text()) if self.state_file.exists() else {}

    def save_state(self, **changes: str) -> None:
        temporary = self.state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps({**self.load_state(), **changes}, indent=1) + "\n")
        temporary.rename(self.state_file)


TARGETS = {
    "kernel": Target("kernel", "linux", ROOT / "patches", ROOT, KERNEL_ROOTS),
    "qemu": Target("qemu", "qemu", ROOT / "qemu/patches", ROOT / "qemu/files", (".",)),
}


def main_wrapper(function) -> None:
    """Run a command's main(); turn what the user must settle into one line and exit 1."""
    try:
        sys.exit(function())
    except (Stop, FormatError) as stop:
        say(f"error: {stop}")
    except subprocess.CalledProcessError as failed:
        detail = failed.stderr.decode(errors="replace").strip() if failed.stderr else ""
        say(f"error: {' '.join(map(str, failed.cmd[:6]))} ... exited {failed.returncode}\n{detail}")
    sys.exit(1)
