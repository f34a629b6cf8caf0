"""From what a guest left behind to one word: how did the run go?

Words, the worst first; a run that deserves several gets the first:

  not-started  PID 1 never reported, or could not set the guest up
  oops         the kernel oopsed, panicked or died of a BUG
  splat        the kernel complained: WARN, lockdep, KASAN, UBSAN, a stall, ...
  timeout      the program did not end in its time, in the guest or on the host
  lost-vm      the machine went away in the middle and nothing says why
  cut-off      verdict or console end too early to be believed
  leak         kmemleak found unreferenced objects
  fail         the program said so, by status, signal or a test it reported
  pass
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

END_OF_CONSOLE = "lab: end of run"

OOPS = re.compile(
    r"Kernel panic - not syncing: (?!panic_on_warn|.*panic_on_warn)|\bOops: |BUG: unable to handle|kernel BUG at|"
    r"general protection fault|BUG: kernel NULL pointer|double fault|stack segment:|Attempted to kill init")
SPLAT = re.compile(
    r"WARNING: |\bBUG: |UBSAN: |INFO: possible |INFO: task .* blocked for more than|INFO: rcu.* stall|rcu: INFO: .*stall|"
    r"suspicious RCU usage|\*\*\* DEADLOCK \*\*\*|possible recursive locking|bad unlock balance|held lock freed|"
    r"ODEBUG: |DMA-API: .*(error|device driver)|soft lockup|hard LOCKUP|list_(add|del) corruption|"
    r"sleeping function called from invalid context|scheduling while atomic|Freeing alive|refcount_t: |"
    r"nobody cared|Unable to handle kernel|general protection|DMAR: QI .*(timeout|Error)|kmemleak: .*disabled")
# Bits of /proc/sys/kernel/tainted that only kernel trouble sets
# (Documentation/admin-guide/tainted-kernels.rst): bad page, died, warned, soft lockup.
TAINTS = {5: "bad page", 7: "died (oops or BUG)", 9: "warned", 14: "soft lockup"}


@dataclass
class Verdict:
    word: str
    detail: str
    status: int | None = None  # the program's exit status, when it had one


def _first(pattern: re.Pattern[str], lines: list[str]) -> str | None:
    return next((line.strip() for line in lines if pattern.search(line)), None)


def _place(stall: str, lines: list[str]) -> str:
    """Where the CPUs were when one of them was found stuck: that line itself does not tell."""
    if "stall" not in stall and "lockup" not in stall.lower():
        return ""
    after = lines[[line.strip() for line in lines].index(stall):]
    places = dict.fromkeys(match[1] for line in after if (match := re.search(r"RIP: 0010:([\w.]+)", line)))
    return f" in {', '.join(places)}" if places else ""


def first_splat(text: str, benign: list[re.Pattern[str]]) -> str | None:
    """The first line of a kernel's log that tells of trouble."""
    lines = [line for line in text.splitlines() if not any(known.search(line) for known in benign)]
    return _first(OOPS, lines) or _first(SPLAT, lines)


def known_benign(file: Path) -> list[re.Pattern[str]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def judge(directory: Path, benign: list[re.Pattern[str]], expected: list[str], host_timeout: bool) -> Verdict:
    """Judge the run whose console.log and verdict lie in this directory."""
    console = (directory / "console.log").read_text(errors="replace").replace("\r", "")
    verdict_text = (directory / "verdict").read_text(errors="replace")
    said = dict(line.split(" ", 1) for line in verdict_text.splitlines() if " " in line)
    lines = [line for line in console.splitlines() if not any(known.search(line) for known in benign)]
    status = int(said["exit"]) if "exit" in said else None

    if oops := _first(OOPS, lines):
        return Verdict("oops", oops)
    if splat := _first(SPLAT, lines):
        return Verdict("splat", splat + _place(splat, lines))
    if "init-failed" in said:
        return Verdict("not-started", said["init-failed"])
    if "started" not in said:
        return Verdict("not-started", "the guest gave no sign of life" + (" in its time" if host_timeout else ""))
    if "timeout" in said:
        return Verdict("timeout", f"the program ran for more than {said['timeout']} s")
    if host_timeout:
        return Verdict("timeout", "the machine was stopped from outside: the guest itself no longer answered")
    if "exit" not in said and "signal" not in said:
        return Verdict("lost-vm", "the machine ended while the program ran")
    if "end" not in said:
        return Verdict("cut-off", "the verdict ends before its last line")
    if END_OF_CONSOLE not in console:
        return Verdict("cut-off", f"the console log ends before '{END_OF_CONSOLE}'")
    if bits := [name for bit, name in TAINTS.items() if int(said.get("taint", "-1")) >> bit & 1]:
        return Verdict("splat", f"the kernel is tainted: {', '.join(bits)}")
    if said["leaks"] not in ("0", "unchecked"):
        return Verdict("leak", f"kmemleak: {said['leaks']} unreferenced objects, listed in console.log")
    if "signal" in said:
        return Verdict("fail", f"the program was killed by signal {said['signal']}", 128 + int(said["signal"]))
    if absent := [text for text in expected if not re.search(text, console)]:
        return Verdict("fail", f"the console does not show what this scenario promises: {absent[0]}", status or 1)
    if status:
        return Verdict("fail", f"the program exited with status {status}", status)
    return Verdict("pass", "", 0)
