"""Scenarios, and the QEMU command that makes one of them a machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from . import extends

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("BUILD") or ROOT / "build").resolve()
FIRMWARE = [Path("/usr/share/seabios"), Path("/usr/share/qemu")]


@dataclass
class Scenario:
    """lab/scenarios/<name>.toml; the fields are explained in docs/TESTING.md, `extends` in lab/extends.py."""

    name: str
    description: str
    memory: str = "1G"
    cpus: int = 2
    cpu: str = "max"
    machine: str = "q35,kernel-irqchip=split"
    devices: dict[str, str] = field(default_factory=dict)  # by a name that those who extend it use
    kernel_args: list[str] = field(default_factory=list)
    console_shows: list[str] = field(default_factory=list)
    five_levels: bool = False  # of page tables, where the CPU has them
    qemu_args: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, name: str) -> "Scenario":
        file = ROOT / f"lab/scenarios/{name}.toml"
        if not file.exists():
            names = ", ".join(sorted(path.stem for path in file.parent.glob("*.toml")))
            raise SystemExit(f"no scenario '{name}'; there are: {names}")
        return cls(name=name, **extends.load(file.parent, name))


def qemu_binary() -> str:
    """$QEMU, or the QEMU this repository builds, or the distribution's."""
    built = BUILD / "qemu-build/qemu-system-x86_64"
    choice = os.environ.get("QEMU") or (str(built) if built.exists() else "qemu-system-x86_64")
    found = shutil.which(choice)
    if not found:
        raise SystemExit(f"{choice}: no such program")
    return found


def command(scenario: Scenario, kernel: Path, initrd: Path, results: Path, accel: str, shell: bool,
            extra_kernel_args: list[str]) -> list[str]:
    """The whole command line. Paths of the run's own files are relative to its results directory."""
    words = [qemu_binary(), "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    for directory in FIRMWARE:
        words += ["-L", str(directory)]
    words += ["-accel", accel, "-machine", scenario.machine, "-cpu", "host" if accel == "kvm" else scenario.cpu,
              "-smp", str(scenario.cpus), "-m", scenario.memory]
    for device in scenario.devices.values():
        words += ["-device", device]
    if shell:
        words += ["-chardev", "stdio,id=console,mux=on,signal=off", "-mon", "console"]
    else:
        words += ["-chardev", "file,id=console,path=console.log"]
    words += ["-serial", "chardev:console", "-device", "virtio-serial-pci,bus=pcie.0"]
    for number, name in enumerate(("output", "verdict"), 1):
        file = "output.log" if name == "output" else "verdict"
        words += ["-chardev", f"file,id={name},path={file}",
                  "-device", f"virtserialport,nr={number},chardev={name},name=lab.{name}"]
    words += scenario.qemu_args
    # On a loaded host an emulated timer comes late, and the kernel would give up on it: no_timer_check.
    arguments = ["console=ttyS0", "panic=-1", "no_timer_check", *([] if scenario.five_levels else ["no5lvl"]),
                 *scenario.kernel_args, *extra_kernel_args]
    words += ["-kernel", str(kernel / "bzImage"), "-initrd", initrd.name, "-append", " ".join(arguments)]
    return words
