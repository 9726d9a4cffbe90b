"""Machines that are not here: which Python, which runtime, and so whether a model runs there.

The table is small and its facts are old news, each with its source, so that `edgebee doctor
--for` needs no network.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgebee.edge.device.problems import FAILED, OK, WARNING, Problem
from edgebee.edge.tflite.model_file import ModelFile
from edgebee.edge.tflite.runtimes import UnknownRuntimeError, check_operators

__all__ = [
    "MACHINES",
    "NUMPY_1_ONLY",
    "OLDEST_PYTHON",
    "WHEELS",
    "Machine",
    "Wheel",
    "check_model",
    "examine_machine",
    "find_wheel",
    "install_command",
    "remedy_without_wheel",
    "why_no_wheel",
]

OLDEST_PYTHON = (3, 10)
"""edgebee's own demand, and `classify.py`'s."""
NUMPY_1_ONLY = frozenset({"tflite-runtime"})
"""Built against NumPy 1: imports under NumPy 2, then ends the process when a model is loaded."""
_VENV_PIP = "~/bee/bin/python -m pip"
_NEW_CARD = "sudo apt install rpi-imager  # and write its card anew"


@dataclass(frozen=True)
class Machine:
    """An operating system as it comes, on a kind of computer."""

    title: str
    python: tuple[int, int]
    glibc: tuple[int, int]
    architecture: str
    """Of the userland, as wheels name it: `aarch64`, `armv7l`, `armv6l`, `x86_64`."""
    source: str


@dataclass(frozen=True)
class Wheel:
    """A runtime's wheels on PyPI, all releases that matter here taken together."""

    package: str
    version: str
    pythons: tuple[tuple[int, int], tuple[int, int]]
    """First and last."""
    architectures: dict[str, tuple[int, int]]
    """Architecture -> the oldest glibc that its `manylinux` tag allows."""


def _debian(
    title: str, python: tuple[int, int], glibc: tuple[int, int], architecture: str
) -> Machine:
    """Debian, and Raspberry Pi OS, which takes Python and glibc from Debian of the same number."""
    name = {(2, 31): "bullseye", (2, 36): "bookworm", (2, 41): "trixie"}[glibc]
    return Machine(title, python, glibc, architecture, f"https://packages.debian.org/{name}/")


def _ubuntu(title: str, python: tuple[int, int], glibc: tuple[int, int], name: str) -> Machine:
    return Machine(title, python, glibc, "aarch64", f"https://packages.ubuntu.com/{name}/")


MACHINES = {
    "pi-os-11": _debian("Raspberry Pi OS 11, 64-bit", (3, 9), (2, 31), "aarch64"),
    "pi-os-11-32bit": _debian("Raspberry Pi OS 11, 32-bit", (3, 9), (2, 31), "armv7l"),
    "pi-os-12": _debian("Raspberry Pi OS 12, 64-bit", (3, 11), (2, 36), "aarch64"),
    "pi-os-12-32bit": _debian("Raspberry Pi OS 12, 32-bit", (3, 11), (2, 36), "armv7l"),
    "pi-os-13": _debian("Raspberry Pi OS 13, 64-bit", (3, 13), (2, 41), "aarch64"),
    "pi-os-13-32bit": _debian("Raspberry Pi OS 13, 32-bit", (3, 13), (2, 41), "armv7l"),
    "pi-zero": _debian("Raspberry Pi OS 12 on a Pi 1, Zero or Zero W", (3, 11), (2, 36), "armv6l"),
    "debian-12-pc": _debian("Debian 12 on a PC", (3, 11), (2, 36), "x86_64"),
    "debian-13-pc": _debian("Debian 13 on a PC", (3, 13), (2, 41), "x86_64"),
    "ubuntu-22.04": _ubuntu("Ubuntu 22.04 on a Pi, 64-bit", (3, 10), (2, 35), "jammy"),
    "ubuntu-24.04": _ubuntu("Ubuntu 24.04 on a Pi, 64-bit", (3, 12), (2, 39), "noble"),
}
"""Name after `--for` -> the machine. The packages are `python3` and `libc6` at its source."""

WHEELS = (
    Wheel("ai-edge-litert", "2.3.0", ((3, 10), (3, 14)), {"x86_64": (2, 27), "aarch64": (2, 27)}),
    Wheel(
        "tflite-runtime",
        "2.14.0",
        ((3, 8), (3, 11)),
        {"x86_64": (2, 17), "aarch64": (2, 34), "armv7l": (2, 34)},
    ),
)
"""The file lists of https://pypi.org/project/ai-edge-litert/ and /tflite-runtime/, November 2026.

The one that is taken where both exist comes first.
"""


def find_wheel(
    python: tuple[int, int], architecture: str, glibc: tuple[int, int] | None
) -> Wheel | None:
    """The runtime that pip can install there; None if there is none.

    Args:
        python: major and minor version.
        architecture: of the userland, see `Machine.architecture`.
        glibc: its version; None for another C library, which no wheel is made for.
    """
    for wheel in WHEELS:
        oldest = wheel.architectures.get(architecture)
        first, last = wheel.pythons
        if oldest and glibc and glibc >= oldest and first <= python <= last:
            return wheel
    return None


def why_no_wheel(python: tuple[int, int], architecture: str, glibc: tuple[int, int] | None) -> str:
    """What is in the way where `find_wheel` finds nothing."""
    made = [wheel for wheel in WHEELS if architecture in wheel.architectures]
    if not made:
        return f"no TFLite runtime is made for {architecture}"
    if glibc is None:
        return "TFLite runtimes are made for glibc, which this system does not use"
    last = max(wheel.pythons[1] for wheel in made)
    if python > last:
        return (
            f"the last runtime for {architecture} is {made[-1].package} {made[-1].version}, for "
            f"Python {_dotted(last)} at most; this one is {_dotted(python)}"
        )
    here = f"Python {_dotted(python)}, glibc {_dotted(glibc)}"
    return f"the runtimes for {architecture} need a newer system than {here}"


def remedy_without_wheel(architecture: str) -> str:
    """A way out where no runtime is made for a machine."""
    if architecture == "armv6l":
        return f"{_NEW_CARD}: Raspberry Pi OS, 64-bit, in a Pi Zero 2 W, 3, 4 or 5"
    if architecture == "armv7l":
        return f"{_NEW_CARD}: Raspberry Pi OS, 64-bit"
    return "docker run -it --rm python:3.11-slim-bookworm bash"


def install_command(wheel: Wheel, python: str = "python3") -> str:
    """What to paste to get everything that `classify.py` needs."""
    numpy = "'numpy<2'" if wheel.package in NUMPY_1_ONLY else "numpy"
    return f"{python} -m pip install {numpy} pillow {wheel.package}"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def examine_machine(machine: Machine, file: ModelFile) -> tuple[Problem, ...]:
    """Will `file` run on `machine`? From the table and the file alone; nothing is run.

    Returns:
        Findings in the order in which they matter; the first that failed is the obstacle.
    """
    found = [_python(machine)]
    wheel = find_wheel(machine.python, machine.architecture, machine.glibc)
    if found[0].status == FAILED:
        return tuple(found)
    if wheel is None:
        reason = why_no_wheel(machine.python, machine.architecture, machine.glibc)
        remedy = remedy_without_wheel(machine.architecture)
        return (*found, Problem("runtime", FAILED, reason, remedy))
    command = f"python3 -m venv ~/bee && {install_command(wheel, '~/bee/bin/python')}"
    found.append(Problem("runtime", OK, f"{wheel.package} {wheel.version}", command))
    if wheel.package in NUMPY_1_ONLY:
        text = "NumPy 1 only: under NumPy 2 this runtime ends the process"
        found.append(Problem("numpy", WARNING, text, f"{_VENV_PIP} install 'numpy<2'"))
    if machine.architecture == "armv7l":
        # pip chooses by `platform_machine`, and that is the kernel's: 64-bit on a Pi 4 or 5.
        text = "its kernel may be 64-bit, and `pip install edgebee` then looks for LiteRT in vain"
        remedy = "pip install click && pip install --no-deps edgebee".replace("pip", _VENV_PIP)
        found.append(Problem("edgebee", WARNING, text, remedy))
    found += check_model(file, f"{wheel.package}=={wheel.version}")
    return tuple(found)


def _python(machine: Machine) -> Problem:
    version = _dotted(machine.python)
    if machine.python < OLDEST_PYTHON:
        text = f"Python {version}; edgebee needs {_dotted(OLDEST_PYTHON)} or newer"
        return Problem("python", FAILED, text, f"{_NEW_CARD}: Raspberry Pi OS 12 or 13, 64-bit")
    return Problem(
        "python", OK, f"Python {version}, {machine.architecture}, glibc {_dotted(machine.glibc)}"
    )


def check_model(file: ModelFile, runtime: str) -> list[Problem]:
    """What is odd about the file, and what of it a runtime would refuse."""
    megabytes = file.size_bytes / 1e6
    found = [Problem("model", OK, f"{file.path}: {megabytes:.2f} MB, sound")]
    if file.problems:
        text = f"{file.path}: {'; '.join(file.problems)}"
        found = [Problem("model", FAILED, text, f"edgebee inspect {file.path}")]
    try:
        refused = check_operators(file.content, [runtime])
    except UnknownRuntimeError as error:
        package = runtime.partition("==")[0]
        remedy = f"python3 -m pip install --upgrade {package}"
        return [*found, Problem("operators", WARNING, str(error), remedy)]
    for entry in refused:
        text = str(entry).partition(";")[0]
        found.append(Problem("operators", FAILED, text, entry.remedy.partition(", or there")[0]))
    if not refused:
        kinds = f"{len(file.operators)} kinds of operator"
        found.append(Problem("operators", OK, f"{kinds}, all known to {runtime}"))
    return found
