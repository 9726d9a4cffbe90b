"""Which operator versions each TFLite runtime knows.

A runtime looks up every operator of a model by name and version, and refuses the whole model if
it has no kernel for one. This table is what the released x86-64 wheels answered when they were
asked for every version of every operator; a test asks the installed ones again. The source of
the same numbers is each release's `AddBuiltin(operator, kernel, min_version, max_version)`:
`tensorflow/lite/core/kernels/register.cc` in TensorFlow v2.14.0, `tflite/core/kernels/register.cc`
in LiteRT. No release has dropped anything that an older one had.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgebee.edge.classify import EdgebeeError
from edgebee.edge.tflite.structure import check_structure, operator_name

__all__ = [
    "RUNTIMES",
    "UnknownRuntimeError",
    "Unsupported",
    "check_operators",
    "known_versions",
    "list_operators",
    "resolve_runtime",
]

# The highest version of each operator; version 1 and all between are known too, but see _FIRST.
_TFLITE_RUNTIME_2_14 = {
    1: "ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE "
    "CEIL COMPLEX_ABS CONV_3D CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DYNAMIC_UPDATE_SLICE "
    "ELU EMBEDDING_LOOKUP_SPARSE EXPAND_DIMS FLOOR HARD_SWISH HASHTABLE HASHTABLE_FIND "
    "HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG L2_POOL_2D "
    "LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION "
    "MATRIX_DIAG MATRIX_SET_DIAG MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4 "
    "NON_MAX_SUPPRESSION_V5 ONE_HOT POW PRELU RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK "
    "READ_VARIABLE REAL REDUCE_ALL REDUCE_ANY RELU_0_TO_1 RELU_N1_TO_1 RESHAPE "
    "REVERSE_SEQUENCE RFFT2D RIGHT_SHIFT ROUND SCATTER_ND SEGMENT_SUM SHAPE SIN SKIP_GRAM "
    "SQRT SQUARE UNIQUE UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD "
    "UNSORTED_SEGMENT_SUM VAR_HANDLE WHILE ZEROS_LIKE",
    2: "DEPTH_TO_SPACE DIV EXP FAKE_QUANT FLOOR_MOD GELU GREATER L2_NORMALIZATION LEAKY_RELU "
    "LESS_EQUAL LOG_SOFTMAX RANGE REDUCE_PROD RSQRT SELECT_V2 SIGN SPACE_TO_DEPTH SPLIT_V "
    "SQUARED_DIFFERENCE SQUEEZE SUM WHERE",
    3: "ARG_MAX ARG_MIN AVERAGE_POOL_2D BIDIRECTIONAL_SEQUENCE_LSTM "
    "BIDIRECTIONAL_SEQUENCE_RNN BROADCAST_TO EMBEDDING_LOOKUP FLOOR_DIV GREATER_EQUAL "
    "LESS LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD NOT_EQUAL QUANTIZE REDUCE_MAX REDUCE_MIN "
    "RELU RELU6 REVERSE_V2 RNN SOFTMAX SPARSE_TO_DENSE TANH TILE TOPK_V2 "
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    4: "BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION EQUAL FILL GATHER_ND LSTM MAXIMUM "
    "MINIMUM PACK PAD PADV2 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SELECT "
    "SPACE_TO_BATCH_ND SPLIT SVDF TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK",
    5: "ABS ADD CAST DEQUANTIZE SUB",
    6: "GATHER SLICE TRANSPOSE",
    7: "CONV_2D DEPTHWISE_CONV_2D MUL",
    8: "STRIDED_SLICE",
    10: "FULLY_CONNECTED",
}
_LITERT = {
    "1.0.0": "CAST:6 CONV_2D:8 DEQUANTIZE:6 DILATE:1 DYNAMIC_UPDATE_SLICE:2 EMBEDDING_LOOKUP:4 "
    "FULLY_CONNECTED:13 GATHER:7 GATHER_ND:5 LOG:2 REDUCE_WINDOW:1 RSQRT:3 "
    "STABLEHLO_ADD:1 STABLEHLO_COMPOSITE:1 STABLEHLO_GATHER:1 STABLEHLO_MAXIMUM:1 "
    "STABLEHLO_MINIMUM:1 STABLEHLO_MULTIPLY:1 STABLEHLO_PAD:1 "
    "STABLEHLO_REDUCE_WINDOW:1 STABLEHLO_RNG_BIT_GENERATOR:1 STABLEHLO_SCATTER:1 "
    "TRANSPOSE_CONV:5",
    "1.1.0": "CAST:7 DYNAMIC_UPDATE_SLICE:3 STABLEHLO_AND:1 STABLEHLO_CASE:1 "
    "STABLEHLO_SHIFT_LEFT:1",
    "1.2.0": "TRANSPOSE:7",
    "1.3.0": "DYNAMIC_UPDATE_SLICE:4",
    "2.0.2": "PAD:5 PADV2:5 SQRT:2",
    "2.1.0": "CAST:8 DEQUANTIZE:7 EQUAL:5 FULLY_CONNECTED:14 NOT_EQUAL:4 QUANTIZE:4 SLICE:7",
    "2.1.3": "CONCATENATION:5 DEQUANTIZE:8 DYNAMIC_UPDATE_SLICE:5 EMBEDDING_LOOKUP:5 "
    "QUANTIZE:6 UNPACK:5",
    "2.1.6": "ADD:6 CONCATENATION:6 COS:2 DYNAMIC_UPDATE_SLICE:6 GELU:3 MUL:8 SIN:2 SLICE:8 "
    "SOFTMAX:4 TRANSPOSE:9",
    "2.2.0": "BROADCAST_TO:4 CAST:9 CONCATENATION:7 DEQUANTIZE:9 FILL:5 GATHER:8 GATHER_ND:6 "
    "PACK:5 PAD:6 PADV2:6 REVERSE_V2:4 SPLIT:5 SPLIT_V:3 UNPACK:6",
}
_FIRST = {"BROADCAST_TO": 2}
"""Where the lowest version is not 1: that one was withdrawn, as `register.cc` says."""
_CUSTOM = frozenset({"NumericVerify", "Mfcc", "AudioSpectrogram", "TFLite_Detection_PostProcess"})
"""Custom operators that every one of these runtimes carries (`AddCustom` in `register.cc`)."""


def _tables() -> dict[str, Mapping[str, int]]:
    """Runtime -> operator -> highest version, each release with what it added to the one before."""
    known = {
        name: version for version, names in _TFLITE_RUNTIME_2_14.items() for name in names.split()
    }
    tables: dict[str, Mapping[str, int]] = {"tflite-runtime==2.14.0": known}
    for version, added in _LITERT.items():
        pairs = (pair.split(":") for pair in added.split())
        known = known | {name: int(number) for name, number in pairs}
        tables[f"ai-edge-litert=={version}"] = known
    return tables


_TABLES = _tables()
RUNTIMES = ("tflite-runtime==2.14.0", "ai-edge-litert==1.1.1", "ai-edge-litert==2.3.0")
"""What a model is made for by default: what `pip install edgebee` may install.

The one for 32-bit ARM, and LiteRT from the oldest that is allowed to the current one.
"""


class UnknownRuntimeError(EdgebeeError):
    """A runtime that the table does not have."""


@dataclass(frozen=True)
class Unsupported:
    """An operator that a runtime has no kernel for."""

    operator: str
    version: int
    runtime: str
    highest: int | None
    """The highest version that the runtime knows; None if it does not know the operator at all."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        able = _first_able(self.operator, self.version)
        return f"pip install '{able.replace('==', '>=')}'" if able else "train another model"

    def __str__(self) -> str:
        knows = "no version of it" if self.highest is None else f"up to version {self.highest}"
        return (
            f"{self.operator} version {self.version}: {self.runtime} knows {knows}; {self.remedy}"
        )


def resolve_runtime(runtime: str) -> str:
    """The release in the table that answers for an installed one, such as `tflite-runtime==2.14.0`.

    A version between two that are listed counts as the older one, since operators are only ever
    added; one newer than all counts as the newest.

    Raises:
        UnknownRuntimeError: a version from before the table begins.
    """
    package = runtime.partition("==")[0]
    releases = [name for name in _TABLES if name.startswith(f"{package}==")]
    older = [name for name in releases if _numbers(name) <= _numbers(runtime)]
    if not older:
        raise UnknownRuntimeError(f"{runtime}: the oldest that edgebee knows is {releases[0]}")
    return older[-1]


def _numbers(version: str) -> tuple[int, ...]:
    """`2.14` and `2.14.0` are the same version to pip, and here; `2.14.0rc1` is taken for it."""
    numbers = [int(part) for part in re.findall(r"\d+", version.rpartition("==")[2])[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def known_versions(runtime: str, operator: str) -> range:
    """The versions of a built-in operator that a runtime has a kernel for; empty if none.

    Raises UnknownRuntimeError.
    """
    highest = _TABLES[resolve_runtime(runtime)].get(operator, 0)
    return range(_FIRST.get(operator, 1), highest + 1)


def list_operators(content: bytes) -> tuple[tuple[str, int], ...]:
    """Name and version of every kind of operator in a `.tflite` file, by name.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    codes = check_structure(content)["operator_codes"]
    return tuple(sorted({(operator_name(code), code["version"]) for code in codes}))


def check_operators(content: bytes, runtimes: Sequence[str] = RUNTIMES) -> tuple[Unsupported, ...]:
    """Name what in a model each of `runtimes` would refuse.

    Args:
        content: a `.tflite` file.
        runtimes: such as `tflite-runtime==2.14` or `ai-edge-litert==2.1`.

    Returns:
        One entry per operator and runtime; none when all of them can run it. `str()` of an entry
        is a line with operator, version, runtime and remedy.

    Raises:
        UnknownRuntimeError: see `resolve_runtime`.
        ModelError: not a TFLite model, or a damaged one.
    """
    operators = list_operators(content)
    problems = []
    for runtime in runtimes:
        for operator, version in operators:
            known = known_versions(runtime, operator)
            if version not in known and operator not in _CUSTOM:
                highest = known[-1] if known else None
                problems.append(Unsupported(operator, version, runtime, highest))
    return tuple(problems)


def _first_able(operator: str, version: int) -> str | None:
    """The first LiteRT release that knows an operator's version."""
    for runtime in list(_TABLES)[1:]:
        if version in known_versions(runtime, operator):
            return runtime
    return None
