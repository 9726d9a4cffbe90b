"""A whole conversion: a Keras file in, `.tflite` files out.

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgebee.artifacts import write_through
from edgebee.convert.calibration import Calibration
from edgebee.convert.keras_file import check_keras_file
from edgebee.convert.metadata import pack_metadata
from edgebee.convert.quantize import Format, quantize, trace
from edgebee.edge.classify import Classifier
from edgebee.errors import ConversionError

__all__ = ["Converted", "convert", "load_keras", "write_model"]


@dataclass(frozen=True)
class Converted:
    """One format of a model."""

    format: Format
    content: bytes
    """A TFLite file with metadata."""


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
    except (ValueError, TypeError, OSError, KeyError) as error:
        reason = str(error).strip().split("\n", 1)[0].split(". ", 1)[0]
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


def _is_picture(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 4 and shape[3] == 3 and None not in shape[1:]


def _is_scores(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] is not None


def convert(
    model: Any,
    labels: Sequence[str],
    formats: Sequence[Format],
    calibration: Calibration | None,
    *,
    description: str,
) -> Iterator[Converted]:
    """Convert a model to each format in turn, tracing it once.

    Args:
        model: from `load_keras`.
        labels: one name per score.
        formats: which.
        calibration: needed by int8 alone.
        description: a sentence that goes into the files.

    Raises:
        ConversionError: a format cannot be made.
    """
    if model.output_shape[1] != len(labels):
        raise ConversionError(
            f"the model gives {model.output_shape[1]} scores, but there are {len(labels)} labels: "
            "labels.txt and the model do not belong together"
        )
    graph = trace(model)
    for format_ in formats:
        content = quantize(graph, format_, calibration)
        yield Converted(format_, pack_metadata(content, labels, description=description))


def write_model(converted: Converted, folder: Path) -> Path:
    """Write `model_<format>.tflite`, once it has loaded and answered as the runner would.

    Raises:
        OutputError: it could not be written.
        ModelError: it does not load or answer.
    """
    path = folder / f"model_{converted.format}.tflite"

    def write(part: Path) -> None:
        part.write_bytes(converted.content)
        classifier = Classifier(part)
        classifier(np.zeros((*classifier.size, 3), np.uint8))

    write_through(path, write)
    return path
