"""Facts of this machine, as its kernel, firmware and installed packages give them.

What the system does not give, as on macOS and Windows, is None.
"""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgebee.edge.device.throttling import active_flags, read_flags

__all__ = [
    "available_memory_mb",
    "cpu_quota",
    "describe_machine",
    "installed_versions",
    "peak_memory_mb",
    "read_state",
]

_PACKAGES = (
    "edgebee",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "tflite-runtime",
    "numpy",
    "pillow",
)

_CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"


def describe_machine(cores: int, root: Path = Path("/")) -> dict[str, Any]:
    """What does not change while it is measured: processor, memory, system, versions.

    Args:
        cores: how many the process may use.
        root: where `/proc` and `/sys` are.

    Returns:
        `processor`, `board`, `architecture`, `cores`, `memory_mb`, `governor`, `system`,
        `python` and `versions` (of installed libraries, by name).
    """
    return {
        "processor": _processor(root),
        "board": (_text(root / "proc/device-tree/model") or "").strip("\0 \n") or None,
        "architecture": platform.machine(),
        "cores": cores,
        "memory_mb": _memory_mb(root),
        "governor": _text(root / _CPUFREQ / "scaling_governor"),
        "system": _system(root),
        "python": platform.python_version(),
        "versions": installed_versions(_PACKAGES),
    }


def read_state(root: Path = Path("/")) -> dict[str, Any]:
    """How busy, fast and hot it is now: `load`, `frequency_mhz`, `temperature_c`, `throttled`."""
    load = _text(root / "proc/loadavg")
    return {
        "load": float(load.split()[0]) if load else None,
        "frequency_mhz": _frequency_mhz(root),
        "temperature_c": _temperature_c(root),
        "throttled": _throttled(root),
    }


def peak_memory_mb(root: Path = Path("/")) -> float | None:
    """The most resident memory that this process ever had; None where unreadable.

    Not `getrusage`: its maximum outlives an `exec` and would be the parent's.
    """
    for line in (_text(root / "proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed, by name."""
    versions = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def available_memory_mb(root: Path = Path("/")) -> float | None:
    """Megabytes that can be had without swapping; None where unreadable."""
    available = _facts(root / "proc/meminfo", ":").get("MemAvailable")
    return int(available.split()[0]) * 1024 / 1e6 if available else None


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that a container may use, as 0.5; None without such a limit."""
    limit = _text(root / "sys/fs/cgroup/cpu.max") or ""  # `50000 100000`: half; `max 100000`
    quota, _, period = limit.partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _text(path: Path) -> str | None:
    """The content of a file of the kernel's; None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:  # not this kind of machine
        return None


def _facts(path: Path, separator: str) -> dict[str, str]:
    """The last value of each key of a file of `key: value` lines."""
    lines = (line.partition(separator) for line in (_text(path) or "").splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _processor(root: Path) -> str:
    """The processor's name; `/proc/cpuinfo` has it on x86, `lscpu` knows ARM's numbers."""
    named = _facts(root / "proc/cpuinfo", ":").get("model name")
    if named is None and (lscpu := shutil.which("lscpu")) is not None:
        done = subprocess.run(
            [lscpu], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
        )
        named = next(
            (line[11:].strip() for line in done.stdout.splitlines() if line[:11] == "Model name:"),
            None,
        )
    return named or platform.processor() or "unknown"


def _memory_mb(root: Path) -> int | None:
    total = _facts(root / "proc/meminfo", ":").get("MemTotal")
    return int(total.split()[0]) * 1024 // 1_000_000 if total else None


def _system(root: Path) -> str:
    """The distribution, where it says so, and the kernel."""
    pretty = _facts(root / "etc/os-release", "=").get("PRETTY_NAME", "").strip('"')
    kernel = f"{platform.system()} {platform.release()}"
    return f"{pretty}, {kernel}" if pretty else kernel


def _frequency_mhz(root: Path) -> float | None:
    khz = _text(root / _CPUFREQ / "scaling_cur_freq")
    if khz is not None:
        return int(khz) / 1e3
    mhz = _facts(root / "proc/cpuinfo", ":").get("cpu MHz")
    return float(mhz) if mhz else None


def _temperature_c(root: Path) -> float | None:
    """Of the warmest sensor; drivers that are asleep answer with an error and are passed over."""
    millidegrees = []
    for pattern in ("sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input"):
        for path in glob.glob(os.path.join(root, pattern)):  # noqa: PTH118, PTH207 - older Pythons
            value = _text(Path(path))
            if value and value.lstrip("-").isdigit():
                millidegrees.append(int(value))
    return max(millidegrees) / 1e3 if millidegrees else None


def _throttled(root: Path) -> list[str] | None:
    """What holds a Pi's clock down now; None on other machines."""
    flags = read_flags(root)
    return None if flags is None else active_flags(flags)
