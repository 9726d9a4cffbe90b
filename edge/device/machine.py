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

__all__ = ["describe_machine", "installed_versions", "peak_memory_mb", "read_state"]


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """What does not change while it is measured: processor, system, Python.

    Args:
        root: where `/proc` and `/sys` are.

    Returns:
        `processor`, `board`, `architecture`, `governor`, `system` and `python`.
    """
    return {
        "processor": _processor(root),
        "board": (_text(root / "proc/device-tree/model") or "").strip("\0 \n") or None,
        "architecture": platform.machine(),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "system": _system(root),
        "python": platform.python_version(),
    }


def read_state(root: Path = Path("/")) -> dict[str, Any]:
    """How hot it is now and what holds its clock down: `temperature_c`, `throttled`."""
    flags = read_flags(root)
    return {
        "temperature_c": _temperature_c(root),
        "throttled": None if flags is None else tuple(active_flags(flags)),
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


def _system(root: Path) -> str:
    """The distribution, where it says so, and the kernel."""
    pretty = _facts(root / "etc/os-release", "=").get("PRETTY_NAME", "").strip('"')
    kernel = f"{platform.system()} {platform.release()}"
    return f"{pretty}, {kernel}" if pretty else kernel


def _temperature_c(root: Path) -> float | None:
    """Of the warmest sensor; drivers that are asleep answer with an error and are passed over."""
    millidegrees = []
    for pattern in ("sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input"):
        for path in glob.glob(os.path.join(root, pattern)):  # noqa: PTH118, PTH207 - older Pythons
            value = _text(Path(path))
            if value and value.lstrip("-").isdigit():
                millidegrees.append(int(value))
    return max(millidegrees) / 1e3 if millidegrees else None
