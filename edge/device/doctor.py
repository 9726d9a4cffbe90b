"""Will a model run on this machine? Everything that has kept one from running, looked at in turn.

Works in the plain install. What could end the process is done in a child, see `trial`.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgebee.edge.device.isolated_run import Trial, try_model
from edgebee.edge.device.platforms import (
    NUMPY_1_ONLY,
    OLDEST_PYTHON,
    check_model,
    find_wheel,
    install_command,
    remedy_without_wheel,
    why_no_wheel,
)
from edgebee.edge.device.problems import FAILED, OK, WARNING, Problem
from edgebee.edge.device.throttling import check_throttling, read_flags
from edgebee.edge.tflite.model_file import ModelFile

__all__ = ["SystemInfo", "examine_here", "look_around"]

SPARE_MB = 100
"""What a Pi's other work should have left, beside the model: a photo of 12 megapixels takes 36."""
LITERT_FOR_NUMPY_2 = (1, 1)
"""The first LiteRT whose wheels work under NumPy 2; 1.0.1 raises a SystemError there."""


@dataclass(frozen=True)
class SystemInfo:
    """This machine, as far as it decides whether a model runs."""

    python: tuple[int, int, int]
    bits: int
    """Of this Python: 32 or 64, whatever the kernel is."""
    kernel: str
    """Architecture of the kernel, as `uname -m` says."""
    glibc: tuple[int, int] | None
    packages: dict[str, str]
    """Installed package -> version, of those that matter."""
    cores: int
    """That this process may run on."""
    quota: float | None
    """Cores' worth of time that a container may use; None without such a limit."""
    available_mb: float | None
    throttled: int | None

    @property
    def architecture(self) -> str:
        """Of the programs, as wheels name it. A 64-bit kernel can run a 32-bit system."""
        if self.bits == 64:
            return {"AMD64": "x86_64", "arm64": "aarch64"}.get(self.kernel, self.kernel)
        return {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(
            self.kernel, self.kernel
        )


def look_around() -> SystemInfo:
    """Describe this machine. Reads files and installed packages' names, and runs `vcgencmd`."""
    from edgebee.edge.classify import available_cpus

    names = ("numpy", "pillow", "ai-edge-litert", "tflite-runtime")
    return SystemInfo(
        python=sys.version_info[:3],
        bits=struct.calcsize("P") * 8,
        kernel=platform.machine(),
        glibc=_glibc(),
        packages={name: found for name in names if (found := _version(name))},
        cores=available_cpus(),
        quota=parse_quota(_read("/sys/fs/cgroup/cpu.max")),
        available_mb=parse_available_mb(_read("/proc/meminfo")),
        throttled=read_flags(),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _glibc() -> tuple[int, int] | None:
    name, number = platform.libc_ver()
    if name != "glibc" or "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return None
    major, minor = number.split(".")[:2]
    return int(major), int(minor)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""  # not on this kind of system


def parse_available_mb(meminfo: str) -> float | None:
    """Megabytes that can be had without swapping, from `/proc/meminfo`; None if it does not say."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def parse_quota(cpu_max: str) -> float | None:
    """Cores' worth of time from cgroup's `cpu.max` (`50000 100000`: half); None for no limit."""
    quota, _, period = cpu_max.strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def examine_here(
    here: SystemInfo, file: ModelFile, threads: int | None = None
) -> Iterator[Problem]:
    """Will `file` run here? Findings as they are made; running the model takes a second or two.

    Args:
        here: from `look_around`.
        file: the model.
        threads: that it is meant to run on; default: all cores.
    """
    yield _python(here)
    yield _architecture(here)
    runtime = _runtime(here)
    yield runtime
    yield _numpy(here)
    yield from check_model(file, runtime.text) if runtime.status != FAILED else ()
    trial = try_model(file.path, min(threads or here.cores, here.cores))
    yield _trial(here, trial)
    if trial.selftest is not None:
        yield _selftest(trial.selftest, file)
    yield from _memory(here, trial)
    yield _threads(here, threads)
    if here.throttled is not None:
        yield check_throttling(here.throttled)


def _pip() -> str:
    return f"{sys.executable} -m pip install"


def _python(here: SystemInfo) -> Problem:
    text = "Python {}.{}.{}".format(*here.python)
    if here.python < OLDEST_PYTHON:
        needed = "{}.{}".format(*OLDEST_PYTHON)
        return Problem(
            "python", FAILED, f"{text}; {needed} or newer is needed", "sudo apt install python3"
        )
    return Problem("python", OK, text)


def _architecture(here: SystemInfo) -> Problem:
    text = f"{here.architecture}, {here.bits}-bit"
    if here.bits == 32 and here.kernel in {"aarch64", "x86_64"}:
        text += f" programs on a 64-bit kernel ({here.kernel})"
    text += ", glibc {}.{}".format(*here.glibc) if here.glibc else ", not glibc"
    if find_wheel(here.python[:2], here.architecture, here.glibc) is None:
        reason = why_no_wheel(here.python[:2], here.architecture, here.glibc)
        return Problem(
            "system", WARNING, f"{text}: {reason}", remedy_without_wheel(here.architecture)
        )
    return Problem("system", OK, text)


def _runtime(here: SystemInfo) -> Problem:
    """The runtime that the runner takes: LiteRT before tflite-runtime."""
    for package in ("ai-edge-litert", "tflite-runtime"):
        if package in here.packages:
            return Problem("runtime", OK, f"{package}=={here.packages[package]}")
    wheel = find_wheel(here.python[:2], here.architecture, here.glibc)
    remedy = (
        install_command(wheel, sys.executable) if wheel else remedy_without_wheel(here.architecture)
    )
    return Problem("runtime", FAILED, "no TFLite runtime is installed", remedy)


def _numpy(here: SystemInfo) -> Problem:
    installed = here.packages.get("numpy")
    if installed is None:
        return Problem("numpy", FAILED, "NumPy is not installed", f"{_pip()} numpy")
    if int(installed.split(".")[0]) > 1:
        litert = here.packages.get("ai-edge-litert")
        if litert and tuple(int(part) for part in litert.split(".")[:2]) < LITERT_FOR_NUMPY_2:
            text = f"NumPy {installed}; LiteRT {litert} needs NumPy 1"
            return Problem("numpy", FAILED, text, f"{_pip()} --upgrade ai-edge-litert")
        if not litert and NUMPY_1_ONLY & here.packages.keys():
            text = f"NumPy {installed}; tflite-runtime needs NumPy 1 and crashes with this"
            return Problem("numpy", FAILED, text, f"{_pip()} 'numpy<2'")
    return Problem("numpy", OK, f"NumPy {installed}")


def _trial(here: SystemInfo, trial: Trial) -> Problem:
    if trial.ended == "answered":
        ms = f"loaded in {trial.load_ms:.0f} ms, answers in {trial.invoke_ms:.1f} ms"
        return Problem("trial", OK, f"{trial.runtime}: {ms}")
    wheel = find_wheel(here.python[:2], here.architecture, here.glibc)
    remedy = install_command(wheel, sys.executable) if wheel else "edgebee inspect MODEL"
    return Problem("trial", FAILED, f"{trial.ended}: {trial.reason}", remedy)


def _selftest(result: dict[str, object], file: ModelFile) -> Problem:
    off = f"off by {result['difference']:.3g}" if result["difference"] else "equal to the bit"
    text = f"golden samples: {off} ({result['kernels']} kernels)"
    if result["passed"]:
        return Problem("selftest", OK, text)
    return Problem("selftest", FAILED, text, f"edgebee inspect {file.path}; then copy it again")


def _memory(here: SystemInfo, trial: Trial) -> Iterator[Problem]:
    if here.available_mb is None:
        return
    text = f"{here.available_mb:.0f} MB available"
    if trial.peak_mb:
        text += f", the model with its runtime takes {trial.peak_mb:.0f}"
    if here.available_mb < trial.peak_mb + SPARE_MB:
        yield Problem("memory", WARNING, text, "ps aux --sort=-rss | head  # what takes it?")
        return
    yield Problem("memory", OK, text)


def _threads(here: SystemInfo, threads: int | None) -> Problem:
    cores = f"{here.cores} core{'s' if here.cores > 1 else ''}"
    if threads and threads > here.cores:
        text = f"{threads} threads on {cores}: far slower, so the runner takes {here.cores}"
        return Problem("threads", WARNING, text, f"edgebee classify --threads {here.cores} PHOTO")
    if here.quota is not None and here.quota < here.cores:
        text = f"{cores}, but this container may use {here.quota:g}"
        whole = max(1, int(here.quota))
        return Problem("threads", WARNING, text, f"edgebee classify --threads {whole} PHOTO")
    return Problem(
        "threads", OK, cores if os.cpu_count() == here.cores else f"{cores} of {os.cpu_count()}"
    )
