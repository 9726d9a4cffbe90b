"""Load a Keras model and make an image classifier of it that edgebee can convert.

Imports Keras at the top: import it only where a model is loaded.
"""

from __future__ import annotations

import logging
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

_log = logging.getLogger("edgebee.convert")

_LOAD_FAULTS = (
    ValueError,
    TypeError,
    OSError,
    LookupError,
    AttributeError,
    ImportError,
    RuntimeError,
    NotImplementedError,
    ArithmeticError,
    EOFError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What Keras, h5py and zipfile raise for files that are damaged or foreign."""
_SHORT_FLOATS = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"}


class _DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """As Keras 2 saved it: with `groups`, which was always 1 and which Keras 3 does not know."""

    def __init__(self, *args: Any, groups: int = 1, **settings: Any) -> None:
        if groups != 1:
            raise ValueError(f"DepthwiseConv2D with groups={groups}")
        super().__init__(*args, **settings)


def load_keras(path: Path) -> Any:
    """Load a Keras image classifier.

    A model saved in mixed precision is loaded in float32: TFLite has no kernels for its 16-bit
    floats. One that ends in logits gets their softmax or sigmoid, and one sigmoid score becomes
    the probabilities of two labels.

    Returns:
        A model `float32 [N, H, W, 3]` in 0..255 -> `float32 [N, labels]`.

    Raises:
        ConversionError: there is none, or it is something else.
    """
    check_keras_file(path)  # of a damaged file Keras would say that there is none
    saved_by = saving_keras(path)
    legacy = {"DepthwiseConv2D": _DepthwiseConv2D} if (saved_by or "").startswith("2.") else {}
    try:
        model = keras.models.load_model(path, custom_objects=legacy, compile=False)
        model = _in_float32(model)
    except _LOAD_FAULTS as error:
        raise _load_error(path, saved_by, error) from error
    shapes = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
    if not (_is_picture(shapes[0]) and _is_scores(shapes[1])):
        raise ConversionError(
            f"{path}: takes {shapes[0]} and gives {shapes[1]}; "
            "an image classifier takes [N, H, W, 3] and gives [N, classes]"
        )
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ConversionError(
            f"{path}: has NaN or infinite weights, as a training with too high a learning "
            "rate leaves them; train again with a lower --learning-rate"
        )
    return _with_probabilities(model)


def _with_probabilities(model: Any) -> Any:
    """The model with one probability per label.

    Logits get the softmax or sigmoid that they were trained with. The one score of a sigmoid
    head is that of the second of two labels, as Keras' `image_dataset_from_directory` numbers
    them.
    """
    activation = getattr(_last_layer(model), "activation", None)
    scores = model.outputs[0]
    single = scores.shape[1] == 1
    if activation is keras.activations.linear:
        name = "sigmoid" if single else "softmax"
        _log.info("the model ends in logits: a %s is added", name)
        scores = keras.layers.Activation(name, name="probabilities")(scores)
    elif not (single and activation is keras.activations.sigmoid):
        return model
    if single:
        _log.info("the model has one sigmoid score, which is taken for that of the second label")
        other = keras.layers.Rescaling(-1.0, offset=1.0, name="first_label")(scores)
        scores = keras.layers.Concatenate(name="both_labels")([other, scores])
    return keras.Model(model.inputs, scores)


def _last_layer(model: Any) -> Any:
    """The layer that makes the scores, inside the last model of nested ones."""
    layer = model.layers[-1] if model.layers else None
    return _last_layer(layer) if isinstance(layer, keras.Model) else layer


def _in_float32(model: Any) -> Any:
    """The model computing in float32, where it was saved in mixed or half precision."""
    config = keras.saving.serialize_keras_object(model)
    if not _replace_policies(config):
        return model
    _log.info("the model was saved in mixed precision: it is converted in float32")
    same = keras.saving.deserialize_keras_object(config)
    same.set_weights([np.asarray(weight, np.float32) for weight in model.get_weights()])
    return same


def _replace_policies(config: Any) -> bool:
    """Turn every 16-bit policy and dtype in a model's configuration into float32."""
    entries = list(config.items() if isinstance(config, dict) else enumerate(config))
    found = False
    for key, value in entries:
        if isinstance(value, str) and value in _SHORT_FLOATS and key in {"name", "dtype"}:
            config[key] = "float32"
            found = True
        elif isinstance(value, (dict, list)):
            found = _replace_policies(value) or found
    return found


def _load_error(path: Path, saved_by: str | None, error: BaseException) -> ConversionError:
    # Shortened, since it may quote the file.
    reason = str(error).strip().split("\n", 1)[0].split(". ", 1)[0][:200]
    if saved_by is not None and saved_by.startswith("2."):
        return ConversionError(
            f"{path}: saved by Keras {saved_by} and cannot be loaded by {keras.__version__} "
            f"({reason}); build the model again in Keras 3 and load the old weights into it with "
            "load_weights, or train again"
        )
    if saved_by is not None and saved_by != keras.__version__:
        return ConversionError(
            f"{path}: saved by Keras {saved_by} and cannot be loaded by {keras.__version__} "
            f"({reason}); pip install keras=={saved_by}, or train again"
        )
    if "No model config found" in reason:
        return ConversionError(
            f"{path}: has weights alone; save the whole model with model.save('model.keras')"
        )
    return ConversionError(
        f"{path}: cannot be loaded here ({reason}); edgebee converts models that consist of "
        "Keras' own layers"
    )


def _is_picture(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3 and None not in shape[1:]


def _is_scores(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is not None
