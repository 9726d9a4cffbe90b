"""Keras model -> TFLite flatbuffers in the formats of `edgebee.convert.formats`.

The model is traced once. What takes long in the integer formats is calibration, which runs the
float model on every photo of the representative dataset; it too happens once, and its result is
again a flatbuffer: the float32 one with the range of every tensor in it.

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from edgebee.convert import tensorflow_internals as internals
from edgebee.convert.formats import InputType
from edgebee.convert.representative import RepresentativeDataset
from edgebee.edge.classify import native_messages_silenced
from edgebee.errors import ConversionError

__all__ = ["calibrate", "quantize_float", "quantize_int8", "trace"]

_TYPES = {"uint8": tf.uint8, "int8": tf.int8}
_ZERO_POINTS = {"uint8": 0, "int8": -128}


def trace(model: Any) -> Any:
    """The model as a graph for one photo, which every format is made from.

    Converting from this is several times faster than from the Keras model, since
    nothing passes through a SavedModel on disk.

    Args:
        model: Keras, `float32 [N, H, W, 3]` -> `float32 [N, classes]`.

    Returns:
        A concrete function `pixels: float32 [1, H, W, 3]` -> scores.
    """

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="pixels")]
    )
    def scores(pixels: Any) -> Any:
        return model(pixels, training=False)

    return scores.get_concrete_function()


def quantize_float(graph: Any, format_: Literal["float32", "float16", "dynamic"]) -> bytes:
    """Convert a traced model to a format that needs no calibration.

    Returns:
        A TFLite flatbuffer without metadata.

    Raises:
        ConversionError: the converter refuses the model.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    if format_ != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format_ == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif format_ == "dynamic":
        internals.quantize_dense_layers_per_tensor(converter)
    return _converted(format_, converter.convert)


def calibrate(float32: bytes, photos: RepresentativeDataset) -> bytes:
    """Run the float model on photos and store the range of every tensor.

    Args:
        float32: from `quantize_float`.
        photos: what the ranges are measured on.

    Returns:
        The same model with a smallest and a largest value in each tensor.

    Raises:
        ConversionError: the model does not run.
    """
    return _converted("int8", lambda: internals.add_value_ranges(float32, photos.samples))


def quantize_int8(calibrated: bytes, io: InputType = "uint8") -> bytes:
    """Make the int8 format of a calibrated model.

    Args:
        calibrated: from `calibrate`.
        io: type of the input and the output. `uint8` takes pixels as they are, `int8` takes
            them less 128, as microcontrollers do.

    Raises:
        ConversionError: the quantizer refuses the model, or the input does not take pixels.
    """
    content = _converted("int8", lambda: internals.quantize_int8(calibrated, _TYPES[io]))
    _check_takes_pixels(content, _ZERO_POINTS[io])
    return content


def _converted(format_: str, step: Callable[[], bytes]) -> bytes:
    """Run a step of TensorFlow's converter; its refusal in one line."""
    try:
        with warnings.catch_warnings(), native_messages_silenced():
            # It does not expect statistics for an input that it quantizes itself.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            return bytes(step())
    except (ValueError, RuntimeError, internals.ConverterError, tf.errors.OpError) as error:
        reason = str(error).strip().split("\n", 1)[0][:200]
        raise ConversionError(f"the converter cannot make {format_} of this: {reason}") from error


def _check_takes_pixels(content: bytes, expected_zero_point: int) -> None:
    """Hold an int8 model to its contract: pixels as they are, or less 128."""
    from ai_edge_litert.interpreter import Interpreter

    entry = Interpreter(model_content=content).get_input_details()[0]
    scale, zero_point = entry["quantization"]
    if abs(scale - 1) > 1e-6 or zero_point != expected_zero_point:
        raise ConversionError(
            f"calibration gave an input scale of {scale} and zero point {zero_point}, not 1 and "
            f"{expected_zero_point}: the photos of the representative dataset are not 8-bit RGB"
        )
