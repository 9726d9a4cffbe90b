"""Would a model run on a microcontroller, or on an Edge TPU? The published rules, from the file.

TensorFlow Lite for Microcontrollers: the operators are those that the interpreter of the package
`tflite-micro` 0.dev20261023 has (`AddXxx` in `micro_mutable_op_resolver.h`), and the types those
that its kernels take. Nothing is said about the memory of a certain chip.

Edge TPU: the table "supported operations" and the "model requirements" of
https://coral.ai/docs/edgetpu/models-intro, for runtime 14, the last. What passes can still end
up on the CPU in part, for reasons that are not published: `edgetpu_compiler -s` shows them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgebee.edge.tflite.flatbuffer import Table
from edgebee.edge.tflite.schema import NUMBERS, TENSOR_TYPES
from edgebee.edge.tflite.structure import operator_name, parse_or_refuse

__all__ = ["Violation", "edge_tpu_violations", "micro_violations"]

_MICRO_NAMES = """
ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D
DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL
FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF
L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR
LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2
PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF
TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
TFLite_Detection_PostProcess CIRCULAR_BUFFER ethos-u
"""
_MICRO = frozenset(_MICRO_NAMES.split())
_MICRO_TYPES = frozenset({"float32", "int8", "int16", "int32", "int64", "bool", "uint8", "int4"})
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_CONVERTING = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST"})
_EIGHT_BIT = frozenset({"int8", "uint8"})
_MOST_SOFTMAX_ELEMENTS = 16_000
_INNERMOST = 3
"""Dimensions of which the Edge TPU can handle more than one element."""


@dataclass(frozen=True)
class Violation:
    """A rule of a target that a model breaks."""

    where: str
    """The operator with its number, or a tensor."""
    rule: str

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}"


class _Tensor:
    """A tensor of the graph, with its values where the file has them."""

    def __init__(self, tensor: Table, buffers: list[Table]) -> None:
        self.shape: tuple[int, ...] = tensor["shape"]
        self.dynamic = -1 in tensor["shape_signature"]
        self.dtype = TENSOR_TYPES[tensor["type"]][0]
        self._content = tensor.content
        self._start, self._bytes = buffers[tensor["buffer"]].span("data")

    @property
    def constant(self) -> bool:
        return bool(self._bytes)

    def integers(self) -> tuple[int, ...]:
        """The values of a constant list of axes, paddings or strides; empty if it is none."""
        letter = {"int32": NUMBERS["int"], "int64": NUMBERS["long"]}.get(self.dtype)
        if not letter or not self.constant:
            return ()
        count = self._bytes // struct.calcsize(letter)
        return struct.unpack_from(f"<{count}{letter}", self._content, self._start)


@dataclass(frozen=True)
class _Step:
    """An operator in its place."""

    name: str
    where: str
    options: Table | None
    inputs: list[_Tensor | None]
    outputs: list[_Tensor]

    def option(self, name: str) -> int:
        """A setting; 0, as the format has it, where none is stored."""
        return int(self.options[name]) if self.options and name in self.options.fields else 0

    def integers(self, position: int) -> tuple[int, ...]:
        """`_Tensor.integers` of an input; empty if there is none."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        return tensor.integers() if tensor else ()

    def axes(self, position: int) -> set[int]:
        """Axes from an input, counted from the front."""
        data = next((tensor for tensor in self.inputs if tensor and not tensor.integers()), None)
        rank = len(data.shape) if data else 0
        return {axis % rank if rank else axis for axis in self.integers(position)}


def _steps(content: bytes) -> Iterator[_Step]:
    model = parse_or_refuse(content)
    buffers = model["buffers"]
    names = [operator_name(code) for code in model["operator_codes"]]
    for graph in model["subgraphs"]:
        tensors = [_Tensor(tensor, buffers) for tensor in graph["tensors"]]
        for number, operator in enumerate(graph["operators"]):
            name = names[operator["opcode_index"]]
            yield _Step(
                name=name,
                where=f"{name} (operator {number})",
                options=operator["builtin_options"],
                inputs=[tensors[index] if index >= 0 else None for index in operator["inputs"]],
                outputs=[tensors[index] for index in operator["outputs"]],
            )


def micro_violations(content: bytes) -> tuple[Violation, ...]:
    """Why a model would not run under TensorFlow Lite for Microcontrollers.

    Args:
        content: a `.tflite` file.

    Returns:
        The rules that it breaks, in the order of its operators; none if it would run.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    return tuple(
        Violation(step.where, rule) for step in _steps(content) for rule in _micro_rules(step)
    )


def _micro_rules(step: _Step) -> Iterator[str]:
    used = [tensor for tensor in (*step.inputs, *step.outputs) if tensor]
    if step.name not in _MICRO:
        yield "no such operator there"
        return
    if any(tensor.dynamic for tensor in used):
        yield "a size that is not fixed"
    for dtype in sorted({tensor.dtype for tensor in used} - _MICRO_TYPES):
        yield f"no kernel takes {dtype}"
    if step.name in _WEIGHTED:
        data, weights = (*step.inputs, None, None)[:2]
        if step.name == "TRANSPOSE_CONV":
            data = (*step.inputs, None, None, None)[2]
        if data and weights and data.dtype == "float32" != weights.dtype:
            yield f"weights are {weights.dtype} and data float32: hybrid models do not run there"
        if data and data.dtype == "uint8":
            yield "data are uint8, kernels take int8"


def edge_tpu_violations(content: bytes) -> tuple[Violation, ...]:
    """Why the Edge TPU compiler would leave a model, or parts of it, on the CPU.

    Args:
        content: a `.tflite` file.

    Returns:
        The published rules that it breaks, in the order of its operators.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    return tuple(
        Violation(step.where, rule) for step in _steps(content) for rule in _edge_tpu_rules(step)
    )


def _edge_tpu_rules(step: _Step) -> Iterator[str]:
    special = _EDGE_TPU.get(step.name, _unsupported)
    if special is not None:
        yield from special(step)
        if special is _unsupported:
            return
    flowing = [tensor for tensor in (*step.inputs, *step.outputs) if tensor and not tensor.constant]
    for dtype in sorted({tensor.dtype for tensor in flowing} - _EIGHT_BIT):
        yield f"data are {dtype}, not 8-bit integers"
    if any(tensor.dynamic for tensor in flowing):
        yield "a size that is not fixed"
    if any(size > 1 for tensor in flowing for size in tensor.shape[:-_INNERMOST]):
        yield "more than one element outside the three innermost dimensions"
    if step.name in _WEIGHTED and any(
        tensor and not tensor.constant for tensor in step.inputs[1:2]
    ):
        yield "weights that are not constant"


def _unsupported(step: _Step) -> Iterator[str]:
    yield "not among the supported operations"


def _no_activation(step: _Step) -> Iterator[str]:
    if step.option("activation"):
        yield "a fused activation function"


def _concatenation(step: _Step) -> Iterator[str]:
    yield from _no_activation(step)
    if any(tensor and tensor.constant for tensor in step.inputs) and len(step.inputs) != 2:
        yield "a constant among other than two inputs"


def _same_dilation(step: _Step) -> Iterator[str]:
    if step.option("dilation_w_factor") != step.option("dilation_h_factor"):
        yield "different dilation in width and height"


def _fully_connected(step: _Step) -> Iterator[str]:
    if step.option("weights_format"):
        yield "weights in another than the default format"
    if any(size > 1 for tensor in step.outputs for size in tensor.shape[:-1]):
        yield "an output of more than one dimension"


def _not_the_batch(position: int) -> Callable[[_Step], Iterator[str]]:
    """A rule for operators whose axes are their input at `position`."""

    def rule(step: _Step) -> Iterator[str]:
        if 0 in step.axes(position):
            yield "works on the batch dimension"

    return rule


def _mean(step: _Step) -> Iterator[str]:
    yield from _not_the_batch(1)(step)
    data = step.inputs[0] if step.inputs else None
    if data and len(data.shape) - 1 in step.axes(1) and data.shape[-1] % 4:
        yield "a mean over channels whose number is no multiple of 4"


def _pad(step: _Step) -> Iterator[str]:
    if any(step.integers(1)[:2]):  # before and after the first dimension
        yield "padding in the batch dimension"


def _pack(step: _Step) -> Iterator[str]:
    rank = len(step.outputs[0].shape) if step.outputs else 0
    if rank and step.option("axis") % rank == 0:
        yield "packing in the batch dimension"


def _prelu(step: _Step) -> Iterator[str]:
    alpha = step.inputs[1] if len(step.inputs) > 1 else None
    if alpha and any(size > 1 for size in alpha.shape[:-1]):
        yield "an alpha of more than one dimension"


def _softmax(step: _Step) -> Iterator[str]:
    for tensor in step.inputs[:1]:
        if tensor and any(size > 1 for size in tensor.shape[:-1]):
            yield "an input of more than one dimension"
        if tensor and tensor.shape and tensor.shape[-1] > _MOST_SOFTMAX_ELEMENTS:
            yield f"more than {_MOST_SOFTMAX_ELEMENTS} elements"


def _strided_slice(step: _Step) -> Iterator[str]:
    if any(stride != 1 for stride in step.integers(3)):
        yield "strides other than 1"
    if step.option("ellipsis_mask") or step.option("new_axis_mask"):
        yield "an ellipsis or a new axis"


_UNLIMITED = """
ADD EXPAND_DIMS L2_NORMALIZATION LOGISTIC LSTM UNIDIRECTIONAL_SEQUENCE_LSTM MAXIMUM MINIMUM MUL
QUANTIZE RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE
SPACE_TO_DEPTH SQUEEZE SUB SQUARED_DIFFERENCE TANH TRANSPOSE TRANSPOSE_CONV
"""
_EDGE_TPU: dict[str, Callable[[_Step], Iterator[str]] | None] = {
    **dict.fromkeys(_UNLIMITED.split()),
    "AVERAGE_POOL_2D": _no_activation,
    "CONCATENATION": _concatenation,
    "CONV_2D": _same_dilation,
    "DEPTHWISE_CONV_2D": _same_dilation,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _no_activation,
    "MEAN": _mean,
    "PACK": _pack,
    "PAD": _pad,
    "PRELU": _prelu,
    "REDUCE_MAX": _not_the_batch(1),
    "REDUCE_MIN": _not_the_batch(1),
    "SOFTMAX": _softmax,
    "SPLIT": _not_the_batch(0),
    "STRIDED_SLICE": _strided_slice,
    "SUM": _not_the_batch(1),
}
"""Operator -> its known limitations; None where the table names none."""
