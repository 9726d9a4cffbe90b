"""Start TensorFlow late, and without its log lines.

TensorFlow logs to standard error from native code, before any setting of its own is read: which
processor it found, which profiler. Someone who waits for a photo's label cannot tell that from a
problem, so standard error is closed to native code while TensorFlow is imported.
"""

from __future__ import annotations

import contextlib
import logging
import os

from edgebee.edge.classify import native_messages_silenced
from edgebee.errors import EdgebeeError

__all__ = ["start_tensorflow"]


def start_tensorflow(*, debug: bool = False) -> None:
    """Import TensorFlow, quietly unless `debug`.

    Raises:
        EdgebeeError: it is installed and broken.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # TensorFlow's Python side logs what the converter deprecates about itself, and how
        # often Keras traces a function.
        for name in ("absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with contextlib.nullcontext() if debug else native_messages_silenced():
            import tensorflow

            tensorflow.config.list_physical_devices()  # logs drivers that it does not find
    except ModuleNotFoundError:  # the command line knows the remedy
        raise
    except ImportError as error:
        reason = " ".join(str(error).split())  # of several lines
        raise EdgebeeError(
            f"TensorFlow cannot be imported ({reason}); install it again: "
            "pip install --force-reinstall tensorflow"
        ) from error
