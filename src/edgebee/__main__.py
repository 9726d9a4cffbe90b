"""Entry point of `edgebee` and `python -m edgebee`: Ctrl-C ends any command silently with 130."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109
    # `python -m` puts the working folder first on the path, and nothing in it is ours to run.
    del sys.path[0]

import signal
from types import FrameType

__all__ = ["main"]

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended, as shells report it: 128 + SIGINT."""


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from edgebee.cli import run

        run()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, or end at once while something is being imported.

    Libraries turn an interrupt of their import into errors of their own, or print it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
