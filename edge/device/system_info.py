"""This machine and its Python, as far as they decide whether a model runs."""

from __future__ import annotations

import platform
import struct
import sys
import sysconfig
from dataclasses import dataclass

from edgebee.edge.device.machine import installed_versions
from edgebee.edge.device.throttling import read_flags

__all__ = ["SystemInfo", "read_system_info"]


@dataclass(frozen=True)
class SystemInfo:
    """This machine and its Python."""

    python: tuple[int, int, int]
    bits: int
    """Of this Python: 32 or 64, whatever the kernel is."""
    kernel: str
    """Architecture of the kernel, as `uname -m` says."""
    glibc: tuple[int, int] | None
    packages: dict[str, str]
    """Installed package -> version, of those that matter."""
    throttled: int | None

    @property
    def architecture(self) -> str:
        """Of the programs, as wheels name it. A 64-bit kernel can run a 32-bit system."""
        if self.bits == 64:
            return {"AMD64": "x86_64", "arm64": "aarch64"}.get(self.kernel, self.kernel)
        return {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(
            self.kernel, self.kernel
        )


def read_system_info() -> SystemInfo:
    """Describe this machine. Reads files and installed packages' names, and runs `vcgencmd`."""
    names = ("numpy", "pillow", "ai-edge-litert", "tflite-runtime")
    return SystemInfo(
        python=sys.version_info[:3],
        bits=struct.calcsize("P") * 8,
        kernel=platform.machine(),
        glibc=_glibc(),
        packages=installed_versions(names),
        throttled=read_flags(),
    )


def _glibc() -> tuple[int, int] | None:
    name, number = platform.libc_ver()
    if name != "glibc" or "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return None
    major, minor = number.split(".")[:2]
    return int(major), int(minor)
