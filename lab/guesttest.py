"""Tests that run in a guest: one file of lab/guest-tests/ is one boot.

    description = "what it shows"
    kernels  = ["series", "debug"]        # which kernels it is run on
    scenario = "default"                  # lab/scenarios/<name>.toml
    program  = "lab/guest/platform/kunit.sh" # run in the guest; prints (K)TAP, or tap = false
    args     = ["ioasid"]                 # with selftests: only these programs of the directory
    files    = ["lab/guest/lib/x.sh"]     # copied to /lab/<name>; a C file as a static program
    modules  = ["lab/guest/sva/x-mod.c"]  # built for the kernel, copied to /lab/x-mod.ko
    tools    = ["iommu/ioasid/ioasidctl"] # programs of the kernel's tools/, copied to /lab/<name>
    prepare  = "scripts/accel-config"     # run on the host first, to make files
    selftests = "ioasid"                  # or: build tools/testing/selftests/<name>, run it all; a program beside it
                                          # runs them, with the arguments of lab/guest/platform/selftests.sh
    timeout  = 60                         # seconds the program may take on a machine with nothing else to do; it is taken
                                          # for hung after PATIENCE times that
    keep_going = false                    # true: a WARN does not end the run at once
    kernel_args = ["maxcpus=1"]           # more arguments for this boot's kernel
    margin   = 60                         # seconds for boot, leak scan and power-off (default: by kernel, with patience)
    needs    = "tools/testing/..."        # skip while the series does not have this path
    on_request = ["debug"]                # of its kernels, those on which only `make test-TIER` and test-one run it
    extends  = "other-test"               # what is not said here is said there: see extends.py

    python3 -m lab.guesttest NAME KERNEL  # run one and watch it; the exit status is the program's
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from . import extends, kernels, ktap, modules, steps
from . import run as runner
from .machine import BUILD, ROOT
from .report import Result, show

TESTS = ROOT / "lab/guest-tests"
# A time limit is for what hangs. Other work of the machine makes a run slower, several times, and not wrong.
PATIENCE = 5
# Guests have up to 2 GiB of memory.
AT_ONCE = 4
# How many are named that made a tier long.
LONGEST = 5
# Tests that run at the same time share what is built for them.
BUILDING = Lock()


def run_all(tests: list["GuestTest"], kernel: str) -> Iterator[Result]:
    """Run tests, as many at a time as there are CPUs, and yield their results in the order of the tests.

    A guest uses one CPU most of the time, and none where it waits. Those that may take long begin first, so that at the
    end there is none that all wait for."""
    seconds: dict[str, float] = {}

    def run(test: GuestTest) -> list[Result]:
        start = time.monotonic()
        try:
            return test.run(kernel)
        finally:
            seconds[test.name] = time.monotonic() - start

    with ThreadPoolExecutor(min(os.cpu_count() or 1, AT_ONCE)) as pool:
        runs = {test.name: pool.submit(run, test) for test in sorted(tests, key=lambda test: -test.timeout)}
        try:
            for test in tests:
                yield from runs[test.name].result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    longest = sorted(seconds, key=lambda name: -seconds[name])[:LONGEST]
    if len(tests) > LONGEST:
        show(f"  of {len(tests)} guests took longest: {', '.join(f'{name} {seconds[name]:.0f} s' for name in longest)}")


@dataclass
class GuestTest:
    name: str
    description: str
    kernels: list[str] = field(default_factory=lambda: ["series"])
    scenario: str = "default"
    program: str = ""
    args: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    prepare: str = ""
    selftests: str = ""
    timeout: int = 60
    keep_going: bool = False
    tap: bool = True
    kernel_args: list[str] = field(default_factory=list)
    margin: int = 0
    needs: str = ""
    on_request: list[str] = field(default_factory=list)
    expect: str = "pass"  # canaries: the word that the run must get

    @classmethod
    def load(cls, file: Path) -> "GuestTest":
        return cls(name=file.stem, **extends.load(file.parent, file.stem))

    @classmethod
    def named(cls, name: str) -> "GuestTest":
        """That of lab/guest-tests."""
        if not (TESTS / f"{name}.toml").is_file():
            names = ", ".join(sorted(path.stem for path in TESTS.glob("*.toml")))
            raise SystemExit(f"no guest test '{name}'; there are: {names}")
        return cls.load(TESTS / f"{name}.toml")

    @classmethod
    def load_all(cls, directory: Path) -> list["GuestTest"]:
        return [cls.load(file) for file in sorted(directory.glob("*.toml"))]

    def check(self, kernel: str) -> None:
        if kernel not in self.kernels:
            raise SystemExit(f"{self.name} is not run on '{kernel}'; its kernels are: {', '.join(self.kernels)}")

    def run(self, kernel: str, until_red: bool = False) -> list[Result]:
        """Boot, run, and return one result for each test that the program planned or reported.

        With until_red nothing is run after the first red test."""
        label = f"{self.name}@{kernel}"
        if self.needs and not (BUILD / "linux" / self.needs).exists():
            return [Result(label, "skip", f"the series has no {self.needs} yet")]
        with BUILDING:
            job, files = self.job(kernel)
        verdict, results = runner.run(job, files, quiet=True, until_red=until_red)
        return self.results(label, verdict, (results / "output.log").read_text(errors="replace"),
                            os.path.relpath(results))

    def job(self, kernel: str) -> tuple["runner.Job", dict[str, Path]]:
        """What is to be run, with the files that the guest gets, which are built."""
        if self.prepare:
            steps.script(ROOT / self.prepare)
        booted = kernels.one(kernel)
        program, args, files = self.program, self.args, list(self.files)
        for module in self.modules:
            files.append(str(modules.build(ROOT / module, kernel, booted.built())))
        for tool in self.tools:
            files.append(steps.script(ROOT / "scripts/build-tool", tool).strip())
        if self.selftests:
            directory, programs = build_selftests(self.selftests, kernel)
            program = self.program or "lab/guest/platform/selftests.sh"
            args = [f"/lab/{directory.name}", *(args or programs)]
            files.append(str(directory))
        path, copied = runner.program_files(str(ROOT / program) if "/" in program else program,
                                            [str(ROOT / file) for file in files])
        job = runner.Job(self.name, kernel, self.scenario, [path, *args], self.timeout * booted.slow * PATIENCE,
                         self.margin or booted.margin * PATIENCE, False,
                         self.kernel_args + ([] if self.keep_going else ["panic_on_warn=1"]))
        return job, copied

    def results(self, label: str, verdict: "runner.judge.Verdict", output: str, where: str) -> list[Result]:
        tests = [Result(f"{label}: {test.name}", test.word, test.detail) for test in ktap.parse(output)] \
            if self.tap else []
        if verdict.word not in ("pass", "fail"):
            return [*tests, Result(label, verdict.word, f"{verdict.detail} ({where})")]
        red = any(result.word not in ("pass", "skip") for result in tests)
        if verdict.word == "fail" and not red:
            tests.append(Result(label, "fail", f"{verdict.detail} ({where})"))
        elif self.tap and not any(ktap.planned(output)):
            tests.append(Result(label, "missing", f"the program printed no test plan ({where})"))
        elif not self.tap:
            tests.append(Result(label, "pass"))
        return tests


def build_selftests(name: str, kernel: str) -> tuple[Path, list[str]]:
    """Build the kselftests of one directory as static programs; returns where they are and what to run."""
    objects = kernels.one(kernel).built()
    # The kernel says which source it was built from
    source = (objects / "source").resolve()
    installed = BUILD / f"selftests/{name}"
    make: list[str | Path] = ["make", "-s", "-C", source / f"tools/testing/selftests/{name}",
                              f"OUTPUT={BUILD}/selftests/obj-{name}", f"KHDR_INCLUDES=-isystem {objects}/usr/include"]
    environment = {**os.environ, "LDFLAGS": "-static"}
    (BUILD / f"selftests/obj-{name}").mkdir(parents=True, exist_ok=True)
    steps.logged(f"building the selftests of {name}", BUILD / f"log/selftests-{name}.log",
                 ["make", "-C", objects, "headers"], [*make, "install", f"INSTALL_PATH={installed}"],
                 environment=environment)
    listing = subprocess.run([*make, "emit_tests", f"COLLECTION={name}"], check=True, capture_output=True,
                             text=True, env=environment).stdout
    return installed, [line.partition(":")[2] for line in listing.split() if ":" in line]


def main() -> int:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python3 -m lab.guesttest NAME KERNEL")
    test, kernel = GuestTest.named(sys.argv[1]), sys.argv[2]
    test.check(kernel)
    verdict, _ = runner.run(*test.job(kernel))
    return runner.exit_status(verdict)


if __name__ == "__main__":
    sys.exit(main())
