"""Boot a kernel of the lab in QEMU, run one program in it, and judge the run.

The program's output is printed as it comes. The exit status is the program's; 124 when it
timed out, 125 when the run itself went wrong (oops, splat, leak, lost VM, ...). Each run
leaves a directory in build/results/ with the exact command, console, verdict and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock

from . import initrd, judge, kernels, machine
from .machine import BUILD, ROOT, Scenario

RESULTS = BUILD / "results"

# What runs that begin at the same time share: build/guest, build/results/latest
STARTING = Lock()


@dataclass
class Job:
    """What is run where; kept in results as job.json, so that `make again` can repeat it."""

    name: str
    kernel: str
    scenario: str
    argv: list[str]
    timeout: int
    margin: int
    shell: bool
    kernel_args: list[str]
    count: bool = False  # count instructions between marks, see lab/guest/bench/insn-mark.h


def say(text: str) -> None:
    print(f"[guest] {text}", file=sys.stderr, flush=True)


def new_results(job: Job) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        directory = RESULTS / f"{stamp}-{job.kernel}-{job.name}{suffix}"
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        latest = RESULTS / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(directory.name)
        return directory
    raise SystemExit("too many results in one second")


def accelerator(kernel: Path) -> str:
    """KVM when a kernel really boots under it, TCG otherwise; found out once per boot of the host."""
    choice = os.environ.get("ACCEL") or "auto"
    if choice != "auto":
        return choice
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cache = BUILD / f"guest/accel-{boot_id}"
    if not cache.exists():
        works = os.access("/dev/kvm", os.R_OK | os.W_OK) and boots_under_kvm(kernel)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text("kvm" if works else "tcg")
        say(f"QEMU will use {'KVM' if works else 'TCG: KVM does not boot a guest here'}")
    return cache.read_text()


def boots_under_kvm(kernel: Path) -> bool:
    """A guest without a file system panics, and that is life enough."""
    command = [machine.qemu_binary(), "-nodefaults", "-no-reboot", "-display", "none", "-accel", "kvm", "-cpu", "host",
               "-machine", "q35,kernel-irqchip=split", "-m", "256M", "-serial", "stdio",
               *(word for directory in machine.FIRMWARE for word in ("-L", str(directory))),
               "-kernel", str(kernel / "bzImage"), "-append", "console=ttyS0 panic=-1"]
    try:
        output = subprocess.run(command, capture_output=True, timeout=20, stdin=subprocess.DEVNULL).stdout
    except subprocess.TimeoutExpired:
        return False
    return b"Kernel panic" in output


def versions(kernel: Path) -> str:
    def first_line(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True).stdout.split("\n", 1)[0]
    return "\n".join([
        f"repository {first_line('git', '-C', str(ROOT), 'describe', '--always', '--dirty')}",
        f"series {first_line('git', '-C', str(BUILD / 'linux'), 'describe', '--always', '--dirty')}",
        f"kernel {(kernel / 'include/config/kernel.release').read_text().strip()}",
        f"qemu {first_line(machine.qemu_binary(), '--version')}",
        f"gcc {first_line('gcc', '--version')}", ""])


NOT_OK = re.compile(rb"^ *not ok (?!.*# (?:SKIP|TODO)).*(?=\n)", re.MULTILINE)


class HostPauses:
    """How long the host kept this process waiting at most, and how much CPU time its own host took from it."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.last = time.monotonic()
        self.stolen_before = self.stolen()

    @staticmethod
    def stolen() -> float:
        """Seconds, of all CPUs (proc(5), /proc/stat, field steal)."""
        return int(Path("/proc/stat").read_text().split(None, 9)[8]) / os.sysconf("SC_CLK_TCK")

    def beat(self) -> None:
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.last = now

    def __str__(self) -> str:
        return f"longest pause {self.longest:.1f} s, stolen {self.stolen() - self.stolen_before:.1f} s"


def follow(process: subprocess.Popen[bytes], output: Path, deadline: float | None, quiet: bool,
           until_red: bool, pauses: HostPauses, booted: tuple[Path, float] | None = None) -> tuple[bool, str]:
    """Copy the guest's output to ours (or not) until QEMU ends. Did it have to be stopped, and for which red test?"""
    stopped = False
    red = None
    said = b""
    with output.open("rb") as source:
        while True:
            pauses.beat()
            ended = process.poll() is not None
            chunk = source.read()
            if chunk and not quiet:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            if chunk and until_red:
                said += chunk
                red = NOT_OK.search(said)
            if ended or red:
                return stopped, red[0].decode(errors="replace").strip() if red else ""
            if booted and time.monotonic() > booted[1]:
                # A kernel that hangs before PID 1 does not need the time of the program, too
                if b"Run /init" not in booted[0].read_bytes():
                    deadline = booted[1]
                booted = None
            if deadline and time.monotonic() > deadline:
                stopped = True
                process.kill()
                process.wait()
            time.sleep(0.05)


def run(job: Job, files: dict[str, Path], quiet: bool = False, until_red: bool = False) -> tuple[judge.Verdict, Path]:
    scenario = Scenario.load(job.scenario)
    kernel = kernels.one(job.kernel).built()
    with STARTING:
        accel = accelerator(kernel)
        directory = new_results(job)
        (directory / "job.json").write_text(json.dumps(asdict(job), indent=1) + "\n")
        init = initrd.build_program(ROOT / "lab/guest/init/init.c", BUILD)
        initrd.write(directory / "initrd", init, kernel / "modules", job.argv, files, job.timeout, job.shell)
    return boot(job, scenario, kernel, accel, directory, quiet, until_red), directory


def boot(job: Job, scenario: Scenario, kernel: Path, accel: str, directory: Path,
         quiet: bool = False, until_red: bool = False) -> judge.Verdict:
    """Start QEMU in a results directory that holds the initial file system, and judge what comes of it.

    With until_red the machine is stopped at the first test that is not ok: for who only wants to know that.
    """
    if job.count:
        # Under TCG and on one CPU, or begin and end of a region may be seen by different ones
        scenario, accel = replace(scenario, cpus=1), "tcg"
    command = machine.command(scenario, kernel, directory / "initrd", directory, accel, job.shell, job.kernel_args)
    if job.count:
        command += ["-plugin", f"{BUILD}/qemu-build/contrib/plugins/libmarkcount.so,out=insns"]
    (directory / "command").write_text(shlex.join(command) + "\n")
    (directory / "versions").write_text(versions(kernel))
    shutil.copy(kernel / ".config", directory / "kernel.config")
    for name in ("output.log", "verdict", "console.log"):
        (directory / name).touch()
    start = time.monotonic()
    pauses = HostPauses()
    with (directory / "qemu.log").open("wb") as errors:
        process = subprocess.Popen(command, cwd=directory, stdin=None if job.shell else subprocess.DEVNULL,
                                   stdout=None if job.shell else errors, stderr=None if job.shell else errors)
        try:
            deadline = None if job.shell else start + job.timeout + job.margin
            stopped, red = follow(process, directory / "output.log", deadline, quiet, until_red, pauses,
                                  None if job.shell else (directory / "console.log", start + job.margin))
        finally:
            process.kill()
            process.wait()
    if job.shell:
        return judge.Verdict("pass", "", 0)
    errors_text = (directory / "qemu.log").read_text(errors="replace").strip()
    if process.returncode and not stopped and not red:
        say(f"QEMU exited with {process.returncode}: {errors_text}")
    if red:
        verdict = judge.Verdict("fail", f"stopped at: {red}", 1)
    else:
        verdict = judge.judge(directory, judge.known_benign(ROOT / "lab/known-benign.txt"), scenario.console_shows,
                              stopped)
    if verdict.word not in ("pass", "fail"):
        # Whoever reads of a stall or of a timeout wants to know first whose it was
        verdict.detail += f" (host: {pauses})"
    (directory / "outcome").write_text(f"{verdict.word} {verdict.detail}\n")
    if job.count and not quiet:
        sys.stdout.write((directory / "insns").read_text())
    if not quiet:
        say(f"{verdict.word}{': ' + verdict.detail if verdict.detail else ''} "
            f"({time.monotonic() - start:.1f} s; {os.path.relpath(directory)})")
    return verdict


def program_files(program: str, extra: list[str]) -> tuple[str, dict[str, Path]]:
    """Guest path of the program and what is copied into the guest."""
    files = {}
    for word in extra:
        source, _, name = word.partition("=")
        path = Path(source).resolve(strict=True)
        if path.suffix == ".c":
            path = initrd.build_program(path, BUILD)
        files[(name or f"lab/{path.name}").lstrip("/")] = path
    path = Path(program)
    if "/" not in program and not path.is_file():
        return program, files  # a busybox applet, or something --add brought
    if not path.is_file():
        if program.startswith("/"):
            return program, files
        raise SystemExit(f"{program}: no such file")
    if path.suffix == ".c":
        path = initrd.build_program(path, BUILD)
    if initrd.needs_interpreter(path):
        raise SystemExit(f"{program} is dynamically linked; the guest has no libraries: link it with -static")
    files[f"lab/bin/{path.name}"] = path.resolve()
    return f"/lab/bin/{path.name}", files


def exit_status(verdict: judge.Verdict) -> int:
    if verdict.word in ("pass", "fail"):
        return verdict.status or 0
    return 124 if verdict.word == "timeout" else 125


def again(name: str) -> int:
    """Repeat a run: the same job and initial file system, on the kernel and QEMU of today."""
    old = (RESULTS / name).resolve()
    if not (old / "job.json").exists():
        raise SystemExit(f"{name}: no such run in {os.path.relpath(RESULTS)}")
    job = Job(**json.loads((old / "job.json").read_text()))
    directory = new_results(job)
    for file in ("job.json", "initrd"):
        shutil.copy(old / file, directory / file)
    kernel = kernels.one(job.kernel).built()
    return exit_status(boot(job, Scenario.load(job.scenario), kernel, accelerator(kernel), directory))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", choices=kernels.BOOTABLE, default="series")
    parser.add_argument("--scenario", default="default", help="lab/scenarios/<name>.toml")
    parser.add_argument("--timeout", type=int, default=300, help="seconds the program may take (default: 300)")
    parser.add_argument("--add", action="append", default=[], metavar="FILE[=GUESTPATH]",
                        help="copy this file or directory into the guest (default place: /lab/<name>)")
    parser.add_argument("--kernel-arg", action="append", default=[], help="one more kernel argument")
    parser.add_argument("--keep-going", action="store_true", help="do not let the kernel panic at its first WARN")
    parser.add_argument("--count", action="store_true",
                        help="count instructions between the marks of lab/guest/bench/insn-mark.h and print them")
    parser.add_argument("--shell", action="store_true", help="a prompt on the console instead of a program")
    parser.add_argument("--again", metavar="RUN", help="repeat the run of that name in build/results")
    parser.add_argument("program", nargs="?", help="a static program or script of the host, or an applet of busybox")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.again:
        return again(args.again)
    if not args.program and not args.shell:
        parser.error("name a program, or --shell")
    program, files = program_files(args.program or "sh", args.add)
    kernel_args = args.kernel_arg + ([] if args.keep_going or args.shell else ["panic_on_warn=1"])
    name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(program).name)
    job = Job(name, args.kernel, args.scenario, [program, *args.arguments], args.timeout,
              kernels.one(args.kernel).margin, args.shell, kernel_args, args.count)
    if args.shell:
        say("booting to a prompt; leave with 'exit', or Ctrl-A X to end QEMU at once")
    verdict, _ = run(job, files)
    return exit_status(verdict)


if __name__ == "__main__":
    sys.exit(main())
