"""What a machine has on which only the packages that scripts/deps names were installed.

The tests see no other programs than these: a folder of links in build/declared, made from dpkg's own lists. So a
package that scripts/deps forgets is missed on every machine, not only on a bare one. /usr/local is not in it.

    python3 -m tests.declared GROUP...      make the folder for these groups of scripts/deps and print it
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.machine import BUILD, ROOT

# As in root's PATH: of two programs of a name the first one is taken
DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
# What a bare machine has, and what README's reader brings
ROOTS = ("make", "git")
RANKS = ("required", "important", "standard", "optional", "extra")
# Other ways to bring something in that is not in the folder
VARIABLES = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PERL5LIB",
             "PKG_CONFIG_PATH")


@dataclass
class Package:
    name: str
    essential: bool = False
    rank: int = len(RANKS)
    depends: list[list[str]] = field(default_factory=list)  # one of each
    provides: list[str] = field(default_factory=list)


def names(text: str) -> list[str]:
    """Of 'a (>= 1) | b:any', the names."""
    return [re.split(r"[\s(:\[]", word.strip(), maxsplit=1)[0] for word in text.split("|")]


class Dpkg:
    """The package state of a machine, as dpkg keeps it below ROOT (deb(5), dpkg-query(1), update-alternatives(1))."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.admin = root / "var/lib/dpkg"
        self.packages: dict[str, Package] = {}
        self.providers: dict[str, list[Package]] = {}
        for paragraph in (self.admin / "status").read_text().split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", paragraph, re.MULTILINE))
            if not fields.get("Status", "").endswith(" installed"):
                continue
            wanted = ", ".join(filter(None, (fields.get("Depends"), fields.get("Pre-Depends"))))
            package = self.packages.setdefault(fields["Package"], Package(fields["Package"]))
            package.essential |= fields.get("Essential") == "yes"
            if fields.get("Priority") in RANKS:
                package.rank = RANKS.index(fields["Priority"])
            package.depends += [names(part) for part in wanted.split(",") if part.strip()]
            package.provides += [name for part in fields.get("Provides", "").split(",") for name in names(part) if name]
        for package in self.packages.values():
            for name in package.provides:
                self.providers.setdefault(name, []).append(package)

    def one_of(self, alternatives: list[str], chosen: Iterable[str]) -> Package | None:
        """What stands for a dependency on a bare machine: the first that is there, and of providers the most basic."""
        for name in alternatives:
            if name in self.packages:
                return self.packages[name]
        for name in alternatives:
            if found := self.providers.get(name):
                return min(found, key=lambda package: (package.name not in chosen, package.rank, package.name))
        return None

    def closure(self, wanted: Iterable[str]) -> set[str]:
        """These packages, Debian's essential ones, and what they depend on."""
        chosen: set[str] = set()
        virtual: list[list[str]] = []
        todo = [[name] for name in wanted] + [[name] for name, package in self.packages.items() if package.essential]
        while todo or virtual:
            # What is named first, so that of several providers one is taken that is there anyway
            alternatives = todo.pop() if todo else virtual.pop()
            if todo and not any(name in self.packages for name in alternatives):
                virtual.append(alternatives)
                continue
            package = self.one_of(alternatives, chosen)
            if package and package.name not in chosen:
                chosen.add(package.name)
                todo += package.depends
        return chosen

    def merged(self, path: str) -> str:
        """The path with /bin, /lib ... in /usr, where the machine has it so."""
        top = path.split("/", 2)[1]
        return f"/usr{path}" if top != "usr" and (self.root / top).is_symlink() else path

    def files(self, package: str) -> Iterator[tuple[str, str]]:
        """What the package installs: the name it knows, and where that is, should another package have moved it."""
        moved = self.diversions()
        lists = [self.admin / f"info/{package}.list", *(self.admin / "info").glob(f"{package}:*.list")]
        for file in (file for file in lists if file.exists()):
            for path in file.read_text().splitlines():
                to, by = moved.get(path, (path, package))
                yield path, path if by == package else to

    def diversions(self) -> dict[str, tuple[str, str]]:
        if not hasattr(self, "moved"):
            file = self.admin / "diversions"
            lines = file.read_text().splitlines() if file.exists() else []
            self.moved = {lines[i]: (lines[i + 1], lines[i + 2]) for i in range(0, len(lines) - 2, 3)}
        return self.moved

    def alternatives(self) -> Iterator[tuple[list[str], list[tuple[int, list[str]]]]]:
        """For each group of links: the links, and the choices of (priority, a file for each link)."""
        for file in sorted((self.admin / "alternatives").glob("*")):
            lines = file.read_text().split("\n")[1:]
            links, at = [lines[0]], 1
            while lines[at]:
                links.append(lines[at + 1])
                at += 2
            at += 1
            choices = []
            while at < len(lines) and lines[at]:
                choices.append((int(lines[at + 1]), [lines[at], *lines[at + 2:at + 1 + len(links)]]))
                at += 1 + len(links)
            yield links, choices

    def programs(self, packages: Iterable[str]) -> dict[str, str]:
        """Name and path of each program that these packages bring."""
        owned: dict[str, str] = {}
        for package in packages:
            for path, where in self.files(package):
                owned[self.merged(path)] = where
        found: dict[str, str] = {}
        for directory in dict.fromkeys(map(self.merged, DIRECTORIES)):
            for path, where in owned.items():
                if os.path.dirname(path) == directory and (self.root / where[1:]).exists():
                    found.setdefault(os.path.basename(path), where)
        for links, choices in self.alternatives():
            for _, files in sorted((choice for choice in choices if self.merged(choice[1][0]) in owned), reverse=True):
                for link, file in zip(links, files):
                    if file and os.path.dirname(self.merged(link)) in map(self.merged, DIRECTORIES):
                        found.setdefault(os.path.basename(link), file)
        return found


def named(groups: Iterable[str]) -> list[str]:
    """The packages of groups of scripts/deps."""
    return subprocess.run([ROOT / "scripts/deps", "--list", *groups], check=True, capture_output=True,
                          text=True).stdout.split()


def folder(groups: Iterable[str], dpkg_root: Path = Path("/"), below: Path = BUILD / "declared") -> Path:
    """Links to the programs (bin), pkg-config files (pkgconfig), and the names of the header files (headers) of what
    the groups bring, those of programs used only where they are there included."""
    groups = sorted(groups)
    packages = [*named([*groups, "optional"]), *ROOTS]
    directory = below / "-".join(groups)
    admin = dpkg_root / "var/lib/dpkg"
    state = [str(path.stat().st_mtime_ns) for path in (admin / "status", admin / "diversions", admin / "alternatives")
             if path.exists()]
    stamp = hashlib.sha256("\n".join([*state, *packages, Path(__file__).read_text()]).encode()).hexdigest()
    if (directory / "stamp").exists() and (directory / "stamp").read_text() == stamp:
        return directory
    dpkg = Dpkg(dpkg_root)
    chosen = sorted(dpkg.closure(packages))
    new = below / f"{directory.name}.{os.getpid()}"
    for name in ("bin", "pkgconfig"):
        (new / name).mkdir(parents=True)
    for name, where in dpkg.programs(chosen).items():
        (new / "bin" / name).symlink_to(dpkg_root / where[1:])
    headers = []
    for package in chosen:
        for path, where in dpkg.files(package):
            if path.startswith("/usr/include/"):
                headers.append(path)
            elif path.endswith(".pc") and "/pkgconfig/" in path:
                (new / "pkgconfig" / os.path.basename(path)).symlink_to(dpkg_root / where[1:])
    (new / "headers").write_text("".join(f"{path}\n" for path in headers))
    (new / "packages").write_text("".join(f"{package}\n" for package in chosen))
    (new / "stamp").write_text(stamp)
    shutil.rmtree(directory, ignore_errors=True)
    new.rename(directory)
    return directory


def enter(groups: Iterable[str]) -> Path:
    """Let this process, and what it starts, see what the groups bring and nothing else."""
    directory = folder(groups)
    os.environ["PATH"] = str(directory / "bin")
    os.environ["PKG_CONFIG_LIBDIR"] = str(directory / "pkgconfig")
    os.environ["PYTHONNOUSERSITE"] = "1"
    for name in VARIABLES:
        os.environ.pop(name, None)
    return directory


def header_files(build: Path = BUILD) -> set[str]:
    """The headers outside of the sources that programs of the host in a build directory were compiled with."""
    told: list[str] = []
    for pattern in ("kernel-*/scripts/**/.*.cmd", "kernel-*/tools/**/.*.cmd", "*/kernel/scripts/**/.*.cmd",
                    "*/kernel/tools/**/.*.cmd", "kunit/**/.*.cmd", "user/**/*.d", "tools/**/.*.cmd", "guest/*.d"):
        told += [file.read_text(errors="replace") for file in build.glob(pattern)]
    for objects in build.glob("qemu-*/build.ninja"):
        told.append(subprocess.run(["ninja", "-C", objects.parent, "-t", "deps"], capture_output=True, text=True).stdout)
    return {os.path.realpath(name) for text in told for name in re.findall(r"/usr/(?:local/)?include/[^\s:)\\\\]+", text)}


def foreign_headers(groups: Iterable[str], build: Path = BUILD) -> list[str]:
    """Those of them that no package of the groups brings."""
    headers = (folder(groups) / "headers").read_text().split()
    return sorted(header_files(build) - {os.path.realpath(name) for name in headers} - set(headers))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
    else:
        print(folder(sys.argv[1:]))
