"""Start TensorFlow late, and without its log lines.

TensorFlow and its neighbours log to standard error from native code, before any setting of theirs
is read: which processor they found, which delegate, which profiler. Someone who waits for a
photo's label cannot tell that from a problem. Known lines are dropped, everything else passes.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from edgebee.errors import EdgebeeError

__all__ = ["start_tensorflow"]

_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|INFO: (Created TensorFlow Lite XNNPACK delegate|Initialized TensorFlow Lite)"
    rb"|fully_quantize: "
    rb"|[IW]\d{4} [\d:.]+ +\d+ "  # absl's information and warnings
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IW] "  # the same of TensorFlow 2.18
    rb"|E\d{4} [\d:.]+ +\d+ .*(failed call to cuInit|Unable to register cu)"  # no GPU here
)

_POLL_SECONDS = 0.1


def start_tensorflow(*, debug: bool = False) -> None:
    """Import TensorFlow, quietly unless `debug`.

    Raises:
        EdgebeeError: it is installed and broken.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if not debug and "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        _filter_native_stderr()
        # TensorFlow's Python side logs what the converter deprecates about itself, and how
        # often Keras traces a function.
        for name in ("absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        import tensorflow  # noqa: F401
    except ModuleNotFoundError:  # the command line knows the remedy
        raise
    except ImportError as error:
        reason = " ".join(str(error).split())  # of several lines
        raise EdgebeeError(
            f"TensorFlow cannot be imported ({reason}); install it again: "
            "pip install --force-reinstall tensorflow"
        ) from error


def _filter_native_stderr() -> None:
    """Put a filter between native code's standard error (descriptor 2) and the real one.

    Native code writes to a temporary file, never to a pipe: the converter writes megabytes while
    it holds the interpreter's lock, and a full pipe, which no Python thread could empty then,
    would stop it for ever. Python's own `sys.stderr`, if that is where it writes, moves to a copy
    of the real one, so that progress bars still see a terminal.
    """
    try:
        writing, name = tempfile.mkstemp(prefix="edgebee-stderr-")
    except OSError:  # nowhere to put it: unfiltered, then
        return
    sys.stderr.flush()
    real = os.dup(2)
    if _writes_to_descriptor_2():
        sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, errors="backslashreplace")
    os.dup2(writing, 2)
    os.close(writing)
    reading = Path(name).open("rb", buffering=0)  # noqa: SIM115 - open for as long as the process
    with contextlib.suppress(OSError):  # Windows keeps open files
        Path(name).unlink()
    stopped = threading.Event()
    thread = threading.Thread(
        target=_forward, args=(reading, real, stopped), name="native-stderr", daemon=True
    )
    thread.start()

    def finish() -> None:
        stopped.set()
        thread.join()
        with contextlib.suppress(OSError):
            Path(name).unlink()

    atexit.register(finish)


def _forward(reading: IO[bytes], real: int, stopped: threading.Event) -> None:
    """Pass on what is written to a file, line by line, without chatter."""
    rest = b""
    last_round = False
    while not last_round:
        last_round = stopped.wait(_POLL_SECONDS)
        *lines, rest = (rest + (reading.read() or b"")).split(b"\n")
        if last_round and rest:
            lines.append(rest)
        for line in lines:
            if not _CHATTER.match(line):
                os.write(real, line + b"\n")


def _writes_to_descriptor_2() -> bool:
    """Whether Python's `sys.stderr` is the process's own, and not somebody's in its place."""
    try:
        return sys.stderr.fileno() == 2
    except (OSError, ValueError):  # no file, as in a test that looks at what is written
        return False
