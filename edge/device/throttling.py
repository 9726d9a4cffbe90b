"""Whether this Raspberry Pi is slowed down by heat or a weak power supply, from its firmware.

The bits of `get_throttled` are those of
https://www.raspberrypi.com/documentation/computers/os.html#get_throttled.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgebee.edge.device.problems import OK, WARNING, Problem

__all__ = ["active_flags", "check_throttling", "parse_flags", "read_flags"]

_FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bit -> what is the case now; 16 bits higher: what was the case since the start."""
_SINCE_START = 16
_SYSTEM_FILE = Path("sys/devices/platform/soc/soc:firmware/get_throttled")
_COMMAND = ("vcgencmd", "get_throttled")
_COMMAND_SECONDS = 5
_POWER = "use the power supply made for this Pi and a short cable; then: vcgencmd get_throttled"
_HEAT = "give it a heat sink or fan; then watch: vcgencmd measure_temp"


def parse_flags(text: str) -> int:
    """The flags, as `vcgencmd` (`throttled=0x50005`) or the system file (`50005`) gives them.

    Raises:
        ValueError: it is neither.
    """
    return int(text.strip().partition("=")[2] or text.strip(), 16)


def read_flags(root: Path = Path("/"), command: tuple[str, ...] = _COMMAND) -> int | None:
    """The flags of this machine; None where there are none, as on anything but a Pi.

    Args:
        root: where `/sys` is.
        command: that prints them where older kernels have no such file.
    """
    try:
        return parse_flags((root / _SYSTEM_FILE).read_text())
    except (OSError, ValueError):
        pass  # an older kernel, or no Pi
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
        return parse_flags(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def active_flags(flags: int) -> list[str]:
    """What holds the clock down now."""
    return [name for bit, name in _FLAGS.items() if flags >> bit & 1]


def check_throttling(flags: int) -> Problem:
    """What the flags mean. None of them changes a prediction; all make it slow."""
    now, past = active_flags(flags), active_flags(flags >> _SINCE_START)
    if not now and not past:
        return Problem("throttling", OK, "full speed since the start")
    text = f"now: {', '.join(now)}" if now else "not now"
    if past:
        text += f"; since the start: {', '.join(past)}"
    under_voltage = (flags | flags >> _SINCE_START) & 1
    return Problem("throttling", WARNING, text, _POWER if under_voltage else _HEAT)
