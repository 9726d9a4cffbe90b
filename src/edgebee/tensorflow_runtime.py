"""Starting TensorFlow: late, and without its chatter.

TensorFlow and its neighbours write notes to standard error from native code, before any
setting of theirs is read: which processor it found, which delegate, which profiler. Someone
who waits for a photo's name cannot tell them from trouble. Known notes are dropped,
everything else passes.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading

from edgebee.errors import EdgebeeError

__all__ = ["start_tensorflow"]

_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|INFO: (Created TensorFlow Lite XNNPACK delegate|Initialized TensorFlow Lite)"
    rb"|fully_quantize: "
    rb"|[IW]\d{4} [\d:.]+ +\d+ "  # absl's information and warnings
    rb"|E\d{4} [\d:.]+ +\d+ .*(failed call to cuInit|Unable to register cu)"  # no GPU here
)


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
        said = " ".join(str(error).split())  # of several lines
        raise EdgebeeError(
            f"TensorFlow cannot be imported ({said}); install it anew: "
            "pip install --force-reinstall tensorflow"
        ) from error


def _filter_native_stderr() -> None:
    """Put a filter between native code's standard error (descriptor 2) and the real one.

    Python's own `sys.stderr`, if that is where it writes, moves to a copy of the real one, so
    that progress bars still see a terminal.
    """
    sys.stderr.flush()
    real = os.dup(2)
    if _writes_to_descriptor_2():
        sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, errors="backslashreplace")
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)

    def forward() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                if not _CHATTER.match(line):
                    os.write(real, line)

    threading.Thread(target=forward, name="native-stderr", daemon=True).start()


def _writes_to_descriptor_2() -> bool:
    """Whether Python's `sys.stderr` is the process's own, and not somebody's in its place."""
    try:
        return sys.stderr.fileno() == 2
    except (OSError, ValueError):  # no file, as in a test that looks at what is written
        return False
