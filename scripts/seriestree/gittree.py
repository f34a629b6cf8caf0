"""The git tree under build/: the base, and the commits made of the series.

Commits are made in a private index, not in the work tree, and the work tree is then moved
from the old result to the new one: files that did not change keep their time stamps, so
that the next kernel build compiles only what changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .patchfile import PatchFile
from .target import BUILD, ROOT, Stop, Target, say

# Nothing of the user's configuration may change what a diff or a commit looks like.
CLEAN_ENV = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
BUILD_OUTPUT = ("*.o", "*.ko", "*.d", "*.cmd", "*.mod", "*.mod.c", "*.pyc", "*.tmp", "*.orig", "*.rej", "*~", ".*.swp")
BASE_IDENTITY = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
                 for key, value in (("NAME", "base"), ("EMAIL", "base@localhost"), ("DATE", "1 Jan 2024 00:00 +0000"))}


@dataclass
class GitTree:
    target: Target

    @property
    def path(self) -> Path:
        return self.target.tree

    def git(self, *args: str | Path, env: dict[str, str] | None = None, data: bytes | None = None) -> str:
        result = subprocess.run(["git", *args], cwd=self.path, check=True, capture_output=True, input=data,
                                env={**os.environ, **CLEAN_ENV, **(env or {})})
        return result.stdout.decode(errors="surrogateescape").rstrip("\n")

    def git_bytes(self, *args: str) -> bytes:
        return subprocess.run(["git", *args], cwd=self.path, check=True, capture_output=True,
                              env={**os.environ, **CLEAN_ENV}).stdout

    # -- what state the tree is in

    def exists(self) -> bool:
        return (self.path / ".git").exists()

    def commit_of(self, name: str) -> str:
        return self.git("rev-parse", f"{name}^{{commit}}")

    def head(self) -> str:
        return self.commit_of("HEAD")

    def tree_of(self, commit: str) -> str:
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def uncommitted(self) -> list[str]:
        """Files with changes that no commit has yet.

        Debian's kernel tree ignores every new file (its .gitignore ends in '/*'), so git's own
        idea of what is untracked is not asked: all that no build leaves behind counts.
        """
        listing = self.git("diff", "--name-only", "-z", "HEAD").split("\0")
        roots = [root for root in self.target.roots if (self.path / root).exists()]
        excludes = [word for pattern in BUILD_OUTPUT for word in ("-x", pattern)]
        others = self.git("ls-files", "-z", "--others", *excludes, "--", *roots).split("\0")
        return sorted(filter(None, [*listing, *(name for name in others if name and self._is_source(name))]))

    def _is_source(self, name: str) -> bool:
        file = self.path / name
        if not file.is_file() or file.is_symlink():
            return False
        with file.open("rb") as content:
            return not content.read(8).startswith((b"\x7fELF", b"!<arch>"))

    def dirty(self) -> bool:
        return bool(self.uncommitted())

    def changed(self) -> bool:
        """Is there work in the tree that the repository does not have?"""
        return self.exists() and (self.head() != self.target.load_state().get("head") or self.dirty())

    def repo_changed(self) -> bool:
        return self.target.load_state().get("repo") != self.target.repo_hash()

    def base_blob(self, path: str) -> str | None:
        line = self.git("ls-tree", "base", "--", path)
        return line.split()[2] if line else None

    # -- the base

    def extract(self, source: Path, identity: str) -> None:
        """Lay out a source as the commit `base`.

        Its files are as old as the tree, not as the release (tar -m): else make would take objects
        of the base before it, which are younger than any release, for up to date.
        """
        say(f"extracting {source.name} (about a minute)")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.", dir=self.path.parent))
        try:
            if source.is_dir():
                copy = f"git -C '{source}' archive HEAD" if (source / ".git").exists() else f"tar -C '{source}' -c ."
                subprocess.run(f"set -o pipefail; {copy} | tar -x -m -C '{temporary}'", shell=True, check=True,
                               executable="/bin/bash")
            else:
                subprocess.run(["tar", "-x", "-m", "--strip-components=1", "-f", source, "-C", temporary], check=True)
            shutil.rmtree(self.path, ignore_errors=True)
            temporary.chmod(0o755)
            temporary.rename(self.path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.git("init", "-q", "-b", "series")
        for key, value in (("core.compression", "1"), ("gc.auto", "0"), ("core.fsync", "none")):
            self.git("config", key, value)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--no-verify", "-m", f"base: {source.name}", env=BASE_IDENTITY)
        self.git("tag", "base")
        self.target.save_state(base=identity, head=self.head(), repo="")

    # -- the series as commits

    def commit_series(self, series: list[tuple[str, PatchFile]]) -> str:
        """Make one commit of each patch on top of base; returns the last one."""
        with tempfile.TemporaryDirectory(dir=BUILD) as directory:
            index = {"GIT_INDEX_FILE": f"{directory}/index"}
            self.git("read-tree", "base", env=index)
            commit = self.commit_of("base")
            for name, patch in series:
                commit = self._commit(name, patch, commit, index)
        return commit

    def _commit(self, name: str, patch: PatchFile, parent: str, index: dict[str, str]) -> str:
        for path in patch.added:
            if self.base_blob(path):
                raise Stop(f"{name}: {path} is in the base already; say 'Overlay: R' if it is to be replaced")
        for path, blob in patch.replaced.items():
            if self.base_blob(path) != blob:
                raise Stop(f"{name} replaces {path}, but the base's file is not the one it was written against")
        if patch.overlay:
            files = [self.target.overlay / path for path in patch.overlay]
            blobs = self.git("hash-object", "-w", "--no-filters", *files).split()
            modes = ["100755" if os.access(file, os.X_OK) else "100644" for file in files]
            # All in one step: each writes the whole index
            lines = [f"{mode} {blob}\t{path}\n" for mode, blob, path in zip(modes, blobs, patch.overlay, strict=True)]
            self.git("update-index", "--add", "--index-info", env=index, data="".join(lines).encode())
        if patch.diff:
            try:
                self.git("apply", "--cached", "--whitespace=nowarn", "-", env=index, data=patch.diff)
            except subprocess.CalledProcessError as failed:
                raise Stop(f"{name} does not apply:\n{failed.stderr.decode()}") from None
        author, _, email = patch.author.rpartition(" <")
        identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
                    for key, value in (("NAME", author), ("EMAIL", email.rstrip(">")), ("DATE", patch.date))}
        tree = self.git("write-tree", env=index)
        return self.git("commit-tree", tree, "-p", parent, env=identity, data=patch.message.encode())

    def recommit(self, original: str, parent: str) -> str:
        """The same commit (tree, author, message) on another parent."""
        name, email, date = self.git("log", "-1", "--format=%an%n%ae%n%aD", original).split("\n")
        identity = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_AUTHOR_DATE": date,
                    "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email, "GIT_COMMITTER_DATE": date}
        message = self.git("log", "-1", "--format=%B", original).encode() + b"\n"
        return self.git("commit-tree", f"{original}^{{tree}}", "-p", parent, env=identity, data=message)

    def autosquash(self) -> None:
        """Fold fixup commits in, without aging the files that end up the same."""
        subjects = self.git("log", "--format=%s", "base..HEAD").splitlines()
        if not any(subject.startswith(("fixup! ", "squash! ", "amend! ")) for subject in subjects):
            return
        touched = self.git("diff", "--name-only", "-z", "base", "HEAD").split("\0")
        files = [self.path / name for name in touched if name and (self.path / name).is_file()]
        before = {file: (file.read_bytes(), file.stat()) for file in files}
        committer = {"GIT_COMMITTER_NAME": "export", "GIT_COMMITTER_EMAIL": "export@localhost",
                     "GIT_SEQUENCE_EDITOR": ":", "GIT_EDITOR": ":"}
        try:
            self.git("rebase", "-q", "-i", "--autosquash", "base", env=committer)
        except subprocess.CalledProcessError as failed:
            self.git("rebase", "--abort")
            raise Stop("the fixup commits do not fold in cleanly; run it by hand: "
                       f"git -C {self.path} rebase -i --autosquash base\n{failed.stderr.decode()}") from None
        for file, (content, stat) in before.items():
            if file.is_file() and file.read_bytes() == content:
                os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def move_to(self, commit: str) -> None:
        self.git("checkout", "-q", "-B", "series", commit)
        self.target.save_state(head=commit, repo=self.target.repo_hash())


def identity_of(source: Path) -> str:
    """A word that tells this source from any other."""
    return str(source) if source.is_dir() else f"{source.name}:{source.stat().st_size}"


def fetched_source(target: Target, *version: str) -> tuple[Path, str]:
    """The source to extract, the configured one or that of another version, and its identity."""
    output = subprocess.run([ROOT / "scripts/fetch", target.name, *version], check=True, stdout=subprocess.PIPE)
    source = Path(output.stdout.decode().strip())
    return source, identity_of(source)
