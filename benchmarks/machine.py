"""The conditions of a measurement: which machine, which versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgebee.edge.classify import usable_cores

__all__ = ["describe_machine"]

_PACKAGES = (
    "edgebee",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "tflite-runtime",
    "numpy",
    "pillow",
)


def describe_machine(threads: int) -> dict[str, object]:
    """Processor, cores, system, versions and the threads that were used."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # one of the two runtimes is normally absent
            continue
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "threads": threads,
    }


def _processor() -> str:
    """The processor's name: `model name` on x86, `Model` (the board's) on a Pi."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    return facts.get("Model") or facts.get("model name") or platform.processor() or "unknown"
