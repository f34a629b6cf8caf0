"""From commits to patch files: what is overlay, what is a hunk, and which number a patch gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from .gittree import GitTree
from .patchfile import PatchFile
from .target import Stop

STEP = 10


@dataclass
class _Claims:
    """Which commit brought which whole file."""

    by_path: dict[str, str] = field(default_factory=dict)

    def claim(self, path: str, subject: str) -> None:
        self.refuse_later(path, subject)
        self.by_path[path] = subject

    def refuse_later(self, path: str, subject: str) -> None:
        if path in self.by_path:
            raise Stop(f"'{subject}' changes {path}, which '{self.by_path[path]}' added: a new file stands in one "
                       f"commit, in its final form (git commit --fixup=':/{self.by_path[path]}')")


def patches_of(tree: GitTree, head: str, old: list[tuple[str, PatchFile]], replace: set[str]) -> list[PatchFile]:
    """One PatchFile for each commit between base and head."""
    by_subject = {patch.subject: patch for _, patch in old}
    replace = replace | {path for _, patch in old for path in patch.replaced}
    claims = _Claims()
    return [_patch_of(tree, commit, by_subject, replace, claims)
            for commit in tree.git("rev-list", "--reverse", f"base..{head}").split()]


def _patch_of(tree: GitTree, commit: str, by_subject: dict[str, PatchFile], replace: set[str],
              claims: _Claims) -> PatchFile:
    author, date, message = tree.git("log", "-1", "--format=%an <%ae>%n%aD%n%B", commit).split("\n", 2)
    subject, _, body = message.partition("\n\n")
    if len(tree.git("log", "-1", "--format=%P", commit).split()) != 1:
        raise Stop(f"'{subject}' is a merge: the series is a line")
    subject = " ".join(subject.split())
    patch = PatchFile(author, date, subject, body.strip("\n"))
    if subject in by_subject:
        patch.upstream = by_subject[subject].upstream
    in_place = []
    for status, path, mode in _changes(tree, commit):
        blob = tree.base_blob(path)
        if status == "A" and not blob:
            claims.claim(path, subject)
            patch.added.append(path)
        elif status == "M" and blob and path in replace:
            claims.claim(path, subject)
            patch.replaced[path] = blob
        else:
            claims.refuse_later(path, subject)
            in_place.append(path)
        if path in patch.overlay and mode not in ("100644", "100755"):
            raise Stop(f"'{subject}' adds {path}, which is not a plain file")
    if in_place:
        patch.diff = tree.git_bytes("diff-tree", "-p", "--full-index", "--no-renames", "--no-commit-id", commit,
                                    "--", *sorted(in_place))
    return patch


def _changes(tree: GitTree, commit: str) -> list[tuple[str, str, str]]:
    """(status, path, new mode) of each file that a commit touches."""
    raw = tree.git("diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", commit).split("\0")
    return [(info.split()[4], path, info.split()[1]) for info, path in zip(raw[::2], raw[1::2])]


def number(patches: list[PatchFile], old: list[tuple[str, PatchFile]]) -> list[tuple[str, PatchFile]]:
    """File names: numbers that a patch had before stay where the order allows it."""
    before = {patch.subject: int(name.split("-", 1)[0]) for name, patch in old}
    by_file = {path: int(name.split("-", 1)[0]) for name, patch in old for path in patch.overlay}
    had = [before.get(patch.subject) or next((by_file[p] for p in patch.overlay if p in by_file), None)
           for patch in patches]
    kept = _longest_rising(had)
    numbers: list[int] = []
    for position in range(len(patches)):
        if position in kept:
            numbers.append(had[position] or 0)
            continue
        last = numbers[-1] if numbers else 0
        upcoming = next((had[later] for later in range(position, len(patches)) if later in kept), None)
        choice = (last // STEP + 1) * STEP
        if upcoming is not None and choice >= upcoming:
            choice = (last + upcoming) // 2
        if choice == last:
            raise Stop(f"no number is free for '{patches[position].subject}': scripts/export --renumber")
        numbers.append(choice)
    return [(f"{n:04d}-{patch.slug()}.patch", patch) for n, patch in zip(numbers, patches)]


def _longest_rising(values: list[int | None]) -> set[int]:
    """Positions of the longest strictly rising run of numbers, others left out."""
    best: dict[int, list[int]] = {}
    for position, value in enumerate(values):
        if value is None:
            continue
        before = [run for run in best.values() if (values[run[-1]] or 0) < value]
        best[position] = max(before, key=len, default=[]) + [position]
    return set(max(best.values(), key=len, default=[]))
