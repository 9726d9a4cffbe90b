"""Which layers lose most by int8, so that they can stay in float.

TensorFlow's `QuantizationDebugger` runs every layer twice on the same input, in float and in
integers, and hands over both results (https://ai.google.dev/edge/litert/conversion/tensorflow/
quantization/quantization_debugger).
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from edgebee.errors import ConversionError

__all__ = ["LayerError", "find_layer_errors", "names_around"]


@dataclass(frozen=True)
class LayerError:
    """What int8 does to one layer."""

    tensor: str
    """The name of its output."""
    operator: str
    error: float
    """0 (nothing is lost) to 1: see `channel_error`."""

    @property
    def name(self) -> str:
        """The layer's name as Keras has it, as far as it can be told.

        Tensors are named `model/layer/operation`, fused ones have several such names.
        """
        parts = self.tensor.split(";", 1)[0].split("/")
        layer = parts[-2] if len(parts) > 1 else parts[0]
        return re.sub(r"_1$", "", layer)  # Keras counts the calls of a layer


def find_layer_errors(
    calibrated: bytes, pictures: npt.NDArray[np.uint8], float_layers: Sequence[str] = ()
) -> list[LayerError]:
    """Measure every layer that is quantized on a few photos; the worst first.

    A layer is compared with itself on the same, already quantized input: what one layer has
    lost, the next cannot lose again.

    Args:
        calibrated: from `edgebee.convert.quantize.calibrate`.
        pictures: `[photos, H, W, 3]`.
        float_layers: names of tensors whose layers stay in float.

    Raises:
        ConversionError: the runtime has no kernel for so quantized a layer.
    """

    def dataset() -> Iterator[list[npt.NDArray[np.float32]]]:
        for picture in pictures:
            yield [picture[np.newaxis].astype(np.float32)]

    instrumented = mlir_quantize(
        calibrated,
        enable_numeric_verify=True,
        denylisted_nodes=list(float_layers) or None,
        disable_per_channel_for_dense_layers=True,
    )
    options = tf.lite.experimental.QuantizationDebugOptions(
        layer_direct_compare_metrics={"channel_error": channel_error}
    )
    try:
        with warnings.catch_warnings():
            # The debugger uses TensorFlow's own interpreter, which points at its successor, and
            # keeps every tensor, which takes memory.
            warnings.filterwarnings("ignore", r"\s*Warning: (tf\.lite\.Interpreter|Enabling)")
            debugger = tf.lite.experimental.QuantizationDebugger(
                quant_debug_model_content=instrumented, debug_dataset=dataset, debug_options=options
            )
            debugger.run()
    except RuntimeError as error:
        said = " ".join(str(error).split())  # TensorFlow's words are of several lines
        raise ConversionError(f"the layers cannot be run in int8 one by one ({said})") from error
    table = io.StringIO()
    debugger.layer_statistics_dump(table)
    found = [
        LayerError(row["tensor_name"], row["op_name"], float(row["channel_error"]))
        for row in csv.DictReader(io.StringIO(table.getvalue()))
        # A score below 1/256 is lost in full, and nobody misses it.
        if row["op_name"] != "SOFTMAX"
    ]
    return sorted(found, key=lambda layer: -layer.error)


def channel_error(
    expected: npt.NDArray[np.float32],
    quantized: npt.NDArray[np.int8],
    scale: float,
    zero_point: int,
) -> float:
    """The share of a channel's signal that is lost, on average over the channels.

    Channel by channel, since a loud one would drown out that a quiet one is gone.

    Args:
        expected: `[..., channels]`.
        quantized: the same in integers.
        scale: a step of them.
        zero_point: what stands for 0.
    """
    values = (quantized.astype(np.float32) - zero_point) * scale
    places = tuple(range(expected.ndim - 1))
    error = ((values - expected) ** 2).mean(axis=places)
    power = (expected**2).mean(axis=places)
    return float(np.minimum(1.0, error / np.maximum(power, 1e-12)).mean())


def names_around(calibrated: bytes, tensors: Sequence[str]) -> list[str]:
    """The layers that make the given tensors or read them, by the names of their outputs.

    A tensor is spared its integers only when the layers on both sides of it are float.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.ModelT.InitFromPackedBuf(calibrated, 0).subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    wanted = {index for index, name in enumerate(names) if name in set(tensors)}
    around = [
        names[operator.outputs[0]]
        for operator in graph.operators
        if wanted & {*operator.inputs, *operator.outputs}
    ]
    return list(dict.fromkeys(around))
