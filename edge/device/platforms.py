"""Which wheels of TFLite runtimes exist, and so what runs where."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "NUMPY_1_ONLY",
    "OLDEST_PYTHON",
    "WHEELS",
    "Wheel",
    "dotted",
    "find_wheel",
    "install_command",
    "remedy_without_wheel",
    "why_no_wheel",
]

OLDEST_PYTHON = (3, 10)
"""That edgebee and `classify.py` need."""
NUMPY_1_ONLY = frozenset({"tflite-runtime"})
"""Built against NumPy 1: imports under NumPy 2, then ends the process when a model is loaded."""
_NEW_CARD = "sudo apt install rpi-imager  # and write its card again"


@dataclass(frozen=True)
class Wheel:
    """A runtime's wheels on PyPI, all releases that matter here taken together."""

    package: str
    version: str
    pythons: tuple[tuple[int, int], tuple[int, int]]
    """First and last."""
    architectures: dict[str, tuple[int, int]]
    """Architecture -> the oldest glibc that its `manylinux` tag allows."""


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
        architecture: of the userland, as wheels name it: `aarch64`, `armv7l`, `x86_64`.
        glibc: its version; None for another C library, which no wheel is made for.
    """
    for wheel in WHEELS:
        oldest = wheel.architectures.get(architecture)
        first, last = wheel.pythons
        if oldest and glibc and glibc >= oldest and first <= python <= last:
            return wheel
    return None


def why_no_wheel(python: tuple[int, int], architecture: str, glibc: tuple[int, int] | None) -> str:
    """Why `find_wheel` finds nothing."""
    made = [wheel for wheel in WHEELS if architecture in wheel.architectures]
    if not made:
        return f"no TFLite runtime is made for {architecture}"
    if glibc is None:
        return "TFLite runtimes are made for glibc, which this system does not use"
    last = max(wheel.pythons[1] for wheel in made)
    if python > last:
        return (
            f"the last runtime for {architecture} is {made[-1].package} {made[-1].version}, for "
            f"Python {dotted(last)} at most; this one is {dotted(python)}"
        )
    here = f"Python {dotted(python)}, glibc {dotted(glibc)}"
    return f"the runtimes for {architecture} need a newer system than {here}"


def remedy_without_wheel(architecture: str) -> str:
    """A way out where no runtime is made for a machine."""
    if architecture == "armv6l":
        return f"{_NEW_CARD}: Raspberry Pi OS, 64-bit, in a Pi Zero 2 W, 3, 4 or 5"
    if architecture == "armv7l":
        return f"{_NEW_CARD}: Raspberry Pi OS, 64-bit"
    return "docker run -it --rm python:3.11-slim-bookworm bash"


def install_command(wheel: Wheel, python: str) -> str:
    """The command that installs everything that `classify.py` needs."""
    numpy = "'numpy<2'" if wheel.package in NUMPY_1_ONLY else "numpy"
    return f"{python} -m pip install {numpy} pillow {wheel.package}"


def dotted(version: tuple[int, ...]) -> str:
    """A version as it is written: `3.11`."""
    return ".".join(str(part) for part in version)
