"""Keras model -> TFLite bytes, in five formats.

| format  | weights | arithmetic       | input and output        |
| ------- | ------- | ---------------- | ----------------------- |
| float32 | float32 | float32          | float32                 |
| float16 | float16 | float32          | float32                 |
| dynamic | int8    | float32 and int8 | float32                 |
| int8    | int8    | int8             | uint8, int8 or float32  |
| int16x8 | int8    | int16            | float32                 |

The model is traced once. What takes long in the integer formats is calibration, which runs the
float model on every photo; it too happens once, and its result is again a TFLite file: the
float32 one with the range of every tensor in it. The converter does the same in one go, but
begins anew for every format, hence TensorFlow's own steps are called here one by one.

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError, mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator, add_intermediate_tensors
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from edgebee.convert.representative import Calibration
from edgebee.errors import ConversionError

__all__ = [
    "CALIBRATED_FORMATS",
    "FORMATS",
    "Format",
    "InputType",
    "calibrate",
    "list_float_operators",
    "quantize_16x8",
    "quantize_float",
    "quantize_int8",
    "trace",
]

Format = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
FORMATS: tuple[Format, ...] = get_args(Format)
CALIBRATED_FORMATS: tuple[Format, ...] = ("dynamic", "int8", "int16x8")
"""Those that are made with training photos: weights are rounded by them, and ranges are set."""

InputType = Literal["uint8", "int8", "float32"]
_TYPES = {"uint8": tf.uint8, "int8": tf.int8, "float32": tf.float32}
_ZERO_POINTS = {"uint8": 0, "int8": -128}


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
        # A scale per channel in dense layers needs FULLY_CONNECTED version 12, which
        # tflite-runtime 2.14 does not know.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return _converted(format_, converter.convert)


def calibrate(float32: bytes, calibration: Calibration) -> bytes:
    """Run the float model on photos and note the range of every tensor.

    Args:
        float32: from `quantize_float`.
        calibration: the photos.

    Returns:
        The same model with a smallest and a largest value in each tensor.
    """
    calibrator = Calibrator(add_intermediate_tensors(float32))
    return _converted("int8", lambda: calibrator.calibrate(calibration.representative_dataset))


def quantize_int8(
    calibrated: bytes, io: InputType = "uint8", float_layers: Sequence[str] = ()
) -> bytes:
    """Make the int8 format of a calibrated model.

    Args:
        calibrated: from `calibrate`.
        io: type of the input and the output. `uint8` takes pixels as they are, `int8` takes
            them less 128, as microcontrollers and the Edge TPU like it.
        float_layers: names of tensors whose layers stay in float.

    Raises:
        ConversionError: the quantizer refuses the model, or the input does not take pixels.
    """
    content = _converted(
        "int8",
        lambda: mlir_quantize(
            calibrated,
            input_data_type=_TYPES[io],
            output_data_type=_TYPES[io],
            denylisted_nodes=list(float_layers) or None,
            disable_per_channel_for_dense_layers=True,
        ),
    )
    if io in _ZERO_POINTS:
        _check_takes_pixels(content, _ZERO_POINTS[io])
    return content


def quantize_16x8(calibrated: bytes) -> bytes:
    """Make the int16x8 format of a calibrated model: activations of 16 bits, weights of 8.

    Raises:
        ConversionError: the quantizer refuses the model.
    """
    float32, int16, int64 = (np.dtype(name).num for name in ("float32", "int16", "int64"))
    model = Calibrator(calibrated)
    allow_float, per_tensor, per_tensor_dense = False, False, True
    return _converted(
        "int16x8",
        lambda: model._calibrator.QuantizeModel(
            float32, float32, allow_float, int16, int64, per_tensor, per_tensor_dense
        ),
    )


def list_float_operators(content: bytes) -> list[str]:
    """Names of the operators of an int8 model that compute in float, and give floats.

    The quantizer leaves in float what it knows no integer kernel for.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    graph = model.subgraphs[0]
    found = set()
    for operator in graph.operators:
        name = str(names[model.operatorCodes[operator.opcodeIndex].builtinCode])
        kinds = {graph.tensors[index].type for index in operator.outputs}
        if name != "DEQUANTIZE" and schema.TensorType.FLOAT32 in kinds:
            found.add(name)
    return sorted(found)


def _converted(format_: str, step: Callable[[], Any]) -> bytes:
    """Run a step of TensorFlow's converter; its refusal in one line."""
    try:
        with warnings.catch_warnings():
            # It does not expect statistics for an input that it quantizes itself.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
            return bytes(step())
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
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
            f"{expected_zero_point}: the photos for calibration are not 8-bit RGB"
        )
