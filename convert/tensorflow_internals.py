"""Every private function of TensorFlow that edgebee calls, and the versions they were tried with.

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

from edgebee.errors import ConversionError

__all__ = [
    "NEWEST_TRIED",
    "OLDEST_TRIED",
    "ConverterError",
    "add_value_ranges",
    "check_version",
    "quantize_dense_layers_per_tensor",
    "quantize_int8",
]

OLDEST_TRIED, NEWEST_TRIED = (2, 18), (2, 21)
"""Releases of TensorFlow with which every format was made; the bounds in `pyproject.toml`."""


def check_version(version: str) -> None:
    """Refuse a TensorFlow whose private functions were not tried.

    Raises:
        ConversionError: it is older or newer; says which to install.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    if not OLDEST_TRIED <= (major, minor) <= NEWEST_TRIED:
        oldest, newest = (".".join(map(str, one)) for one in (OLDEST_TRIED, NEWEST_TRIED))
        raise ConversionError(
            f"TensorFlow {version}: edgebee converts with functions that are private to "
            f"TensorFlow, and was tried with {oldest} to {newest}: "
            f"pip install 'tensorflow>={oldest},<{NEWEST_TRIED[0]}.{NEWEST_TRIED[1] + 1}'"
        )


check_version(tf.__version__)

from tensorflow.lite.python.convert import ConverterError, mlir_quantize  # noqa: E402
from tensorflow.lite.python.optimize.calibrator import Calibrator, add_intermediate_tensors  # noqa: E402


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
