"""Ctrl-C ends any command silently, at any moment."""

from __future__ import annotations

import os
import signal
from types import FrameType

__all__ = ["INTERRUPTED", "end_on_interrupt"]

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells report it: 128 + SIGINT."""


def end_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, but ends the process while it imports."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, or end at once while something is being imported.

    Libraries turn an interrupt of their import into errors of their own, or print it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
