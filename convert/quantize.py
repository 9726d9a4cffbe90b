"""Keras model -> TFLite bytes, in four formats.

| format  | weights | arithmetic | input and output |
| ------- | ------- | ---------- | ---------------- |
| float32 | float32 | float32    | float32          |
| float16 | float16 | float32    | float32          |
| dynamic | int8    | float32 and int8 | float32    |
| int8    | int8    | int8       | uint8            |

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal, get_args

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edgebee.convert.calibration import Calibration
from edgebee.errors import ConversionError

__all__ = ["FORMATS", "Format", "quantize", "trace"]

Format = Literal["float32", "float16", "dynamic", "int8"]
FORMATS: tuple[Format, ...] = get_args(Format)


def trace(model: Any) -> Any:
    """The model as a frozen graph for one photo, which every format is made from.

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

    return convert_variables_to_constants_v2(scores.get_concrete_function())


def quantize(graph: Any, format_: Format, calibration: Calibration | None = None) -> bytes:
    """Convert a traced model to TFLite.

    Args:
        graph: from `trace`.
        format_: see the table above.
        calibration: needed by int8 alone.

    Returns:
        A TFLite flatbuffer without metadata.

    Raises:
        ConversionError: the converter refuses the model, or int8's input does not take
            pixels as they are.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    if format_ != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format_ == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif format_ == "dynamic":
        # A scale per channel in dense layers needs FULLY_CONNECTED version 12, which
        # tflite-runtime 2.14 does not know.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    elif format_ == "int8":
        if calibration is None:
            raise ConversionError("int8 needs training photos to calibrate on")
        converter.representative_dataset = calibration.representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    try:
        with warnings.catch_warnings():
            # It does not expect statistics for an input that it quantizes itself.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            content = bytes(converter.convert())
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise ConversionError(f"the converter cannot make {format_} of this: {reason}") from error
    if format_ == "int8":
        _check_takes_pixels(content)
    return content


def _check_takes_pixels(content: bytes) -> None:
    """Hold an int8 model to its contract: `uint8` pixels as they are."""
    from ai_edge_litert.interpreter import Interpreter

    entry = Interpreter(model_content=content).get_input_details()[0]
    scale, zero_point = entry["quantization"]
    if abs(scale - 1) > 1e-6 or zero_point != 0:
        raise ConversionError(
            f"calibration gave an input scale of {scale} and zero point {zero_point}, not 1 and "
            "0: the photos for calibration are not 8-bit RGB"
        )
