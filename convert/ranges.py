"""Narrower ranges for a calibrated model: fewer values clipped too hard than steps wasted.

A calibrated model carries the smallest and the largest value that any photo gave each tensor.
One outlier makes that range wide, and then all other values share few of the 256 steps. The
well-kept quantizers choose better ranges for weights only (litert-quantizer 0.11 falls back to
the smallest and largest for activations), TensorFlow's converter not at all; the two classical
choices are made here, as Wu et al. compare them in "Integer Quantization for Deep Learning
Inference: Principles and Empirical Evaluation" (arXiv:2004.09602, 2020).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Literal

import flatbuffers
import numpy as np
import numpy.typing as npt

__all__ = ["RangeMethod", "clip_ranges", "mse_range", "percentile_range"]

RangeMethod = Literal["mse", "percentile"]

PERCENTILE = 99.9
_STEPS = 255
_BINS = 2048
_FRACTIONS = np.linspace(0.02, 1.0, 99)
_VALUES_A_PHOTO = 10_000
"""Of each tensor, taken evenly: enough for one value in a thousand, little to keep."""


def clip_ranges(
    calibrated: bytes, pictures: Iterable[npt.NDArray[np.uint8]], method: RangeMethod
) -> bytes:
    """Give every inner tensor of a calibrated model the range that `method` chooses.

    The input keeps 0-255 and the output 0-1: those are promises.

    Args:
        calibrated: from `edgebee.convert.quantize.calibrate`.
        pictures: `[H, W, 3]` each, the photos it was calibrated on or some of them.
        method: `mse` (the smallest mean squared error of a value) or `percentile` (all but one
            value in a thousand, at either end).
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(calibrated, 0)
    graph = model.subgraphs[0]
    outer = {*graph.inputs, *graph.outputs}
    inner = [
        index
        for index, tensor in enumerate(graph.tensors)
        if index not in outer and tensor.quantization is not None and _has_range(tensor)
    ]
    choose = mse_range if method == "mse" else percentile_range
    for index, values in _activations(calibrated, pictures, inner).items():
        low, high = choose(values)
        # Zero must be representable: it pads, and it is what most values are after a ReLU.
        graph.tensors[index].quantization.min = [min(low, 0.0)]
        graph.tensors[index].quantization.max = [max(high, 0.0)]
    builder = flatbuffers.Builder(len(calibrated))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _has_range(tensor: Any) -> bool:
    return tensor.quantization.min is not None and len(tensor.quantization.min) == 1


def _activations(
    calibrated: bytes, pictures: Iterable[npt.NDArray[np.uint8]], tensors: list[int]
) -> dict[int, npt.NDArray[np.float32]]:
    """Values that each tensor takes, a sample of each photo's."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`")
        interpreter = Interpreter(
            model_content=calibrated,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    values: dict[int, list[npt.NDArray[np.float32]]] = {index: [] for index in tensors}
    for picture in pictures:
        interpreter.set_tensor(entry, picture[np.newaxis].astype(np.float32))
        interpreter.invoke()
        for index in tensors:
            flat = interpreter.get_tensor(index).ravel()
            stride = -(-len(flat) // _VALUES_A_PHOTO) | 1  # odd: every channel has its turn
            values[index].append(flat[::stride].copy())
    return {index: np.concatenate(parts) for index, parts in values.items()}


def percentile_range(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """All values but one in a thousand at either end."""
    low, high = np.percentile(values, (100 - PERCENTILE, PERCENTILE))
    return float(low), float(high)


def mse_range(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """The part of the full range, cut alike at both ends, with the smallest squared error.

    A value inside is off by a step's rounding, a twelfth of the step squared on average; a
    value outside by its distance from the range.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, high
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    middles = (edges[1:] + edges[:-1]) / 2
    errors = []
    for fraction in _FRACTIONS:
        clipped = middles.clip(low * fraction, high * fraction)
        step = (high - low) * fraction / _STEPS
        outside = clipped != middles
        error = np.where(outside, (middles - clipped) ** 2, step**2 / 12)
        errors.append(float((counts * error).sum()))
    best = float(_FRACTIONS[int(np.argmin(errors))])
    return low * best, high * best
