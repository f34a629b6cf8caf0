"""One file of patches/: the mail of one commit, machine lines, and the hunks it edits in place.

    From / Date / Subject, blank line, body with its trailers
    ---
    Overlay: A <path>                 a file this commit adds; it stands in the repository whole
    Overlay: R <path> base=<blob>     the same for a file that replaces one of the base
    Upstream: never: why | none: ... | related <sha> ("subject"), version | sent | backport <sha>

    diff --git ...                    hunks and deletions of files of the base
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


class FormatError(Exception):
    """A patch file, or a commit to be written as one, breaks the format above."""


@dataclass
class PatchFile:
    author: str
    date: str
    subject: str
    body: str
    added: list[str] = field(default_factory=list)
    replaced: dict[str, str] = field(default_factory=dict)
    upstream: str = "never"
    diff: bytes = b""

    @property
    def overlay(self) -> list[str]:
        return sorted([*self.added, *self.replaced])

    @property
    def message(self) -> str:
        return f"{self.subject}\n\n{self.body}\n" if self.body else f"{self.subject}\n"

    def slug(self) -> str:
        """The file name without its number: the subject, as git format-patch would write it."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", self.subject).strip("-.")[:52].rstrip("-.")

    def format(self) -> bytes:
        if re.search(r"^---$", self.body, re.MULTILINE):
            raise FormatError(f"{self.subject}: a line '---' in the message would end it")
        head = [f"From: {self.author}", f"Date: {self.date}", f"Subject: {self.subject}", ""]
        if self.body:
            head += [self.body]
        head += ["---"]
        head += [f"Overlay: A {path}" for path in sorted(self.added)]
        head += [f"Overlay: R {path} base={blob}" for path, blob in sorted(self.replaced.items())]
        head += [f"Upstream: {self.upstream}", "", ""]
        return "\n".join(head).encode() + self.diff

    @classmethod
    def parse(cls, path: Path) -> "PatchFile":
        raw = path.read_bytes()
        head_and_body, found, rest = raw.partition(b"\n---\n")
        if not found:
            raise FormatError(f"{path}: no line '---'")
        start = 0 if rest.startswith(b"diff --git ") else rest.find(b"\ndiff --git ") + 1
        machine, diff = (rest[:start], rest[start:]) if start or rest.startswith(b"diff") else (rest, b"")
        head, _, body = head_and_body.decode().partition("\n\n")
        fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
        try:
            patch = cls(fields["From"], fields["Date"], fields["Subject"], body.strip("\n"), diff=diff)
        except KeyError as missing:
            raise FormatError(f"{path}: no {missing} line") from None
        for line in filter(None, machine.decode().splitlines()):
            patch._machine_line(path, line)
        return patch

    def _machine_line(self, path: Path, line: str) -> None:
        if match := re.fullmatch(r"Overlay: A (\S+)", line):
            self.added.append(match[1])
        elif match := re.fullmatch(r"Overlay: R (\S+) base=([0-9a-f]{40})", line):
            self.replaced[match[1]] = match[2]
        elif line.startswith("Upstream: "):
            self.upstream = line.removeprefix("Upstream: ")
        else:
            raise FormatError(f"{path}: this machine line is not understood: {line}")
