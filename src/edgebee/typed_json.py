"""Frozen dataclasses from JSON, with every value's type checked.

For the records that edgebee reads again: `decode` names the place of what is wrong. Keys that a
dataclass does not have are ignored. Standard library only.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

__all__ = ["RecordError", "decode"]

_T = TypeVar("_T")
_NAMES = {
    dict: "an object",
    list: "a list",
    float: "a finite number",
    int: "a whole number",
    str: "a string",
    bool: "true or false",
}


class RecordError(ValueError):
    """A value of another type than its field; the message says which and where."""


def decode(kind: type[_T], value: Any, where: str = "") -> _T:
    """Read a dataclass from parsed JSON.

    Args:
        kind: a dataclass whose fields are dataclasses, `str`, `int`, `float`, `bool`, tuples and
            mappings of them, or one of these or None.
        value: what `json.loads` gave.
        where: the place of `value`, for messages.

    Raises:
        RecordError: a field is missing or of another type.
    """
    decoded: _T = _decode(kind, value, where)
    return decoded


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (one for one in arguments if one is not types.NoneType)
        return None if value is None else _decode(inner, value, where)
    if origin is tuple:
        return _decode_tuple(arguments, _typed(list, value, where), where)
    if origin is not None:  # a mapping from names
        found = _typed(dict, value, where)
        return {name: _decode(arguments[1], one, _join(where, name)) for name, one in found.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, _typed(dict, value, where), where)
    return _typed(kind, value, where)


def _decode_fields(kind: Any, value: dict[str, Any], where: str) -> Any:
    types_of = typing.get_type_hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            place = _join(where, field.name)
            given[field.name] = _decode(types_of[field.name], value[field.name], place)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise RecordError(f"{_join(where, field.name)} is missing")
    return kind(**given)


def _decode_tuple(kinds: tuple[Any, ...], value: list[Any], where: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise RecordError(f"{where} has {len(value)} values, not {len(kinds)}")
    numbered = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, one, f"{where}[{index}]") for index, (kind, one) in numbered)


def _typed(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1000 else math.inf
    # A bool is an int to Python, and JSON's NaN is a float.
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise RecordError(f"{where or 'it'} is not {_NAMES[kind]}")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
