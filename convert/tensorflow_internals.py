"""Every private function of TensorFlow that edgebee calls.

Every format was made with them in TensorFlow 2.18 and 2.21, the bounds in `pyproject.toml`.

The public converter calibrates again for every format, and takes only Keras models and graphs.
edgebee calibrates once for all formats, and quantizes float models whose kernels it has changed
itself (GPTQ), which needs the converter's own steps from one `.tflite` flatbuffer to the next.

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = [
    "ConverterError",
    "add_value_ranges",
    "quantize_dense_layers_per_tensor",
    "quantize_int8",
]

from tensorflow.lite.python.convert import ConverterError, mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator, add_intermediate_tensors


def quantize_dense_layers_per_tensor(converter: tf.lite.TFLiteConverter) -> None:
    """Give dense layers one scale each, not one per channel.

    A scale per channel needs FULLY_CONNECTED version 12, which tflite-runtime 2.14 does not have.
    """
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def add_value_ranges(
    float32: bytes, samples: Callable[[], Iterator[list[npt.NDArray[np.float32]]]]
) -> bytes:
    """Run a float model on samples and store the smallest and largest value in each tensor.

    Args:
        float32: a TFLite flatbuffer.
        samples: gives one list of inputs at a time.
    """
    return bytes(Calibrator(add_intermediate_tensors(float32)).calibrate(samples))


def quantize_int8(calibrated: bytes, io: Any) -> bytes:
    """Quantize weights and activations to int8; what has no integer kernel stays in float.

    Args:
        calibrated: from `add_value_ranges`.
        io: TensorFlow's type of the input and the output.
    """
    return bytes(
        mlir_quantize(
            calibrated,
            input_data_type=io,
            output_data_type=io,
            disable_per_channel_for_dense_layers=True,
        )
    )
