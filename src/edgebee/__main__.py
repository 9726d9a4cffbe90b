"""Entry point of `edgebee` and `python -m edgebee`."""

from __future__ import annotations

import os
import sys

# Python 3.10 has no such flag.
SAFE_PATH = getattr(sys.flags, "safe_path", False)
if __name__ == "__main__" and not SAFE_PATH and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109
    # `python -m` puts the working folder first on the path, and nothing in it is ours to run.
    del sys.path[0]

from edgebee.interrupt import INTERRUPTED, end_on_interrupt  # noqa: E402

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    end_on_interrupt()
    try:
        from edgebee.cli import run

        run()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
