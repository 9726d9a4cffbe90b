"""GPTQ: quantize a model's kernels to int8 so that the outputs of its layers change least.

Int8 has 255 values for each channel of a kernel. Rounding each weight to the nearest of them is
not the best: when one is rounded up, those after it can compensate, by as much as their inputs
correlate on real photos. That is GPTQ (Frantar et al., "GPTQ: Accurate Post-Training
Quantization for Generative Pre-trained Transformers", ICLR 2023), which needs no training.

The result is still a float model, whose kernels lie on int8's values: the quantizer, which maps
a channel's largest weight to 127 steps, finds nothing left to round. litert-quantizer 0.11 has
GPTQ too, but for fully connected layers alone; MobileNetV2 has one of those and 52 convolutions,
hence NumPy on the flatbuffer.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.flatbuffer import pack_model

__all__ = ["copy_kernels", "quantize_kernels", "round_with_feedback"]

Floats = npt.NDArray[Any]

STEPS = 127
"""Of int8 on either side of 0; -128 is not used for weights."""
DAMPING = 0.01
"""Of the inputs' mean square, added to each of them, as in the paper."""
POSITIONS_A_PHOTO = 256
"""Positions of each layer's output that are sampled, evenly: neighbours are much alike."""
MAX_WEIGHTS_A_CHANNEL = 3000
"""A layer with more is not changed: the matrix to invert would take too long."""


@dataclass(frozen=True)
class _Layer:
    """A convolution of the graph."""

    entering: int
    """Number of the tensor that it reads."""
    kernel: int
    """Number of the tensor with its kernel."""
    buffer: int
    """Number of the buffer with the kernel's values."""
    shape: tuple[int, int, int, int]
    """Of the kernel: `[out, h, w, in]`, for a depthwise one `[1, h, w, channels]`."""
    depthwise: bool
    strides: tuple[int, int]
    padded: bool
    """Whether the output covers all of the input (SAME)."""


def quantize_kernels(float32: bytes, pictures: Iterable[npt.NDArray[np.uint8]]) -> bytes:
    """Move the kernels of a model's convolutions to values that int8 has.

    Args:
        float32: a TFLite flatbuffer, from `edgebee.convert.quantize.quantize_float`.
        pictures: `[H, W, 3]` each, some dozens of representative photos.

    Returns:
        The same model, its kernels quantized, still `float32`.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(float32, 0)
    types = [tensor.type for tensor in model.subgraphs[0].tensors]
    layers = [one for one in _convolutions(model) if types[one.kernel] == schema.TensorType.FLOAT32]
    for layer, moments in zip(layers, _moments(float32, pictures, layers), strict=True):
        if not np.isfinite(moments).all():
            continue  # NaN or infinite activations; the verification will report it
        buffer = model.buffers[layer.buffer]
        kernel = np.frombuffer(bytes(buffer.data), np.float32).reshape(layer.shape)
        rounded = _from_columns(round_with_feedback(_columns(kernel, layer), moments), layer)
        buffer.data = np.frombuffer(rounded.astype("<f4").tobytes(), np.uint8)
    return pack_model(model, len(float32))


def copy_kernels(rounded: bytes, quantized: bytes) -> bytes:
    """Replace int8 kernels that were rounded to the nearest value by those of `quantize_kernels`.

    Needed for `dynamic`, which the converter makes of the graph alone.

    Args:
        rounded: from `quantize_kernels`.
        quantized: the same graph, kernels in int8 or, small ones, left in float.

    Returns:
        The second model with the kernels of the first, where it has them in int8.
    """
    from ai_edge_litert import schema_py_generated as schema

    source, target = (schema.ModelT.InitFromPackedBuf(one, 0) for one in (rounded, quantized))
    for layer, same in zip(_convolutions(source), _convolutions(target), strict=True):
        tensor = target.subgraphs[0].tensors[same.kernel]
        if tensor.type != schema.TensorType.INT8:
            continue
        kernel = np.frombuffer(bytes(source.buffers[layer.buffer].data), np.float32)
        along = [1] * 4
        along[tensor.quantization.quantizedDimension] = -1
        scale = np.asarray(tensor.quantization.scale, np.float64).reshape(along)
        whole = np.rint(kernel.reshape(layer.shape) / scale).clip(-STEPS, STEPS)
        target.buffers[same.buffer].data = np.frombuffer(whole.astype(np.int8).tobytes(), np.uint8)
    return pack_model(target, len(quantized))


def round_with_feedback(weights: Floats, moments: Floats) -> Floats:
    """Round weights one after another, each error compensated by those that follow.

    Args:
        weights: `[groups, inputs, outputs]`; those of one group and output share a scale.
        moments: `[groups, inputs, inputs]`, sums of the products of two inputs.

    Returns:
        Weights of the same shape, whole multiples of `max(|weights|) / 127` of their output. The
        largest keeps its value, so that the scale stays what it was.
    """
    largest = np.abs(weights).max(axis=1, keepdims=True)
    step = np.where(largest > 0, largest, 1.0) / STEPS
    power = np.einsum("gii->gi", moments)
    order = np.argsort(-power, axis=1, kind="stable")  # the largest inputs first
    left = np.take_along_axis(weights, order[..., np.newaxis], axis=1).astype(np.float64)
    whole = np.rint(left / step)
    keeps = np.abs(whole) == STEPS
    sorted_moments = np.take_along_axis(
        np.take_along_axis(moments, order[..., np.newaxis], axis=1), order[:, np.newaxis], axis=2
    ).astype(np.float64)
    # An input that is always 0 has no moments; the damping keeps the matrix regular.
    damping = DAMPING * power.mean(axis=1) + 1e-6
    sorted_moments += damping[:, np.newaxis, np.newaxis] * np.eye(left.shape[1])
    inverse = np.linalg.cholesky(np.linalg.inv(sorted_moments))  # lower; row i: what follows i
    rounded = np.empty_like(left)
    for place in range(left.shape[1]):
        nearest = np.rint(left[:, place] / step[:, 0]).clip(-STEPS, STEPS)
        nearest = np.where(keeps[:, place], whole[:, place], nearest)
        rounded[:, place] = nearest * step[:, 0]
        error = (left[:, place] - rounded[:, place]) / inverse[:, place, place, np.newaxis]
        follows = inverse[:, place + 1 :, place, np.newaxis]
        left[:, place + 1 :] -= follows * error[:, np.newaxis]
    back = np.argsort(order, axis=1, kind="stable")
    return np.take_along_axis(rounded, back[..., np.newaxis], axis=1)


def _convolutions(model: Any) -> list[_Layer]:
    """The convolutions whose kernels are constants that int8 would quantize."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    depthwise_codes = {
        schema.BuiltinOperator.CONV_2D: False,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D: True,
    }
    found = []
    for operator in graph.operators:
        depthwise = depthwise_codes.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if depthwise is None:
            continue
        entering, kernel = (graph.tensors[index] for index in operator.inputs[:2])
        options = operator.builtinOptions
        constant = model.buffers[kernel.buffer].data is not None
        dilated = (options.dilationHFactor, options.dilationWFactor) != (1, 1)
        grouped = kernel.shape[3] != entering.shape[3]  # or a depthwise one's multiplier
        rows = np.prod(kernel.shape[1:3] if depthwise else kernel.shape[1:])
        if not constant or dilated or grouped or rows > MAX_WEIGHTS_A_CHANNEL:
            continue
        found.append(
            _Layer(
                entering=operator.inputs[0],
                kernel=operator.inputs[1],
                buffer=kernel.buffer,
                shape=tuple(kernel.shape),
                depthwise=depthwise,
                strides=(options.strideH, options.strideW),
                padded=options.padding == schema.Padding.SAME,
            )
        )
    return found


def _columns(kernel: Floats, layer: _Layer) -> Floats:
    """A kernel as `[groups, inputs, outputs]`: one group, or one for each depthwise channel."""
    out, height, width, channels = layer.shape
    if layer.depthwise:
        return kernel.reshape(height * width, channels, 1).transpose(1, 0, 2)
    return kernel.reshape(1, out, height * width * channels).transpose(0, 2, 1)


def _from_columns(columns: Floats, layer: _Layer) -> Floats:
    """The inverse of `_columns`."""
    if layer.depthwise:
        return columns.transpose(1, 0, 2).reshape(layer.shape)
    return columns.transpose(0, 2, 1).reshape(layer.shape)


def _moments(
    float32: bytes, pictures: Iterable[npt.NDArray[np.uint8]], layers: list[_Layer]
) -> list[Floats]:
    """`[groups, inputs, inputs]` of each layer, summed over the photos."""
    sums: list[Any] = [0.0] * len(layers)
    for interpreter in _observed(float32, pictures):
        for index, layer in enumerate(layers):
            patches = _patches(interpreter.get_tensor(layer.entering)[0], layer)
            sums[index] = sums[index] + _products(patches, layer)
    return sums


def _observed(float32: bytes, pictures: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Any]:
    """Invoke a model on one photo after another, with every tensor kept.

    Args:
        float32: a TFLite flatbuffer that takes `float32 [1, H, W, 3]`.
        pictures: `[H, W, 3]` each.

    Yields:
        The same interpreter after each photo; `get_tensor(number)` gives the values of a tensor.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`")
        interpreter = Interpreter(
            model_content=float32,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    for picture in pictures:
        interpreter.set_tensor(entry, picture[np.newaxis].astype(np.float32))
        interpreter.invoke()
        yield interpreter


def _products(patches: Floats, layer: _Layer) -> Floats:
    """`[groups, inputs, inputs]`: the products of two inputs, summed over `_patches`."""
    with np.errstate(over="ignore", invalid="ignore"):  # of a model that is broken
        if layer.depthwise:  # [positions, inputs, channels] -> a matrix for each channel
            return np.asarray(patches.transpose(2, 1, 0) @ patches.transpose(2, 0, 1))
        flat = patches.reshape(len(patches), -1)
        return np.asarray((flat.T @ flat)[np.newaxis])


def _patches(activations: Floats, layer: _Layer) -> Floats:
    """The inputs under the kernel at some positions: `[positions, h * w, channels]`.

    Args:
        activations: `[h, w, channels]` that enter the layer.
        layer: decides kernel, strides and padding.
    """
    sides = layer.shape[1:3]
    if layer.padded:
        margins = []
        for length, side, stride in zip(activations.shape[:2], sides, layer.strides, strict=True):
            missing = max(0, (-(-length // stride) - 1) * stride + side - length)
            margins.append((missing // 2, missing - missing // 2))
        activations = np.pad(activations, (*margins, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(activations, sides, axis=(0, 1))
    windows = windows[:: layer.strides[0], :: layer.strides[1]]
    count = windows.shape[0] * windows.shape[1]
    taken = np.arange(0, count, -(-count // POSITIONS_A_PHOTO) | 1)  # odd: every column is sampled
    rows, columns = np.divmod(taken, windows.shape[1])
    patches = windows[rows, columns]  # [positions, channels, h, w]
    return patches.transpose(0, 2, 3, 1).reshape(len(patches), -1, patches.shape[1])
