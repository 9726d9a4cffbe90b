"""The layout of a `.tflite` file: TensorFlow Lite's `schema.fbs`, as far as edgebee reads it.

The names, the order of the fields and the numbers are those of `tflite/converter/schema/schema.fbs`
in LiteRT 2.3 (version 3 of the format, `TFL3`); fields are only ever added at a table's end. Of the
operators' option tables those are listed that `structure` checks, or whose vectors a runtime reads
in a model of pictures.
"""

from __future__ import annotations

import itertools
import struct
from typing import NamedTuple

__all__ = ["NUMBERS", "OPERATORS", "TABLES", "TENSOR_TYPES", "UNIONS", "Field"]

NUMBERS = {
    "byte": "b", "ubyte": "B", "bool": "?", "short": "h", "ushort": "H", "int": "i", "uint": "I",
    "long": "q", "ulong": "Q", "float": "f", "double": "d",
}  # fmt: skip
"""Flatbuffer types of a fixed size -> their letter in `struct`."""


class Field(NamedTuple):
    """One field of a table."""

    number: int
    name: str
    kind: str
    """`number`, `numbers` (a vector), `string`, `table`, `tables` (a vector) or `union`."""
    of: str
    """For numbers the letter in `struct`, for tables and unions the name of the type."""
    size: int
    """Bytes of the number, or of one element of the vector; 4, an offset, for all else."""
    default: int
    """What an absent number is."""


_POOL = "padding:byte stride_w:int stride_h:int filter_width:int filter_height:int activation:byte"
_DECLARED = {
    "Model": "version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string "
    "buffers:[Buffer] metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef] "
    "external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]",
    "OperatorCode": "deprecated_builtin_code:byte custom_code:string version:int=1 "
    "builtin_code:int",
    "SubGraph": "tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string "
    "debug_metadata_index:int",
    "Tensor": "shape:[int] type:byte buffer:uint name:string quantization:QuantizationParameters "
    "is_variable:bool sparsity:SparsityParameters shape_signature:[int] has_rank:bool "
    "variant_tensors:[VariantSubType] external_buffer:uint",
    "QuantizationParameters": "min:[float] max:[float] scale:[float] zero_point:[long] "
    "details_type:ubyte details:QuantizationDetails quantized_dimension:int",
    "CustomQuantization": "custom:[ubyte]",
    "BlockwiseQuantization": "scales:int zero_points:int block_size:int block_shape:[int]",
    "MultiAxisQuantization": "scales:int zero_points:int block_size:int axes:[int]",
    "SparsityParameters": "traversal_order:[int] block_map:[int] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": "format:byte dense_size:int array_segments_type:ubyte "
    "array_segments:SparseIndexVector array_indices_type:ubyte array_indices:SparseIndexVector",
    "Int32Vector": "values:[int]",
    "Uint16Vector": "values:[ushort]",
    "Uint8Vector": "values:[ubyte]",
    "VariantSubType": "shape:[int] type:byte has_rank:bool",
    "Operator": "opcode_index:uint inputs:[int] outputs:[int] builtin_options_type:ubyte "
    "builtin_options:BuiltinOptions custom_options:[ubyte] custom_options_format:byte "
    "mutating_variable_inputs:[bool] intermediates:[int] large_custom_options_offset:ulong "
    "large_custom_options_size:ulong builtin_options_2_type:ubyte "
    "builtin_options_2:BuiltinOptions2 debug_metadata_index:int",
    "Buffer": "data:[ubyte] offset:ulong size:ulong",
    "Metadata": "name:string buffer:uint",
    "TensorMap": "name:string tensor_index:uint",
    "SignatureDef": "inputs:[TensorMap] outputs:[TensorMap] signature_key:string "
    "deprecated_tag:string subgraph_index:uint",
    "ExternalBufferGroup": "name:string",
    "ExternalBuffer": "id:uint group:uint offset:ulong length:ulong packing:string",
    "Conv2DOptions": "padding:byte stride_w:int stride_h:int activation:byte "
    "dilation_w_factor:int=1 dilation_h_factor:int=1 quantized_bias_type:byte",
    "DepthwiseConv2DOptions": "padding:byte stride_w:int stride_h:int depth_multiplier:int "
    "activation:byte dilation_w_factor:int=1 dilation_h_factor:int=1",
    "Pool2DOptions": _POOL,
    "FullyConnectedOptions": "activation:byte weights_format:byte keep_num_dims:bool "
    "asymmetric_quantize_inputs:bool quantized_bias_type:byte quant_spec:[ubyte]",
    "ReshapeOptions": "new_shape:[int]",
    "SqueezeOptions": "squeeze_dims:[int]",
    "SpaceToDepthOptions": "block_size:int",
    "DepthToSpaceOptions": "block_size:int",
    "TransposeConvOptions": "padding:byte stride_w:int stride_h:int activation:byte",
    "Options": "",  # any other, which edgebee does not look into
    # The metadata: a flatbuffer of its own inside the model (`metadata_schema.fbs` 1.5.0).
    "ModelMetadata": "name:string description:string version:string "
    "subgraph_metadata:[SubGraphMetadata] author:string license:string "
    "associated_files:[AssociatedFile] min_parser_version:string",
    "SubGraphMetadata": "name:string description:string inputs:[TensorMetadata] "
    "outputs:[TensorMetadata] associated_files:[AssociatedFile]",
    "TensorMetadata": "name:string description:string dimension_names:[uint] content:Content "
    "process_units:[ProcessUnit] stats:Stats associated_files:[AssociatedFile]",
    "Content": "properties_type:ubyte properties:ContentProperties",
    "ImageProperties": "color_space:byte",
    "ProcessUnit": "options_type:ubyte options:ProcessUnitOptions",
    "NormalizationOptions": "mean:[float] std:[float]",
    "ScoreThresholdingOptions": "global_score_threshold:float",
    "Stats": "max:[float] min:[float]",
    "AssociatedFile": "name:string description:string type:byte locale:string version:string",
}

UNIONS: dict[str, dict[int, str]] = {
    "ContentProperties": {2: "ImageProperties"},
    "ProcessUnitOptions": {1: "NormalizationOptions", 3: "ScoreThresholdingOptions"},
    "QuantizationDetails": {
        1: "CustomQuantization", 2: "BlockwiseQuantization", 3: "MultiAxisQuantization"},
    "SparseIndexVector": {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"},
    "BuiltinOptions": {
        1: "Conv2DOptions", 2: "DepthwiseConv2DOptions", 5: "Pool2DOptions",
        8: "FullyConnectedOptions", 17: "ReshapeOptions", 19: "SpaceToDepthOptions",
        30: "SqueezeOptions", 49: "TransposeConvOptions", 94: "DepthToSpaceOptions"},
    "BuiltinOptions2": {},
}  # fmt: skip
"""Union -> number of the member -> its table; `Options` for those that are not listed."""


def _field(number: int, text: str) -> Field:
    name, _, rest = text.partition(":")
    type_, _, default = rest.partition("=")
    inner = type_.strip("[]")
    if inner in NUMBERS:
        letter = NUMBERS[inner]
        kind, size = "numbers" if inner != type_ else "number", struct.calcsize(letter)
        return Field(number, name, kind, letter, size, int(default or 0))
    if inner == "string":
        return Field(number, name, "string", "B", 1, 0)
    kind = "union" if inner in UNIONS else "tables" if inner != type_ else "table"
    return Field(number, name, kind, inner, 4, 0)


TABLES: dict[str, dict[str, Field]] = {
    table: {field.name: field for field in map(_field, itertools.count(), fields.split())}
    for table, fields in _DECLARED.items()
}
"""Table -> its fields by name, in order of number. A union's type is the field before it."""

TENSOR_TYPES: dict[int, tuple[str, int]] = {
    0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64),
    5: ("string", 0), 6: ("bool", 8), 7: ("int16", 16), 8: ("complex64", 64), 9: ("int8", 8),
    10: ("float64", 64), 11: ("complex128", 128), 12: ("uint64", 64), 13: ("resource", 0),
    14: ("variant", 0), 15: ("uint32", 32), 16: ("uint16", 16), 17: ("int4", 4),
    18: ("bfloat16", 16), 19: ("int2", 2), 20: ("uint4", 4), 21: ("float8_e4m3fn", 8),
    22: ("float8_e5m2", 8),
}  # fmt: skip
"""Number -> name and bits of an element; 0 bits where that is not fixed."""

_OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE
EMBEDDING_LOOKUP FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D
LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6
RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL
CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE
BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST
PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN
TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW
ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK
REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR
LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS
WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE
NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG
REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL
BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD
UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM
STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM
STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG
STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER
STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT
STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR
REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATORS = tuple(_OPERATORS.split())
"""The built-in operators, by their number."""
