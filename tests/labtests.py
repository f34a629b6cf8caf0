"""Tests of the lab itself, on a small made-up source tree: nothing is fetched and nothing is built.

Each test gets a copy of the repository's scripts with an empty series, and a "kernel" of a few
files whose .gitignore hides every new file, as Debian's does.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import extends, kernels, steps
from lab.guesttest import GuestTest
from lab.machine import BUILD, ROOT, Scenario
from lab.report import AllowedSkips, Result

from . import declared

BASE_FILES = {
    ".gitignore": "*.o\n/*\n",
    "drivers/a.c": "".join(f"line {n}\n" for n in range(30)),
    "drivers/old.c": "old\n",
    "drivers/whole.c": "before\n" + "".join(f"kept {n}\n" for n in range(9)),
}


class Sandbox:
    """A repository of its own with its own build directory."""

    def __init__(self, directory: Path) -> None:
        self.repo = directory / "repo"
        self.tree = self.repo / "build/linux"
        source = directory / "source"
        for name, text in BASE_FILES.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        self.environment = {**os.environ, "BUILD": str(self.repo / "build"), "KERNEL_SRC": str(source),
                            "GIT_AUTHOR_NAME": "Author", "GIT_AUTHOR_EMAIL": "author@localhost",
                            "GIT_COMMITTER_NAME": "Other", "GIT_COMMITTER_EMAIL": "other@localhost"}
        shutil.copytree(ROOT / "scripts", self.repo / "scripts", ignore=shutil.ignore_patterns("__pycache__", "lab"))
        shutil.copy(ROOT / "pins.mk", self.repo)
        (self.repo / ".gitignore").write_text("/build/\n__pycache__/\n")
        (self.repo / "patches").mkdir()
        (self.repo / "patches/series").write_text("# the series\n")
        self.git(self.repo, "init", "-q")
        self.script("prepare")

    def git(self, where: Path, *args: str) -> str:
        return subprocess.run(["git", *args], cwd=where, check=True, capture_output=True, text=True,
                              env=self.environment).stdout.strip()

    def script(self, name: str, *args: str, refused: str = "") -> str:
        """Run one of scripts/; with `refused`, it must fail and say that."""
        result = subprocess.run([self.repo / "scripts" / name, *args], capture_output=True, text=True,
                                env=self.environment)
        output = result.stdout + result.stderr
        if refused:
            assert result.returncode, f"{name} should have refused: {output}"
            assert refused in output and "Traceback" not in output, f"{name} refused, but said: {output}"
        else:
            assert result.returncode == 0, f"{name} failed: {output}"
        return output

    def write(self, name: str, text: str) -> None:
        (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / name).write_text(text)

    def commit(self, subject: str, files: dict[str, str | None]) -> None:
        for name, text in files.items():
            if text is None:
                (self.tree / name).unlink()
            else:
                self.write(name, text)
        self.git(self.tree, "add", "-f", "-A", "--", *files)
        self.git(self.tree, "commit", "-q", "-s", "-m", f"{subject}\n\nWhy: {subject}.")

    def series(self) -> None:
        """Three commits: a file added with a hunk, a file deleted, a file replaced."""
        edited = BASE_FILES["drivers/a.c"].replace("line 7\n", "line seven\n")
        self.commit("one: Add new.c", {"drivers/new.c": "new\n", "drivers/a.c": edited})
        self.commit("two: Delete old.c", {"drivers/old.c": None})
        replacement = BASE_FILES["drivers/whole.c"].replace("before", "after")
        self.commit("three: Replace whole.c", {"drivers/whole.c": replacement, "include/new.h": "header\n"})
        self.script("export", "--replace", "drivers/whole.c")

    def release(self, version: str, **changes: str) -> None:
        """Another version of the base, as if it had been fetched; `changes` by the name of the file in drivers/."""
        source = self.repo.parent / version / "linux"
        shutil.copytree(self.environment["KERNEL_SRC"], source)
        for name, text in changes.items():
            (source / f"drivers/{name}.c").write_text(text)
        tarball = self.repo / f"build/dl/kernel-{version}.tar.xz"
        tarball.parent.mkdir(exist_ok=True)
        subprocess.run(["tar", "-caf", tarball, "-C", source.parent, "linux"], check=True)

    def program(self, name: str, commands: str) -> None:
        """A program that the scripts find before the machine's."""
        directory = self.repo.parent / "bin"
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(f"#!/bin/sh\n{commands}\n")
        (directory / name).chmod(0o755)
        self.environment["PATH"] = f"{directory}:{self.environment['PATH']}"

    def contents(self) -> dict[str, bytes]:
        """Every file of the repository outside build/."""
        files = (path for path in self.repo.rglob("*") if path.is_file())
        return {str(path.relative_to(self.repo)): path.read_bytes() for path in files
                if not path.relative_to(self.repo).parts[0] in ("build", ".git") and "__pycache__" not in path.parts}


def round_trip(box: Sandbox) -> None:
    """export(prepare(repository)) is the repository, byte for byte; and the tree is the same again"""
    box.series()
    before, head = box.contents(), box.git(box.tree, "rev-parse", "HEAD")
    assert {"drivers/new.c", "drivers/whole.c", "include/new.h", "patches/0010-one-Add-new.c.patch"} <= set(before)
    assert "drivers/a.c" not in before and "drivers/old.c" not in before
    shutil.rmtree(box.repo / "build")
    box.script("prepare")
    assert box.git(box.tree, "rev-parse", "HEAD") == head
    assert "nothing to do" in box.script("export")
    assert box.contents() == before
    assert not (box.tree / "drivers/old.c").exists()


def time_stamps(box: Sandbox) -> None:
    """bringing the tree up to date does not touch files that stay the same"""
    box.series()
    old = {name: (box.tree / name).stat().st_mtime_ns for name in ("drivers/a.c", "include/new.h")}
    (box.repo / "drivers/new.c").write_text("newer\n")
    box.script("prepare")
    assert (box.tree / "drivers/new.c").read_text() == "newer\n"
    assert old == {name: (box.tree / name).stat().st_mtime_ns for name in old}


def fixup(box: Sandbox) -> None:
    """a fixup commit is folded into its patch, and numbers stay"""
    box.series()
    names = (box.repo / "patches/series").read_text()
    box.write("drivers/new.c", "fixed\n")
    box.git(box.tree, "commit", "-q", "-a", "--fixup=:/one: Add")
    box.script("export")
    assert (box.repo / "drivers/new.c").read_text() == "fixed\n"
    assert (box.repo / "patches/series").read_text() == names


def insertion(box: Sandbox) -> None:
    """a commit put between two others gets a number between theirs"""
    box.series()
    box.git(box.tree, "reset", "-q", "--hard", "HEAD~2")
    box.commit("one and a half: Add more.c", {"drivers/more.c": "more\n"})
    box.git(box.tree, "cherry-pick", "HEAD@{2}~1", "HEAD@{2}")
    box.script("export")
    numbers = [line[:4] for line in (box.repo / "patches/series").read_text().splitlines()[1:]]
    assert numbers == ["0010", "0015", "0020", "0030"], numbers


def later_touch(box: Sandbox) -> None:
    """a second commit that changes an added file is refused, and the right way is named"""
    box.series()
    box.commit("four: Touch new.c", {"drivers/new.c": "again\n"})
    box.script("export", refused="git commit --fixup=':/one: Add new.c'")


def uncommitted(box: Sandbox) -> None:
    """a new file that nobody committed stops export, though .gitignore hides it"""
    box.series()
    box.write("drivers/forgotten.c", "x\n")
    box.script("export", refused="drivers/forgotten.c")
    assert "tree newer" in box.script("status")


def unclaimed(box: Sandbox) -> None:
    """an overlay file that no patch claims is refused"""
    box.series()
    (box.repo / "drivers/stray.c").write_text("stray\n")
    box.script("prepare", refused="drivers/stray.c")


def claimed_twice(box: Sandbox) -> None:
    """an overlay file that two patches claim is refused"""
    box.series()
    patch = box.repo / "patches/0020-two-Delete-old.c.patch"
    patch.write_text(patch.read_text().replace("Upstream:", "Overlay: A drivers/new.c\nUpstream:"))
    box.script("prepare", refused="is claimed by")


def work_is_kept(box: Sandbox) -> None:
    """work in the tree is never overwritten: both sides changed is refused by prepare and export"""
    box.series()
    (box.repo / "drivers/new.c").write_text("from the repository\n")
    box.write("drivers/new.c", "from the tree\n")
    assert "both changed" in box.script("status")
    box.script("prepare", refused="both")
    box.script("export", refused="the repository changed")
    assert (box.tree / "drivers/new.c").read_text() == "from the tree\n"


def replaced_base(box: Sandbox) -> None:
    """a replaced file whose base version changed is refused"""
    box.series()
    patch = box.repo / "patches/0030-three-Replace-whole.c.patch"
    text = patch.read_text()
    blob = text.split("base=")[1][:40]
    patch.write_text(text.replace(blob, "0" * 40))
    box.script("prepare", refused="not the one it was written against")


def taken_over(box: Sandbox) -> None:
    """commits of another clone are taken over with their authors"""
    box.series()
    other = box.repo.parent / "other"
    box.git(box.repo.parent, "clone", "-q", str(box.tree), str(other))
    (other / "drivers/a.c").write_text("short\n")
    box.git(other, "commit", "-q", "-a", "-s", "--author=Third <third@localhost>", "-m", "four: Shorten a.c")
    box.script("import", str(other))
    box.script("export")
    patch = (box.repo / "patches/0040-four-Shorten-a.c.patch").read_text()
    assert patch.startswith("From: Third <third@localhost>\n")


def series_is_deterministic(box: Sandbox) -> None:
    """make series writes the same bytes twice, and plain git am makes the tree of them"""
    box.series()
    shutil.copy(ROOT / "patches/cover-letter", box.repo / "patches/cover-letter")
    mails = []
    for number in range(2):
        box.script("series")
        out = box.repo / "build/series"
        mails.append({file.name: file.read_bytes() for file in out.iterdir()})
        shutil.rmtree(out)
    assert mails[0] == mails[1] and len(mails[0]) == 4, sorted(mails[0])
    assert "agrees" in box.script("check-series", "--no-checkpatch")


def younger_than_objects(box: Sandbox) -> None:
    """files of a base are as young as its tree: what was built before is not up to date"""
    os.utime(Path(box.environment["KERNEL_SRC"]) / "drivers/a.c", (1, 1))
    shutil.rmtree(box.tree)
    box.script("prepare")
    assert (box.tree / "drivers/a.c").stat().st_mtime > 1


def comments_of_series_stay(box: Sandbox) -> None:
    """a comment in the file 'series' stays before the patch that it names a band of, or before the next that is left"""
    box.series()
    order = box.repo / "patches/series"
    one, two, three = (name for name in order.read_text().splitlines() if not name.startswith("#"))
    order.write_text(f"# top\n{one}\n# band\n{two}\n{three}\n# end\n")
    box.script("prepare")
    box.commit("four: Add four.c", {"drivers/four.c": "four\n"})
    left = ["# top", "one", "# band", "two", "three", "four", "# end"]
    for dropped in ("three", "two", ""):
        box.script("export")
        found = [line if line.startswith("#") else line.split("-")[1] for line in order.read_text().splitlines()]
        assert found == left, found
        if dropped:
            box.git(box.tree, "rebase", "-q", "--onto", "HEAD~2", "HEAD~1")  # the one before the last
            left.remove(dropped)


def export_is_all_or_nothing(box: Sandbox) -> None:
    """when what export wrote does not make the tree, the files are as they were before"""
    box.series()
    box.commit("four: Add four.c", {"drivers/four.c": "four\n"})
    before = box.contents()
    (box.repo / ".gitignore").write_text("/build/\n__pycache__/\nfour.c\n")
    box.script("export", refused="claimed by a patch, but not in the repository: drivers/four.c")
    after = box.contents()
    assert {name for name in before if before[name] != after.get(name)} == {".gitignore"}
    assert not (box.repo / "drivers/four.c").exists()


A_CHANGED = BASE_FILES["drivers/a.c"].replace("line 20\n", "line twenty\n").replace("line 1\n", "line 1\nline 1b\n")
A_IN_CONFLICT = BASE_FILES["drivers/a.c"].replace("line 7\n", "line VII\n")
A_RESOLVED = BASE_FILES["drivers/a.c"].replace("line 7\n", "line seven and VII\n")
WHOLE_CHANGED = BASE_FILES["drivers/whole.c"].replace("kept 8\n", "changed 8\n")


def to_another_base_and_back(box: Sandbox) -> None:
    """rebase takes the series to another base, pins it, and back again to the very files that left"""
    box.series()
    box.release("6.1.8-1")
    box.release("6.1.9-1", a=A_CHANGED)
    box.script("rebase", "6.1.8-1")
    del box.environment["KERNEL_SRC"]
    before, head = box.contents(), box.git(box.tree, "rev-parse", "HEAD")
    assert b"KERNEL_VERSION = 6.1.8-1\n" in before["pins.mk"]
    assert "nothing to do" in box.script("rebase", "6.1.8-1")
    box.script("rebase", "6.1.9-1")
    there = box.git(box.tree, "rev-parse", "HEAD")
    assert (box.tree / "drivers/a.c").read_text() == A_CHANGED.replace("line 7\n", "line seven\n")
    checksum = hashlib.sha256((box.repo / "build/dl/kernel-6.1.9-1.tar.xz").read_bytes()).hexdigest()
    pins = (box.repo / "pins.mk").read_text()
    assert "KERNEL_VERSION = 6.1.9-1\n" in pins and f"KERNEL_SHA256 = {checksum}\n" in pins, pins
    assert "in sync" in box.script("status") and not (box.repo / "build/rebase").exists()
    assert not box.script("prepare")
    shutil.rmtree(box.tree)
    box.script("prepare")
    assert box.git(box.tree, "rev-parse", "HEAD") == there
    box.script("rebase", "6.1.8-1")
    assert box.contents() == before and box.git(box.tree, "rev-parse", "HEAD") == head


def to_the_newest(box: Sandbox) -> None:
    """without a version it is the one that apt would install"""
    box.series()
    box.release("6.1.9-1", a=A_CHANGED)
    box.program("apt-get", ":")
    box.program("apt-cache", "echo '  Installed: (none)'; echo '  Candidate: 6.1.9-1'")
    assert "no KERNEL_SRC" in box.script("rebase")
    assert "KERNEL_VERSION = 6.1.9-1\n" in (box.repo / "pins.mk").read_text()


def left_the_mirror(box: Sandbox) -> None:
    """what stands for a pinned version that has left the mirror is never taken for that version by name"""
    pinned = re.search(r"^KERNEL_VERSION = (.*)$", (box.repo / "pins.mk").read_text(), re.MULTILINE)
    assert pinned
    package, deb = box.repo.parent / "package", box.repo.parent / "newer.deb"
    for name, text in (("DEBIAN/control", "Package: linux-source-6.1\nVersion: 6.1.999-1\nArchitecture: all\n"
                        "Maintainer: x <x@localhost>\nDescription: x\n"), ("usr/src/linux-source-6.1.tar.xz", "newer")):
        (package / name).parent.mkdir(parents=True)
        (package / name).write_text(text)
    subprocess.run(["dpkg-deb", "-b", package, deb], check=True, capture_output=True)
    box.program("apt-get", f"case $* in *download*=[0-9]*) exit 100 ;; *download*) cp {deb} . ;; esac")
    del box.environment["KERNEL_SRC"]
    assert f"using 6.1.999-1; tested with {pinned[1]}" in box.script("fetch", "kernel")
    assert box.script("fetch", "kernel").endswith(f"kernel-{pinned[1]}.tar.xz\n")
    assert (box.repo / "build/dl/kernel-6.1.999-1.tar.xz").read_text() == "newer"
    box.script("fetch", "kernel", pinned[1], refused=f"apt has no linux-source-6.1 {pinned[1]}")
    box.script("fetch", "kernel", "6.1.998-1", refused="apt has no linux-source-6.1 6.1.998-1")


def to_a_tarball(box: Sandbox) -> None:
    """a tarball can be the base; pins.mk stays, and KERNEL_SRC goes on with it"""
    box.series()
    box.release("6.1.9", a=A_CHANGED)
    pins = (box.repo / "pins.mk").read_text()
    tarball = shutil.move(box.repo / "build/dl/kernel-6.1.9.tar.xz", box.repo.parent / "linux-6.1.9.tar.xz")
    assert f"KERNEL_SRC={tarball}" in box.script("rebase", str(tarball))
    assert (box.repo / "pins.mk").read_text() == pins
    box.environment["KERNEL_SRC"] = str(tarball)
    assert not box.script("prepare") and "line twenty" in (box.tree / "drivers/a.c").read_text()


def conflict(box: Sandbox) -> None:
    """a conflict stops rebase in git's words, nothing has changed then, and it goes on from there"""
    box.series()
    box.release("6.1.9-1", a=A_IN_CONFLICT)
    before, head = box.contents(), box.git(box.tree, "rev-parse", "HEAD")
    output = box.script("rebase", "6.1.9-1", refused="CONFLICT (content): Merge conflict in drivers/a.c")
    assert "one: Add new.c" in output and "git stopped in" in output, output
    new = box.repo / "build/rebase/linux"
    assert box.git(new, "show", ":1:drivers/a.c") == BASE_FILES["drivers/a.c"].strip()  # three-way, from the old base
    assert box.contents() == before and box.git(box.tree, "rev-parse", "HEAD") == head
    assert "holds a rebase" in box.script("status")
    box.script("status", "--clean", refused="holds a rebase")
    box.script("rebase", refused="is under way")
    box.script("rebase", "--continue", refused="git stopped in")
    (new / "drivers/a.c").write_text(A_RESOLVED)
    box.git(new, "add", "-f", "drivers/a.c")
    box.script("rebase", "--continue")
    assert (box.tree / "drivers/a.c").read_text() == A_RESOLVED
    assert box.git(box.tree, "log", "-1", "--format=%an", ":/one: Add new.c") == "Author"
    assert set(box.contents()) == set(before) and "in sync" in box.script("status")


def resolved_badly(box: Sandbox) -> None:
    """what export refuses is not taken over, and nothing has changed; then git rebase --continue by hand goes on"""
    box.series()
    box.release("6.1.9-1", a=A_IN_CONFLICT)
    before = box.contents()
    box.script("rebase", "6.1.9-1", refused="CONFLICT")
    new = box.repo / "build/rebase/linux"
    (new / "drivers/a.c").write_text(A_RESOLVED)
    box.git(new, "add", "-f", "drivers/a.c")
    box.git(new, "-c", "core.editor=:", "rebase", "--continue")
    (new / "drivers/new.c").write_text("newer\n")
    box.git(new, "commit", "-q", "-a", "-m", "four: Touch new.c")
    output = box.script("rebase", "--continue", refused="nothing was taken over")
    assert "git commit --fixup=':/one: Add new.c'" in output and box.contents() == before
    box.git(new, "commit", "-q", "--amend", "--fixup=:/one: Add")
    box.script("rebase", "--continue")
    assert (box.repo / "drivers/new.c").read_text() == "newer\n"


def aborted(box: Sandbox) -> None:
    """--abort takes rebase back; a rebase that git was told to give up is not taken for a finished one"""
    box.series()
    box.release("6.1.9-1", a=A_IN_CONFLICT)
    before, head = box.contents(), box.git(box.tree, "rev-parse", "HEAD")
    box.script("rebase", "6.1.9-1", refused="CONFLICT")
    box.git(box.repo / "build/rebase/linux", "rebase", "--abort")
    box.script("rebase", "--continue", refused="is not the series on the new base")
    box.git(box.repo / "build/rebase/linux", "checkout", "-q", "--detach", "base")
    box.script("rebase", "--continue", refused="is not the series on the new base")
    box.script("rebase", "--abort")
    assert box.contents() == before and box.git(box.tree, "rev-parse", "HEAD") == head
    assert not (box.repo / "build/rebase").exists() and "in sync" in box.script("status")
    box.script("rebase", "--continue", refused="no rebase is under way")


def replaced_base_changed(box: Sandbox) -> None:
    """a replaced file that the new base changed stops rebase until somebody says that it was looked at"""
    box.series()
    box.release("6.1.9-1", whole=WHOLE_CHANGED)
    before = box.contents()
    output = box.script("rebase", "6.1.9-1", refused="--continue --looked-at drivers/whole.c")
    assert "'three: Replace whole.c' replaces drivers/whole.c" in output and box.contents() == before
    box.script("rebase", "--continue", "--looked-at", "drivers/other.c", refused="--looked-at drivers/whole.c")
    box.script("rebase", "--continue", "--looked-at", "drivers/whole.c")
    assert (box.repo / "drivers/whole.c").read_text() == WHOLE_CHANGED.replace("before", "after")
    blob = box.git(box.tree, "rev-parse", "base:drivers/whole.c")
    patch = (box.repo / "patches/0030-three-Replace-whole.c.patch").read_text()
    assert f"Overlay: R drivers/whole.c base={blob}\n" in patch, patch


def not_laid_out(box: Sandbox) -> None:
    """a base that cannot be laid out leaves nothing; one that was only begun is not gone on with"""
    box.series()
    before, place = box.contents(), box.repo / "build/rebase"
    (box.repo.parent / "linux-6.1.9.tar.xz").write_text("half a download")
    box.script("rebase", str(box.repo.parent / "linux-6.1.9.tar.xz"), refused="error: tar")
    box.script("rebase", str(box.repo.parent / "linux-6.1.10.tar.xz"), refused="does not exist")
    assert not place.exists() and box.contents() == before
    shutil.copytree(box.tree, place / "linux")
    shutil.copy(box.repo / "build/linux.state.json", place)
    box.script("rebase", "--continue", refused="was not laid out to the end")
    box.script("rebase", "--abort")
    assert not place.exists() and box.contents() == before


def in_the_base_now(box: Sandbox) -> None:
    """a patch that the new base has is left out, by name"""
    box.series()
    box.commit("four: Shorten a.c", {"drivers/a.c": "short\n"})
    box.commit("five: Add five.c", {"drivers/five.c": "five\n"})
    box.script("export")
    box.release("6.1.9-1", five="five\n")
    assert "left out: five: Add five.c" in box.script("rebase", "6.1.9-1")
    assert "five" not in (box.repo / "patches/series").read_text() and not (box.repo / "drivers/five.c").exists()


def merged_silently(box: Sandbox) -> None:
    """a commit that git made another of without a conflict is named, and none that stayed the same"""
    box.series()
    without = BASE_FILES["drivers/a.c"].replace("line 12\n", "")
    up, down = (without.replace(f"line {place}\n", f"line {place}\nline 12\n") for place in (8, 16))
    box.commit("four: Move line 12 down", {"drivers/a.c": down.replace("line 7\n", "line seven\n")})
    box.script("export")
    box.release("6.1.9-1", a=up)
    output = box.script("rebase", "6.1.9-1")
    assert (box.tree / "drivers/a.c").read_text().count("line 12\n") == 2, "git has found a way: say something else"
    assert "four: Move line 12 down" in output and "two: Delete old.c" not in output, output


def rebase_keeps_work(box: Sandbox) -> None:
    """work that was not exported, before rebase or during it, stops it and stays"""
    box.series()
    box.release("6.1.9-1", whole=WHOLE_CHANGED)
    box.write("drivers/new.c", "work\n")
    box.script("rebase", "6.1.9-1", refused="holds work that was not exported")
    box.git(box.tree, "checkout", "-q", "drivers/new.c")
    box.script("rebase", "6.1.9-1", refused="--looked-at")
    box.write("drivers/new.c", "work\n")
    box.script("rebase", "--continue", "--looked-at", "drivers/whole.c", refused="holds work that was not exported")
    box.git(box.tree, "checkout", "-q", "drivers/new.c")
    (box.repo / "drivers/new.c").write_text("work\n")
    box.script("rebase", "--continue", "--looked-at", "drivers/whole.c", refused="the repository changed")
    assert (box.repo / "drivers/new.c").read_text() == "work\n"
    box.script("rebase", "--abort")
    box.script("rebase", "6.1.9-1", refused="scripts/prepare first")


LAYERS = """[[layer]]
name = "Layer one"
files = ["drivers/*", "!drivers/whole.c"]
docs = ["docs/one.md"]
tests = ["boot*"]
[[layer]]
name = "Layer two"
files = ["*/whole.c", "include/*"]
docs = ["include/new.h"]
tests = []
"""
NEW_C = """#define NEW_MACRO 1
struct new_struct {
	int member;
};
static int __init new_function(int a,
			       void (*b)(int))
{
	return new_elsewhere(a);
}
"""


def with_layers(box: Sandbox) -> None:
    """The series, and what scripts/where reads beside it."""
    box.series()
    box.commit("four: Add to a.c", {"drivers/a.c": (box.tree / "drivers/a.c").read_text() + "int added(void)\n{\n}\n"})
    box.script("export")
    (box.repo / "drivers/new.c").write_text(NEW_C)
    for name, text in (("docs/layers.toml", LAYERS), ("docs/one.md", "one\n"), ("lab/guest-tests/boot-a.toml", ""),
                       ("tests/mutants/all.toml", "[[mutation]]\nfile = 'drivers/new.c'\nbreaks = 'what it does'\n"
                                                "old = ''\nnew = ''\nguest = 'boot-a'\n")):
        (box.repo / name).parent.mkdir(parents=True, exist_ok=True)
        (box.repo / name).write_text(text)


def where_it_is(box: Sandbox) -> None:
    """where says of a file, and of a symbol that the series defines, what it is part of; of others that there is none"""
    with_layers(box)
    shutil.rmtree(box.repo / "build")
    expected = ["new.c", "Layer one", "whole", "0010 one: Add new.c", "docs/one.md", "boot-a", "what it does"]
    for what in ("drivers/new.c", "./build/linux/drivers/new.c", "new.c", "new_function", "new_function()",
                 "struct new_struct", "NEW_MACRO"):
        output = box.script("where", what)
        assert all(words in output for words in expected) and "a.c" not in output.replace("boot-a", ""), output
    added = box.script("where", "added")
    assert "drivers/a.c, added in what it adds" in added and "one: Add new.c" in added and "four: Add" in added, added
    assert "hunk" in box.script("where", "a.c") and "deletes" in box.script("where", "drivers/old.c")
    for what in ("new_elsewhere", "member", "drivers/other.c"):
        output = box.script("where", what, refused=f"defines no symbol {what}")
        assert len(output.splitlines()) == 1, output
    box.script("where", "new_funktion", refused="new_funktion; it has new_function")
    box.script("where", "of_the_base", refused="git -C build/linux grep -w 'of_the_base'")


def map_is_whole(box: Sandbox) -> None:
    """the map has each file once, and --check sees when it is old or layers.toml does not fit"""
    with_layers(box)
    box.script("where", "--check", refused="docs/MAP.md is not what")
    box.script("where", "--map")
    rows = [line.split(" | ")[1:3] for line in (box.repo / "docs/MAP.md").read_text().splitlines()
            if line.startswith("| Layer")]
    assert sorted(rows) == [["`drivers/a.c`", "hunk"], ["`drivers/new.c`", "whole"], ["`drivers/old.c`", "deleted"],
                            ["`drivers/whole.c`", "whole"], ["`include/new.h`", "whole"]], rows
    box.script("where", "--check")
    (box.repo / "docs/MAP.md").write_text("of yesterday\n")
    box.script("where", "--check", refused="docs/MAP.md is not what")
    for old, new, said in (('"include/*"', '"drivers/new.c"', "include/new.h is of no layer"),
                           ('"include/*"', '"include/*", "drivers/a.c"', "a.c is of Layer one and of Layer two"),
                           ('"include/*"', '"include/*", "lib/*"', "Layer two: no file is lib/*"),
                           ("one.md", "two.md", "there is no docs/two.md"), ("boot*", "boat*", "no guest test is boat*"),
                           ('["boot*"]', "[]", "no layer has the guest test boot-a")):
        assert old in LAYERS
        (box.repo / "docs/layers.toml").write_text(LAYERS.replace(old, new))
        box.script("where", "--check", refused=said)
    (box.repo / "docs/layers.toml").write_text(LAYERS)
    mutants = (box.repo / "tests/mutants/all.toml").read_text()
    for old, new, said in (("new.c", "newer.c", "mutants of drivers/newer.c, which is not of the series"),
                           ("boot-a", "boot-b", "no guest test is boot-b")):
        (box.repo / "tests/mutants/all.toml").write_text(mutants.replace(old, new))
        box.script("where", "--check", refused=said)


TESTS: list[Callable[[Sandbox], None]] = [
    where_it_is, map_is_whole,
    round_trip, time_stamps, fixup, insertion, later_touch, uncommitted, unclaimed, claimed_twice, work_is_kept,
    replaced_base, taken_over, series_is_deterministic, younger_than_objects, comments_of_series_stay,
    export_is_all_or_nothing,
    to_another_base_and_back, to_the_newest, left_the_mirror, to_a_tarball, conflict, resolved_badly, aborted,
    replaced_base_changed, not_laid_out, in_the_base_now, merged_silently, rebase_keeps_work]


# A machine with what a test must not see beside what it may: name, fields, files
PACKAGES = [
    ("base", "Essential: yes\nPriority: required\nPre-Depends: awk", ["/bin/ls"]),
    ("mawk", "Priority: required\nProvides: awk", ["/usr/bin/mawk"]),
    ("gawk", "Priority: optional\nProvides: awk", ["/usr/bin/gawk"]),
    ("make", "Priority: optional", ["/usr/bin/make"]),
    ("git", "Priority: optional", ["/usr/bin/git"]),
    ("gcc", "Priority: optional\nDepends: compiler-12 (>= 12), libc-dev:any | other-libc", ["/usr/bin/gcc"]),
    ("compiler-12", "Priority: optional\nRecommends: suggestion", ["/usr/bin/gcc-12", "/usr/lib/gcc/cc1"]),
    ("libc-dev", "Priority: optional", ["/usr/include/stdio.h", "/usr/lib/pkgconfig/c.pc"]),
    ("other-libc", "Priority: optional", ["/usr/bin/other", "/usr/include/other.h", "/usr/lib/pkgconfig/other.pc"]),
    ("suggestion", "Priority: optional", ["/usr/bin/suggestion"]),
    ("python3", "Priority: optional", ["/usr/bin/python3"]),
    ("wrapper", "Priority: optional", ["/usr/bin/python3", "/usr/bin/wrapper"]),
    ("rsync", "Priority: optional", ["/usr/bin/rsync"]),
]
# What the group `test` brings on it
SEEN = {"ls", "mawk", "awk", "make", "git", "gcc", "gcc-12", "python3"}


def made_up_machine(root: Path) -> None:
    admin = root / "var/lib/dpkg"
    for directory in (admin / "info", admin / "alternatives", root / "usr/bin", root / "usr/local/bin"):
        directory.mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "usr/local/bin/local").touch()
    status = []
    for name, fields, files in PACKAGES:
        status.append(f"Package: {name}\nStatus: install ok installed\n{fields}\nDescription: x\n more: of it\n")
        (admin / f"info/{name}.list").write_text("/.\n/usr\n/usr/bin\n" + "".join(f"{file}\n" for file in files))
        for file in files:
            where = f"{file}.real" if (name, file) == ("python3", "/usr/bin/python3") else file
            (root / where[1:]).parent.mkdir(parents=True, exist_ok=True)
            (root / where[1:]).touch()
    (admin / "status").write_text("\n".join([*status, "Package: gone\nStatus: deinstall ok config-files\n"]))
    (admin / "diversions").write_text("/usr/bin/python3\n/usr/bin/python3.real\nwrapper\n")
    (admin / "alternatives/awk").write_text("auto\n/usr/bin/awk\nnawk\n/usr/bin/nawk\n\n/usr/bin/gawk\n10\n/usr/bin/gawk\n"
                                            "/bin/ls\n1\n\n/usr/bin/mawk\n5\n\n\n")


def only_what_is_named(directory: Path) -> None:
    """the tests see programs of named packages, of what those depend on and of essential ones, and no others"""
    made_up_machine(directory / "machine")
    folder = declared.folder(["test"], directory / "machine", directory)
    links = {link.name: str(link.readlink()) for link in (folder / "bin").iterdir()}
    assert set(links) == SEEN, set(links) ^ SEEN
    assert links["awk"].endswith("/usr/bin/mawk") and links["python3"].endswith("/usr/bin/python3.real"), links
    assert [file.name for file in (folder / "pkgconfig").iterdir()] == ["c.pc"]
    assert (folder / "headers").read_text() == "/usr/include/stdio.h\n"


def remade_when_packages_change(directory: Path) -> None:
    """what the tests see is made again when a package was installed, and only then"""
    made_up_machine(directory / "machine")
    first = declared.folder(["test"], directory / "machine", directory).stat().st_ino
    assert declared.folder(["test"], directory / "machine", directory).stat().st_ino == first
    status = directory / "machine/var/lib/dpkg/status"
    status.write_text(f"{status.read_text()}\nPackage: liburcu-dev\nStatus: install ok installed\nDepends: rsync\n")
    folder = declared.folder(["test"], directory / "machine", directory)
    assert (folder / "bin/rsync").is_symlink()


def run_made_up_tier(function: Callable[[], Iterator[Result]]) -> Result:
    """The one result of a tier that is this function."""
    from . import run, tiers  # which import this module

    tiers.TIERS["made-up"] = (function, ("test",), "made up")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            [result] = run.run_tier("made-up", AllowedSkips(Path(os.devnull))).results
    finally:
        del tiers.TIERS["made-up"]
    return result


def tiers_see_only_that(directory: Path) -> None:
    """a tier runs with that PATH, of its own groups, and the next one is not bound by it"""
    before = dict(os.environ)

    def tier() -> Iterator[Result]:
        seen = [name for name in ("gcc", "sparse", "qemu-system-x86_64") if shutil.which(name)]
        yield Result(" ".join(seen), "pass", os.environ["PATH"])

    result = run_made_up_tier(tier)
    assert result.name == "gcc" and "/usr/local" not in result.detail, result
    assert dict(os.environ) == before


def failed_steps_say_why(directory: Path) -> None:
    """when a step of a build fails, the tier's line names it, its exit status, its log and the last lines of that"""
    log = directory / "step.log"

    def by_log() -> Iterator[Result]:
        steps.logged("building it", log, ["true"], ["sh", "-c", "seq 100; echo tool: not found; exit 2"])
        yield Result("not reached", "pass")

    def by_script() -> Iterator[Result]:
        steps.script(ROOT / "scripts/export", "--no-such")
        yield Result("not reached", "pass")

    result = run_made_up_tier(by_log)
    assert result.name == "building it" and result.word == "fail", result
    assert "exited 2" in result.detail and os.path.relpath(log) in result.detail, result
    assert result.detail.endswith("100\n      tool: not found") and len(result.detail.splitlines()) < 20, result
    with contextlib.redirect_stderr(io.StringIO()):
        result = run_made_up_tier(by_script)
    assert result.name == "scripts/export --no-such" and result.word == "fail", result
    assert "unrecognized arguments: --no-such" in result.detail, result


def what_is_extended_stands_once(directory: Path) -> None:
    """what extends something says only what differs: lists, devices and their options"""
    for name, text in {"iommu": 'args = ["on"]\nshows = ["a"]\n[devices]\niommu = "vtd,x=1,y=1"\n',
                       "device": 'args = ["...", "port"]\n[devices]\ndev = "dsa,id=dev"\n',
                       "both": 'extends = ["iommu", "device"]\nshows = ["b"]\nmemory = "2G"\n'
                               '[devices]\niommu = "iommu,x=2,z=1"\nother = "dev,id=other"\n'}.items():
        (directory / f"{name}.toml").write_text(text)
    assert extends.load(directory, "both") == {
        "args": ["on", "port"], "shows": ["b"], "memory": "2G",
        "devices": {"iommu": "vtd,x=2,y=1,z=1", "dev": "dsa,id=dev", "other": "dsa,id=other"}}
    assert list(extends.load(directory, "both")["devices"]) == ["iommu", "dev", "other"]


def what_guest_tests_name_is_there(directory: Path) -> None:
    """each guest test and canary names kernels, a machine and files that there are"""
    missing = []
    for test in [*GuestTest.load_all(ROOT / "lab/guest-tests"), *GuestTest.load_all(ROOT / "tests/canary")]:
        Scenario.load(test.scenario)
        files = [name for name in (test.program, test.prepare, *test.files, *test.modules) if "/" in name]
        missing += [f"{test.name}: kernel {name}" for name in test.kernels if not kernels.one(name).tier]
        missing += [f"{test.name}: {name}" for name in files if not name.startswith("build/") and not (ROOT / name).is_file()]
    assert not missing, missing
    fragments = [file for kernel in kernels.KERNELS.values() for file in kernel.configs]
    assert all(file.is_file() for file in fragments), fragments


def one_test_by_name(directory: Path) -> None:
    """make test-one says which tests there are, and on which kernels one is run, when there is none of that name"""
    for arguments, said in (("--test=nope", "no guest test 'nope'; there are: cpu-state, "),
                            ("--test=demo --kernel=nope", "demo is not run on 'nope'; its kernels are: series, debug")):
        result = subprocess.run(["/usr/bin/python3", "-m", "tests.run", *arguments.split()], cwd=ROOT, capture_output=True,
                                text=True)
        output = (result.stdout + result.stderr).strip()
        assert result.returncode and output.startswith(said) and "\n" not in output, output


def pages_of_docs() -> dict[Path, str]:
    """The pages that say how it is; HISTORY.md says how it was, MAP.md is checked by itself."""
    return {page: page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
            if page.name not in ("HISTORY.md", "MAP.md")}


def in_the_base(name: str) -> bool:
    subprocess.run([ROOT / "scripts/prepare"], check=True)
    found = subprocess.run(["git", "-C", BUILD / "linux", "grep", "-q", "-w", name, "base", "--", "arch/x86", "drivers/dma",
                            "drivers/iommu", "include/linux", "kernel", "mm"], capture_output=True)
    return not found.returncode


def docs_name_what_exists(directory: Path) -> None:
    """functions, IOASID_* symbols and files that README and docs/ name exist, in the repository or the base"""
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "-c", "-o", "--exclude-standard"], check=True,
                             capture_output=True, text=True).stdout
    files = {name for name in listing.split("\0") if name and (ROOT / name).is_file()}
    words: set[str] = set()
    paths = set(files)
    for name in files:
        text = (ROOT / name).read_text(errors="replace") if Path(name).suffix not in (".md", ".rst") else ""
        if name.endswith(".patch"):
            paths |= set(re.findall(r"^diff --git a/\S+ b/(\S+)$", text, re.MULTILINE))
            text = "\n".join(line for line in text.splitlines() if line[:1] in ("+", " "))
        words |= set(re.findall(r"\w+", text))
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    bare = {Path(path).name for path in paths}
    wrong = []
    for page, text in pages_of_docs().items():
        names = re.findall(r"\b(\w+)\(\)|\b(IOASID_[A-Z_]+)\b", text)
        wrong += [f"{page.name}: {name}" for pair in set(names) for name in pair
                  if name and name not in words and not in_the_base(name)]
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            wrong += [] if (page.parent / link).exists() else [f"{page.name}: {link}"]
        wrong += [f"{page.name}: {name}" for name in re.findall(r"`([\w-]+\.(?:c|h|py|sh|toml|md|rst))`", text)
                  if name not in bare]
        for path in re.findall(r"`([\w.-]+/[\w./-]*\w)`", text):
            known = path in paths or any(other.startswith(f"{path}/") for other in paths)
            wrong += [] if known or path.partition("/")[0] not in tops or path.startswith("build/") \
                else [f"{page.name}: {path}"]
    assert not wrong, f"there is no (more) {', '.join(sorted(set(wrong)))}"


PLAIN: list[Callable[[Path], None]] = [
    only_what_is_named, remade_when_packages_change, tiers_see_only_that, failed_steps_say_why,
    docs_name_what_exists, what_is_extended_stands_once, what_guest_tests_name_is_there, one_test_by_name]


REAL = [
    ("git am takes the series on a fresh tree, and makes the same tree", ["scripts/check-series", "--no-checkpatch"]),
    ("the series is stored as export would write it", ["scripts/export", "--check"]),
    ("docs/MAP.md is what scripts/where --map writes", ["scripts/where", "--check"]),
    ("the shell scripts are clean", ["scripts/lint", "--scripts-only"]),
]


def real(name: str, command: list[str]) -> Result:
    """Of the repository's own series, on the real source."""
    result = subprocess.run([ROOT / command[0], *command[1:]], capture_output=True, text=True)
    output = (result.stdout + result.stderr).strip()
    return Result(name, "fail" if result.returncode else "pass", output if result.returncode else "")


def made_up(start: Callable[[Path], Sandbox | Path], test: Callable[..., None]) -> Result:
    name = (test.__doc__ or test.__name__).strip()
    with tempfile.TemporaryDirectory() as directory:
        try:
            test(start(Path(directory)))
            return Result(name, "pass")
        except (AssertionError, OSError, KeyError, steps.StepFailed, subprocess.CalledProcessError) as failed:
            traceback.print_exc()
            return Result(name, "fail", str(failed))


def run() -> Iterator[Result]:
    subprocess.run([ROOT / "scripts/prepare"], check=True)
    # The longest first. Those of PLAIN look at what the whole process has: its environment and output.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        runs = [*(pool.submit(real, *command) for command in REAL), *(pool.submit(made_up, Sandbox, test) for test in TESTS)]
        yield from (run.result() for run in runs)
    yield from (made_up(Path, test) for test in PLAIN)
