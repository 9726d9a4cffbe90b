"""Narrower ranges for a calibrated model: fewer values clipped too hard than steps wasted.

A calibrated model carries the smallest and the largest value that any photo gave each tensor.
One outlier makes that range wide, and then all other values share few of the 256 steps. The
well-kept quantizers choose better ranges for weights only (litert-quantizer 0.11 falls back to
the smallest and largest for activations), TensorFlow's converter not at all; the two classical
choices are made here, as Wu et al. compare them in "Integer Quantization for Deep Learning
Inference: Principles and Empirical Evaluation" (arXiv:2004.09602, 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgebee.convert.activations import observed
from edgebee.convert.flatbuffer import pack_model

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
    return pack_model(model, len(calibrated))


def _has_range(tensor: Any) -> bool:
    return tensor.quantization.min is not None and len(tensor.quantization.min) == 1


def _activations(
    calibrated: bytes, pictures: Iterable[npt.NDArray[np.uint8]], tensors: list[int]
) -> dict[int, npt.NDArray[np.float32]]:
    """Values that each tensor takes, a sample of each photo's."""
    values: dict[int, list[npt.NDArray[np.float32]]] = {index: [] for index in tensors}
    for interpreter in observed(calibrated, pictures):
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
