"""`benchmark.json`: written, read, checked and described by a JSON Schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgebee.benchmarks.measure.results import FORMAT_VERSION, Results
from edgebee.errors import BenchmarkError
from edgebee.files import write_text

__all__ = ["read_results", "to_json", "write_results"]

_LINE_LENGTH = 96


def to_json(measured: Results) -> str:
    """The text of `benchmark.json`, laid out to be read and compared line by line."""
    return _layout(json.loads(msgspec.json.encode(measured))) + "\n"


def write_results(path: Path, measured: Results) -> None:
    """Write a `benchmark.json`.

    Raises:
        OutputError: it could not be written.
    """
    write_text(path, to_json(measured))


def _layout(value: Any, indent: str = "") -> str:
    """JSON in which what fits a line, and every list of plain values, is on one."""
    inner = indent + "  "
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= _LINE_LENGTH:
        return flat
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {_layout(item, inner)}" for key, item in value.items()]
        return f"{{\n{inner}" + f",\n{inner}".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        return f"[\n{inner}" + f",\n{inner}".join(_layout(i, inner) for i in value) + f"\n{indent}]"
    return flat


@dataclass(frozen=True)
class _Version:
    """What every version of the file has."""

    format_version: int


def read_results(path: Path) -> Results:
    """Read a `benchmark.json`.

    Raises:
        BenchmarkError: it cannot be read, is damaged or of a newer edgebee.
    """
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Version).format_version
        if version > FORMAT_VERSION:
            raise BenchmarkError(
                f"{path}: written by a newer edgebee (format {version}, this one reads up to "
                f"{FORMAT_VERSION}); pip install --upgrade edgebee"
            )
        return msgspec.json.decode(content, type=Results)
    except OSError as error:
        raise BenchmarkError(
            f"{path}: cannot be read ({error.strerror}); check its name"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # damaged
        raise BenchmarkError(
            f"{path}: not a benchmark.json of format {FORMAT_VERSION} ({error}); "
            "measure again with: edgebee benchmark"
        ) from error
