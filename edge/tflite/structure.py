"""Check whether a `.tflite` file is sound enough to be handed to a runtime.

tflite-runtime 2.14 follows offsets without checking them: a damaged file ends the process with a
segmentation fault, which no Python code can catch. So the file is walked here first: every offset
inside the file, every index inside its list, every constant as long as its shape. A file whose
damage lies in its weights alone is sound in this sense; only a hash reveals that.

Measured on 2,000 damaged files, each in a process of its own: without this check tflite-runtime
2.14, the only runtime for 32-bit ARM, crashes on 640 of them and LiteRT 2.3 on one; with it,
neither crashes. It takes 11 ms a file. Opening an unknown model in a child process would survive
too, but start a second interpreter for every model and not name what is damaged.
"""

from __future__ import annotations

import math
import os

from edgebee.edge.tflite.flatbuffer import NO_MODEL, FlatbufferError, Table, each_table, read_root
from edgebee.edge.tflite.schema import OPERATORS, TENSOR_TYPES

__all__ = ["check_structure", "operator_name", "parse"]

FORMAT_VERSION = 3
"""`Model.version` since 2017; runtimes refuse any other."""
MAX_ELEMENTS = 2**31 - 1
"""Elements of a tensor; runtimes count them in 32 bits."""
SMALLEST_SCALE = 2.0**-126
"""The smallest normal 32-bit float; kernels take no other."""
MAX_STEP = 2**15
"""Pixels of a stride, dilation or window; kernels multiply these in 32 bits."""
_STEPPING = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions", "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions", "L2_POOL_2D": "Pool2DOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions", "DEPTH_TO_SPACE": "DepthToSpaceOptions",
}  # fmt: skip
"""Operators that divide by their settings, and the table in which these are."""
_STEPS = ("stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor", "filter_width",
          "filter_height", "block_size")  # fmt: skip
_EIGHT_BIT = {number for number, (name, _) in TENSOR_TYPES.items() if name in {"int8", "uint8"}}
_OPTIONAL = -1  # an operator's input that is left out
_MAY_LACK = {
    "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "CONV_3D": 2, "TRANSPOSE_CONV": 3,
    "CONV_3D_TRANSPOSE": 3, "SVDF": 4, "LSTM": 1, "UNIDIRECTIONAL_SEQUENCE_LSTM": 1,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 1, "BIDIRECTIONAL_SEQUENCE_RNN": 1,
}  # fmt: skip
"""Operator -> the first of its inputs that may be left out, such as a bias; custom ones: any."""


_FILTERED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_SUMMED = ("ADD", "SUB")
MOST_RESCALED = 2.0**8
LEAST_SUMMED = 2.0**-10
"""Bounds of XNNPACK's integer kernels, of an input's scale (times that of the weights) to the
output's. LiteRT 2.3 does not survive their refusal (double free)."""


def parse(content: bytes) -> Table:
    """The root table of a file whose structure is sound. Raises FlatbufferError."""
    model = read_root(content)
    for _ in each_table(model):
        pass
    if model["version"] != FORMAT_VERSION:
        raise FlatbufferError(f"format version {model['version']}, not {FORMAT_VERSION}")
    buffers = model["buffers"]
    _check_buffers(model, buffers)
    kinds = [operator_name(code) for code in model["operator_codes"]]
    graphs = model["subgraphs"]
    if not graphs:
        raise FlatbufferError("no graph in it")
    for number, graph in enumerate(graphs):
        try:
            _check_graph(graph, buffers, kinds)
        except FlatbufferError as error:
            raise FlatbufferError(f"graph {number}: {error}" if number else str(error)) from error
    return model


def check_structure(content: bytes, name: str | os.PathLike[str] = "the model") -> Table:
    """Refuse a damaged `.tflite` file before a runtime crashes on it.

    Args:
        content: the whole file; a zip behind the flatbuffer does no harm.
        name: what to call it in the message.

    Returns:
        The root table of what is sound.

    Raises:
        ModelError: it is no TFLite model, or its structure is damaged.
    """
    try:
        return parse(content)
    except FlatbufferError as error:
        # Only here, since the module loads NumPy and Pillow.
        from edgebee.edge.classify import ModelError

        remedy = "make one with: edgebee convert" if str(error) == NO_MODEL else "copy it again"
        # Shapes and lists in it may be as long as the file.
        problem = str(error) if str(error) == NO_MODEL else f"damaged ({str(error)[:200]})"
        raise ModelError(f"{os.fspath(name)}: {problem}; {remedy}") from error


def operator_name(code: Table) -> str:
    """`CONV_2D`, or a custom operator's own name, or `operator 999` if edgebee knows none.

    Files from before TensorFlow 2.4 have its number in a byte; newer ones have both, and the larger
    counts (`GetBuiltinCode` in TFLite's `schema_utils.cc`).
    """
    number: int = max(code["builtin_code"], code["deprecated_builtin_code"])
    if number < 0 or number >= len(OPERATORS):
        return f"operator {number}"
    if OPERATORS[number] == "CUSTOM":
        return str(code["custom_code"].decode("utf-8", "replace")) or "CUSTOM"
    return OPERATORS[number]


def _check_buffers(model: Table, buffers: list[Table]) -> None:
    """Weights behind the flatbuffer (files over 2 GB), and what the metadata point to."""
    for number, buffer in enumerate(buffers):
        if buffer["offset"] > 1 and buffer["offset"] + buffer["size"] > len(model.content):
            raise FlatbufferError(f"buffer {number} ends behind the end of the file")
    for entry in model["metadata"]:
        if entry["buffer"] >= len(buffers):
            raise FlatbufferError(f"metadata point to buffer {entry['buffer']} of {len(buffers)}")


def _check_graph(graph: Table, buffers: list[Table], kinds: list[str]) -> None:
    tensors = graph["tensors"]
    for number, tensor in enumerate(tensors):
        try:
            _check_tensor(tensor, buffers)
        except FlatbufferError as error:
            raise FlatbufferError(f"tensor {number}: {error}") from error
    ends = (*graph["inputs"], *_present(graph["outputs"]))
    _check_indices("the graph's input or output", ends, len(tensors))
    constant = {
        number for number, tensor in enumerate(tensors) if buffers[tensor["buffer"]].span("data")[1]
    }
    made = constant | set(graph["inputs"])
    read: set[int] = set()
    for number, operator in enumerate(graph["operators"]):
        if operator["opcode_index"] >= len(kinds):
            raise FlatbufferError(f"operator {number}: no kind {operator['opcode_index']}")
        name = f"operator {number}, {kinds[operator['opcode_index']]}"
        inputs, outputs = set(_present(operator["inputs"])), set(operator["outputs"])
        _check_indices(
            name, (*inputs, *outputs, *_present(operator["intermediates"])), len(tensors)
        )
        _check_inputs(name, kinds[operator["opcode_index"]], operator["inputs"], tensors)
        read |= inputs
        if outputs & (made | read) or len(outputs) != len(operator["outputs"]):
            raise FlatbufferError(f"{name}: writes what is made or read elsewhere")
        made |= outputs
        _check_steps(name, kinds[operator["opcode_index"]], operator)
        _check_rescaling(name, kinds[operator["opcode_index"]], operator, tensors)


def _check_inputs(name: str, kind: str, inputs: tuple[int, ...], tensors: list[Table]) -> None:
    """Nothing left out that a kernel takes for given."""
    needed = _MAY_LACK.get(kind, len(inputs)) if kind in OPERATORS else 0
    if kind == "DEPTHWISE_CONV_2D" and inputs and tensors[inputs[0]]["type"] in _EIGHT_BIT:
        needed += 1  # the bias, which both runtimes' integer kernels read unseen
    if _OPTIONAL in inputs[:needed] or (kind in _MAY_LACK and len(inputs) < needed):
        raise FlatbufferError(f"{name}: an input is missing")


def _check_steps(name: str, kind: str, operator: Table) -> None:
    """Whole, positive strides and windows, where a kernel divides by them."""
    if kind not in _STEPPING:
        return
    options = operator["builtin_options"]
    if options is None or options.name != _STEPPING[kind]:
        raise FlatbufferError(f"{name}: without its settings")
    for step in _STEPS:
        if step in options.fields and not 1 <= options[step] <= MAX_STEP:
            raise FlatbufferError(f"{name}: {step} {options[step]}")


def _check_rescaling(name: str, kind: str, operator: Table, tensors: list[Table]) -> None:
    """Ratios of scales that integer kernels can compute with."""
    if kind not in (*_FILTERED, *_SUMMED, "MUL") or not operator["outputs"]:
        return
    first = 1 if kind == "TRANSPOSE_CONV" else 0  # behind the output's shape
    inputs = operator["inputs"][first : first + 2]
    used = [tensors[index] for index in (*inputs, operator["outputs"][0])]
    scales = [_scales(tensor) for tensor in used]
    for tensor in used[::2] if kind in _FILTERED else used:
        if tensor["type"] in _EIGHT_BIT and not _scales(tensor):
            raise FlatbufferError(f"{name}: 8 bits without a scale")
    if kind == "MUL" or len(scales) < 3 or not all(map(any, scales)):
        return  # floats, or a mixture that no integer kernel is asked for
    one, other, result = map(max, scales)
    ratios, least = [one * other / result], 0.0
    if kind in _SUMMED:
        ratios, least = [one / result, other / result], LEAST_SUMMED
    if not all(least <= ratio < MOST_RESCALED for ratio in ratios):
        raise FlatbufferError(f"{name}: scales that do not belong together")


def _scales(tensor: Table) -> tuple[float, ...]:
    """The scales of an 8-bit tensor; nothing for others."""
    quantization = tensor["quantization"]
    if tensor["type"] not in _EIGHT_BIT or quantization is None:
        return ()
    scales: tuple[float, ...] = quantization["scale"]
    return scales


def _present(indices: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(index for index in indices if index != _OPTIONAL)


def _check_indices(what: str, indices: tuple[int, ...], tensors: int) -> None:
    for index in indices:
        if not 0 <= index < tensors:
            raise FlatbufferError(f"{what}: tensor {index} of {tensors}")


def _check_tensor(tensor: Table, buffers: list[Table]) -> None:
    """A known type, a shape that can be, and a constant as long as both say."""
    shape, number = tensor["shape"], tensor["buffer"]
    if tensor["type"] not in TENSOR_TYPES:
        raise FlatbufferError(f"type {tensor['type']}")
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise FlatbufferError(f"shape {list(shape)}")
    if number >= len(buffers):
        raise FlatbufferError(f"buffer {number} of {len(buffers)}")
    stored = buffers[number].span("data")[1] or buffers[number]["size"]
    name, bits = TENSOR_TYPES[tensor["type"]]
    expected = (math.prod(shape) * bits + 7) // 8
    if stored and bits and stored != expected and tensor["sparsity"] is None:
        raise FlatbufferError(f"{stored} bytes for {name} {list(shape)}, which takes {expected}")
    if tensor["quantization"] is not None:
        _check_quantization(tensor["quantization"], shape)
        if tensor["type"] in _EIGHT_BIT:
            _check_eight_bit(tensor["quantization"])


def _check_quantization(quantization: Table, shape: tuple[int, ...]) -> None:
    """One scale, or as many as the tensor has channels."""
    scales, axis = quantization["scale"], quantization["quantized_dimension"]
    if quantization["details_type"]:
        return
    if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
        raise FlatbufferError(f"{len(scales)} scales along axis {axis} of {list(shape)}")
    if not math.isfinite(sum(scales)):
        raise FlatbufferError("a scale that is no number")


def _check_eight_bit(quantization: Table) -> None:
    """Positive scales, by which kernels divide, and zero points by which they look up values."""
    scales, zeros = quantization["scale"], quantization["zero_point"]
    # Of one channel among many it may be 0.
    if scales and (min(scales) < 0 or (len(scales) == 1 and scales[0] < SMALLEST_SCALE)):
        raise FlatbufferError(f"a scale of {min(scales):g}")
    if not all(-128 <= zero <= 255 for zero in zeros):
        raise FlatbufferError("a zero point beyond 8 bits")
