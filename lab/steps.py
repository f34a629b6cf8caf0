"""Steps of a build: programs and scripts that must succeed, and a name and the end of the log when one does not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from .machine import ROOT

LAST_LINES = 12


class StepFailed(SystemExit):
    """Says which step, how it ended and what it said last; ends a script with that when nobody catches it."""

    def __init__(self, what: str, status: int, said: str, log: Path | None = None) -> None:
        self.what = what
        where = f" ({os.path.relpath(log)})" if log else ""
        lines = [line for line in said.splitlines() if line.strip()][-LAST_LINES:]
        self.detail = "\n      ".join([f"exited {status}{where}", *lines])
        super().__init__(f"{what}: {self.detail}")


def script(*command: str | Path) -> str:
    """Run one of scripts/, which says itself what it is doing; returns what it printed."""
    what = " ".join([os.path.relpath(command[0], ROOT), *map(str, command[1:])])
    last: deque[str] = deque(maxlen=LAST_LINES)
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace")
        assert process.stderr
        for line in process.stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
            last.append(line)
        status = process.wait()
        out.seek(0)
        if status:
            raise StepFailed(what, status, "".join(last) or out.read())
        return out.read()


def logged(what: str, log: Path, *commands: list[str | Path], environment: Mapping[str, str] | None = None) -> None:
    """Run commands that together are one step, with what they say in a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        for command in commands:
            status = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                    env=environment).returncode
            if status:
                raise StepFailed(what, status, log.read_text(errors="replace"), log)
