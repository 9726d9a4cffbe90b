"""The formats that a model is converted to, and the defaults of a conversion. Loads nothing heavy.

| format  | weights | arithmetic       | input and output        |
| ------- | ------- | ---------------- | ----------------------- |
| float32 | float32 | float32          | float32                 |
| float16 | float16 | float32          | float32                 |
| dynamic | int8    | float32 and int8 | float32                 |
| int8    | int8    | int8             | uint8 or int8           |
"""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "CALIBRATED_FORMATS",
    "DEFAULT_FORMATS",
    "DEFAULT_SAMPLES",
    "FORMATS",
    "INPUT_TYPES",
    "MAX_DROP_POINTS",
    "Format",
    "InputType",
]

Format = Literal["float32", "float16", "dynamic", "int8"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""In the order in which they are made."""

CALIBRATED_FORMATS: tuple[Format, ...] = ("dynamic", "int8")
"""Those that need the representative dataset: for their weights, for their ranges, or both."""

DEFAULT_FORMATS: tuple[Format, ...] = ("int8",)

InputType = Literal["uint8", "int8"]
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)
"""Of int8's input and output. uint8: pixels as they are; int8: pixels less 128."""

DEFAULT_SAMPLES = 100
"""Photos in the representative dataset; at least two of each class."""

MAX_DROP_POINTS = 2.0
"""Points of accuracy (0-100) that a format may lose to Keras, or one photo where that is more.

One photo of few is many points and proves nothing: at a score near one half, rounding alone
decides. If conversion is harmless and changes 1 % of the predictions, either way alike, then a
net loss beyond this limit comes in less than 3 % of conversions, whatever the number of photos;
a real loss of 10 points is refused in 9 of 10 from 40 photos on (both are tests). The p-value is
reported but decides nothing: with 12 photos, half of them lost are not significant.
"""
