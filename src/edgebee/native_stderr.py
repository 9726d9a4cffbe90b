"""Standard error without what native libraries say there about damaged photos.

libtiff prints a line for every row that it cannot make out; the photo's own line says it once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_decoders", "writes_to_descriptor_2"]


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Drop what native code writes to descriptor 2 while the block lasts.

    Python's own `sys.stderr`, if that is where it writes, moves to a copy of the real one, so
    that progress and messages are still seen. Not for two threads at once.
    """
    sys.stderr.flush()
    own, real = sys.stderr, os.dup(2)
    if writes_to_descriptor_2():
        sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(real, 2)
        os.close(real)
        if sys.stderr is not own:
            sys.stderr.close()
            sys.stderr = own


def writes_to_descriptor_2() -> bool:
    """Whether Python's `sys.stderr` is the process's own, and not somebody's in its place."""
    try:
        return sys.stderr.fileno() == 2
    except (OSError, ValueError):  # no file, as in a test that looks at what is written
        return False
