"""Read a `.tflite` file's tables, trusting none of its numbers.

A flatbuffer is a web of offsets (https://flatbuffers.dev/internals): followed blindly, a damaged
one leads anywhere, as tflite-runtime 2.14 shows by crashing (figures in `structure`). Only
`ai-edge-litert` 2 brings a reader for Python (`schema_py_generated`, which does not check either);
1.0.1 and tflite-runtime bring none. So the few rules of the format are written here, and every
offset is checked against the file's bounds. Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from edgebee.edge.tflite.schema import NUMBERS, TABLES, UNIONS, Field

__all__ = ["IDENTIFIERS", "NO_MODEL", "FlatbufferError", "Table", "each_table", "read_root"]

IDENTIFIERS = {"Model": b"TFL3", "ModelMetadata": b"M001"}
"""Root table -> the file identifier, from the 5th byte on."""
NO_MODEL = "not a TFLite model"
MAX_TABLES = 100_000
"""Twenty times what a large classifier has; keeps a made-up file from taking minutes."""
_SMALLEST = 16  # root offset, file identifier, an empty vtable and its table

_STRUCTS = {letter: struct.Struct(f"<{letter}") for letter in NUMBERS.values()}


class FlatbufferError(ValueError):
    """Bytes that are no sound flatbuffer; the message says where."""


class Table:
    """One table of the file: `table["shape"]` gives a field, by its name in `schema.TABLES`.

    Numbers come as `int`, `float` or `bool`, vectors of them as tuples, strings as bytes, tables as
    `Table`, vectors of tables as lists. What is absent is 0 or the schema's default, an empty
    tuple or list, `b""` or None. Raises FlatbufferError where an offset leaves the file.
    """

    __slots__ = ("content", "fields", "name", "position", "slots")

    def __init__(self, content: bytes, name: str, position: int) -> None:
        self.content, self.name, self.position = content, name, position
        self.fields = TABLES[name]
        vtable = position - _number(content, "i", 4, position, name)
        size = _number(content, "H", 2, vtable, name)
        if size % 2 or size < 4 or vtable + size > len(content):
            raise FlatbufferError(f"{name} at byte {position} has no sound field list")
        inline, *self.slots = struct.unpack_from(f"<{size // 2 - 1}H", content, vtable + 2)
        if position + inline > len(content) or max(self.slots, default=0) >= max(inline, 4):
            raise FlatbufferError(f"{name} at byte {position} is longer than the file")

    def __getitem__(self, name: str) -> Any:
        field = self.fields[name]
        place = self.place(field)
        if field.kind == "number":
            if not place:
                return field.default
            return _number(self.content, field.of, field.size, place, self.name)
        if field.kind in {"numbers", "string"}:
            start, count = self.span(name)
            if field.kind == "string":
                return self.content[start : start + count]
            return struct.unpack_from(f"<{count}{field.of}", self.content, start)
        children = list(self.children(field))
        return children if field.kind == "tables" else children[0] if children else None

    def place(self, field: Field) -> int:
        """Where a field is in the file; 0 if it is absent."""
        slot = self.slots[field.number] if field.number < len(self.slots) else 0
        return self.position + slot if slot else 0

    def span(self, name: str) -> tuple[int, int]:
        """Start and number of elements of a vector or string; (0, 0) if it is absent.

        For vectors too long to read. Raises FlatbufferError where it leaves the file.
        """
        field = self.fields[name]
        place = self.place(field)
        if not place:
            return 0, 0
        start = self._follow(place) + 4
        count = int(_number(self.content, "I", 4, start - 4, self.name))
        if start + count * field.size > len(self.content):
            raise FlatbufferError(f"{self.name}.{name} ends behind the end of the file")
        return start, count

    def children(self, field: Field) -> Iterator[Table]:
        """The tables that a field of kind `table`, `tables` or `union` holds."""
        place = self.place(field)
        if field.kind == "tables":
            start, count = self.span(field.name)
            for index, offset in enumerate(struct.unpack_from(f"<{count}I", self.content, start)):
                yield Table(self.content, field.of, start + 4 * index + offset)
        elif place and field.kind == "table":
            yield Table(self.content, field.of, self._follow(place))
        elif place:
            (kind,) = (
                self[name] for name, of in self.fields.items() if of.number == field.number - 1
            )
            if kind:
                of = UNIONS[field.of].get(kind, "Options")
                yield Table(self.content, of, self._follow(place))

    def check(self, field: Field) -> None:
        """Check a field without tables in it against the file's bounds, copying nothing.

        Raises FlatbufferError.
        """
        if field.kind == "number":
            place = self.place(field)
            if place + field.size > len(self.content) or place % field.size:
                raise FlatbufferError(f"{self.name}.{field.name} at byte {place}")
            return
        start, count = self.span(field.name)
        if field.kind == "string" and self.content[start + count : start + count + 1] != b"\0":
            raise FlatbufferError(f"{self.name}.{field.name} does not end")
        if start % field.size:
            raise FlatbufferError(f"{self.name}.{field.name} is misaligned")

    def _follow(self, place: int) -> int:
        return place + int(_number(self.content, "I", 4, place, self.name))


def _number(content: bytes, letter: str, size: int, place: int, name: str) -> Any:
    """One number at `place`, which has to be aligned to its size, as the format demands."""
    if place < 0 or place + size > len(content) or place % size:
        raise FlatbufferError(f"{name} points to byte {place} of {len(content)}")
    return _STRUCTS[letter].unpack_from(content, place)[0]


def read_root(content: bytes, name: str = "Model") -> Table:
    """The root table: `Model` of a `.tflite` file, `ModelMetadata` of the metadata inside.

    Raises FlatbufferError if it has none.
    """
    if len(content) < _SMALLEST or content[4:8] != IDENTIFIERS[name]:
        raise FlatbufferError(NO_MODEL if name == "Model" else f"no {name}")
    return Table(content, name, _number(content, "I", 4, 0, "the file's head"))


def each_table(root: Table) -> Iterator[Table]:
    """Every table reachable from `root`, once, with every field of each checked.

    Raises FlatbufferError where anything leaves the file, and for more than MAX_TABLES tables.
    """
    waiting, seen, met = [root], {(root.name, root.position)}, 0
    while waiting:
        table = waiting.pop()
        for field in table.fields.values():
            if not table.place(field):
                continue
            if field.kind in {"number", "numbers", "string"}:
                table.check(field)
                continue
            for child in table.children(field):
                met += 1
                if met > MAX_TABLES:
                    raise FlatbufferError(f"more than {MAX_TABLES} tables")
                if (child.name, child.position) not in seen:
                    seen.add((child.name, child.position))
                    waiting.append(child)
        yield table
