"""Loading a Keras model, if it is one that edgebee can convert.

Imports Keras at the top: import it only where a model is loaded.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgebee.convert.keras_file import check_keras_file, saving_keras
from edgebee.errors import ConversionError

__all__ = ["load_keras"]


def load_keras(path: Path) -> Any:
    """Load a Keras image classifier.

    Returns:
        A model `float32 [N, H, W, 3]` in 0..255 -> `float32 [N, classes]`.

    Raises:
        ConversionError: there is none, or it is something else.
    """
    check_keras_file(path)  # of a damaged file Keras would say that there is none
    try:
        model = keras.models.load_model(path, compile=False)
    except _LOAD_FAULTS as error:
        # Shortened, since it may quote the file.
        reason = str(error).strip().split("\n", 1)[0].split(". ", 1)[0][:200]
        saved_by = saving_keras(path)
        if saved_by is not None and saved_by != keras.__version__:
            raise ConversionError(
                f"{path}: saved by Keras {saved_by} and cannot be loaded by {keras.__version__} "
                f"({reason}); pip install keras=={saved_by}, or train again"
            ) from error
        raise ConversionError(
            f"{path}: cannot be loaded here ({reason}); edgebee converts models that consist of "
            "Keras' own layers"
        ) from error
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not (_is_picture(shapes[0]) and _is_scores(shapes[1])):
        raise ConversionError(
            f"{path}: takes {shapes[0]} and gives {shapes[1]}; "
            "an image classifier takes [N, H, W, 3] and gives [N, classes]"
        )
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ConversionError(
            f"{path}: has weights that are no numbers, as a training with too high a learning "
            "rate leaves them; train again with a lower --learning-rate"
        )
    return model


_LOAD_FAULTS = (  # what Keras, h5py and zipfile raise for files that are damaged or foreign
    ValueError, TypeError, OSError, LookupError, AttributeError, ImportError, RuntimeError,
    NotImplementedError, ArithmeticError, EOFError, MemoryError, struct.error, zipfile.BadZipFile,
    zlib.error)  # fmt: skip


def _is_picture(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3 and None not in shape[1:]


def _is_scores(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is not None
