"""The tiers of `make test`: each is a function that yields one Result a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lab import judge, ktap, steps
from lab import run as runner
from lab.guesttest import TESTS, GuestTest, run_all
from lab.kernels import BOOTABLE, KERNELS
from lab.machine import BUILD, ROOT
from lab.report import AllowedSkips, Result, show

from . import labtests

LINUX = BUILD / "linux"
NO_SKIPS = AllowedSkips(Path(os.devnull))


def build(kernel: str) -> None:
    steps.script(ROOT / "scripts/build-kernel", kernel)
    build_qemu()


def build_qemu() -> None:
    if not os.environ.get("QEMU"):
        steps.script(ROOT / "scripts/build-qemu")


def logged(name: str, command: list[str | Path], **options) -> tuple[int, str]:
    """Run a command; its exit status and output, which is kept in build/log. Says now and then that it runs."""
    log = BUILD / f"log/{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **options)
        start = time.monotonic()
        while True:
            try:
                status = process.wait(timeout=20)
                return status, log.read_text(errors="replace")
            except subprocess.TimeoutExpired:
                show(f"  ... {time.monotonic() - start:.0f} s ({os.path.relpath(log)})")


def from_ktap(name: str, status: int, output: str) -> Iterator[Result]:
    """The tests in a program's report; and the program itself when that alone is red or says nothing."""
    tests = ktap.parse(output)
    yield from (Result(test.name, test.word, test.detail) for test in tests)
    where = f"build/log/{name}.log"
    if not any(ktap.planned(output)):
        yield Result(name, "missing", f"no test plan in its output, exit {status} ({where})")
    elif status and all(test.word in ("pass", "skip") for test in tests):
        yield Result(name, "fail", f"exit {status}, though each test passed ({where})")


def user() -> Iterator[Result]:
    directory = "tools/testing/ioasid"
    steps.script(ROOT / "scripts/prepare")
    if not (LINUX / directory).exists():
        yield Result("user", "skip", f"the series has no {directory} yet")
        return
    status, output = logged("user", ["make", "-s", "-C", LINUX / directory, "run_tests",
                                     f"O={BUILD / 'user'}", "CC=gcc"])
    yield from from_ktap("user", status, output)


def kunit() -> Iterator[Result]:
    steps.script(ROOT / "scripts/prepare")
    command = ["/usr/bin/python3", LINUX / "tools/testing/kunit/kunit.py", "run", "--raw_output=all",
               f"--build_dir={BUILD / 'kunit'}", f"--kunitconfig={KERNELS['kunit'].configs[0]}",
               f"--jobs={os.cpu_count()}", "--timeout=1500"]
    environment = {**os.environ, "KBUILD_BUILD_TIMESTAMP": "Mon Jan 1 00:00:00 UTC 2024"}
    status, output = logged("kunit", command, cwd=LINUX, env=environment)
    yield from from_ktap("kunit", status, output)
    benign = judge.known_benign(ROOT / "lab/known-benign.txt")
    if splat := judge.first_splat(output, benign):
        yield Result("kunit", "splat", splat)


def qtest() -> Iterator[Result]:
    script = ROOT / "scripts/test-qemu"
    if not script.exists():
        yield Result("qtest", "skip", "the repository has no scripts/test-qemu yet")
        return
    status, output = logged("qtest", [script])
    yield from from_ktap("qtest", status, output)


def guest(kernel: str, only: str = "", asked: bool = True) -> Iterator[Result]:
    """The guest tests of a kernel, or one of them; without those on request, if the tier was not asked for."""
    build(kernel)
    yield from run_all([test for test in GuestTest.load_all(TESTS)
                        if kernel in test.kernels and only in ("", test.name) and (asked or kernel not in test.on_request)],
                       kernel)


def deb() -> Iterator[Result]:
    """The packages: apt would install them, and what they install boots."""
    image = Path(steps.script(ROOT / "scripts/build-deb").strip())
    headers = image.with_name(image.name.replace("linux-image", "linux-headers"))
    for package in (image, headers):
        status, _ = logged(f"apt-{package.name.partition('_')[0]}",
                           ["apt-get", "install", "--simulate", "--no-install-recommends", package])
        yield Result(f"apt takes {package.name.partition('_')[0]}", "fail" if status else "pass",
                     f"build/log/apt-{package.name.partition('_')[0]}.log" if status else "")
    yield from guest("deb")


def canary() -> Iterator[Result]:
    """Each canary is a run that must get a certain red word."""
    canaries = GuestTest.load_all(ROOT / "tests/canary")
    for kernel in sorted({test.kernels[0] for test in canaries}):
        build(kernel)
    # The last one is good, and what it leaves is spoilt below
    *red, last = canaries
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        runs = [pool.submit(test.run, test.kernels[0]) for test in red]
        for test, run in zip(red, runs):
            yield judged(test, run.result())
    yield judged(last, last.run(last.kernels[0]))
    good = (runner.RESULTS / "latest").resolve()
    for name, lost in (("verdict", 6), ("console.log", 200)):
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(good, copy, dirs_exist_ok=True)
            whole = (good / name).read_bytes()
            Path(copy, name).write_bytes(whole[:-lost])
            yield expect(f"cut-off-{name}", "cut-off", [judge.judge(Path(copy), [], [], False).word])


def judged(test: GuestTest, results: list[Result]) -> Result:
    return expect(test.name, test.expect, [NO_SKIPS.judge("canary", result).word for result in results])


def expect(name: str, word: str, got: list[str]) -> Result:
    words = set(got) - {"pass"} or {"pass"}
    return Result(name, "pass" if words == {word} else "fail", f"expected {word}, got {', '.join(sorted(words))}")


KERNEL, GUEST, QEMU = ("kernel",), ("kernel", "guest", "test", "qemu"), ("qemu", "kernel")


def first(kernel: str) -> str:
    """What is said of a tier that runs on this kernel."""
    return f"{KERNELS[kernel].runs} (first build: {KERNELS[kernel].minutes} minutes)"


# Each with the groups of scripts/deps that it needs: it sees the programs of no other package
TIERS = {
    "lab": (labtests.run, ("kernel", "lint"), "the lab itself: round trips, determinism, scripts (about two minutes)"),
    "user": (user, ("kernel", "test"), "the core in user space under ASan and UBSan, against a reference model"),
    "kunit": (kunit, KERNEL, first("kunit")),
    "qtest": (qtest, QEMU, "the device models of QEMU"),
    **{kernel.tier: (partial(guest, kernel.name), GUEST, first(kernel.name)) for kernel in BOOTABLE.values() if kernel.tier},
    "canary": (canary, GUEST, "runs that must turn red, each with the right word"),
    "deb": (deb, (*GUEST, "deb"), first("deb")),
}
# Those that boot each of their tests
GUESTS = tuple(kernel.tier for kernel in BOOTABLE.values() if kernel.tier)
GROUPS = tuple(sorted({group for _, groups, _ in TIERS.values() for group in groups}))
# Kernels of their own, which make test does not build
ON_REQUEST = tuple(kernel.tier for kernel in KERNELS.values() if kernel.on_request)
