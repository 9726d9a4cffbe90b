"""An archive's parts as tables of DuckDB, for `edgebee archive query` and the summary."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from edgebee.edge.archive.archive import MODEL_NAME
from edgebee.edge.archive.manifest import MANIFEST_NAME, open_manifest
from edgebee.edge.archive.parts import check_parts
from edgebee.edge.classify import escape_control_chars
from edgebee.errors import DataError

__all__ = ["COUNT_LABELS", "ArchiveTables", "open_archive", "open_results"]

COUNT_LABELS = """
SELECT coalesce(label, 'error') AS label, count(*) AS photos, round(avg(score), 3) AS mean_score,
  min(taken) AS first_taken, max(taken) AS last_taken
FROM photos GROUP BY ALL ORDER BY photos DESC, label
"""
_PARTS = "part-*.parquet"


@dataclass(frozen=True)
class ArchiveTables:
    """The tables `photos`, `all_models` and `manifest` of an archive, in DuckDB."""

    definitions: tuple[str, ...]
    """The lines of SQL that make them."""
    connection: Any = field(repr=False)

    def rows(self, sql: str, values: Any = None) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Run SQL: the names of its columns, and its rows, as they come.

        Raises:
            DataError: DuckDB refuses it.
        """
        try:
            done = self.connection.execute(sql, values)
            names = [column[0] for column in done.description or ()]
        except duckdb.Error as error:
            raise DataError(f"SQL: {_one_line(error)}") from error
        return names, self._fetch(done)

    def _fetch(self, done: Any) -> Iterator[tuple[Any, ...]]:
        try:
            while rows := done.fetchmany(1000):
                yield from rows
        except duckdb.Error as error:
            raise DataError(f"SQL: {_one_line(error)}") from error

    def csv(self, sql: str) -> Iterator[str]:
        """Run SQL: lines of CSV, the first with the names of the columns."""
        names, rows = self.rows(sql)
        for row in itertools.chain([names], rows):
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="").writerow(map(_as_cell, row))
            yield buffer.getvalue()

    def text(self, sql: str) -> Iterator[str]:
        """Run SQL: lines of a table with aligned columns, all of its rows."""
        names, rows = self.rows(sql)
        cells = [names, *([_spell(value) for value in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "  ".join(padded).rstrip()


def open_archive(folder: Path, *, model: str | None = None) -> ArchiveTables:
    """The tables of an archive.

    Args:
        folder: of the archive.
        model: whose results `photos` stands for: the name of its folder, or how that begins;
            default: the one that was written last.

    Raises:
        DataError: it is no archive, of another version, or has no such model.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{MODEL_NAME}"))
    keys = ", ".join(path.name for path in found)
    chosen = [path for path in found if path.name.startswith(model or "")]
    if not found or open_manifest(folder) is None:
        raise DataError(
            f"{folder}: not an archive; make one with: edgebee archive SOURCE --out DIR"
        )
    if not chosen:
        raise DataError(f"{folder}: no results of model {model}; there are {keys}")
    if model and len(chosen) > 1:
        raise DataError(f"{folder}: {model} begins several models; there are {keys}")
    latest = max(chosen, key=_last_written)
    check_parts(latest)
    return _open(
        photos=f"{_literal(latest)}/{_PARTS}",
        all_models=f"{_literal(folder)}/*/{_PARTS}",
        manifest=f"{_literal(folder)}/{MANIFEST_NAME}",
    )


def open_results(folder: Path) -> ArchiveTables:
    """The table `photos` alone, of the folder of one model's parts.

    Raises:
        DataError: there are none, or they are of another version.
    """
    check_parts(folder)
    return _open(photos=f"{_literal(folder)}/{_PARTS}")


def _open(**files: str) -> ArchiveTables:
    # Nothing is fetched from the network, whatever the SQL names.
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    lines = tuple(
        f"CREATE VIEW {name} AS FROM read_parquet({_quoted(pattern)});"
        for name, pattern in files.items()
    )
    for line in lines:
        connection.execute(line)
    return ArchiveTables(lines, connection)


def _last_written(folder: Path) -> float:
    """When a part of a model was written last."""
    return max(path.stat().st_mtime for path in (folder / MODEL_NAME, *folder.glob(_PARTS)))


def _literal(folder: Path) -> str:
    """A folder in a pattern of DuckDB's."""
    return re.sub(r"([*?\[])", r"[\1]", folder.as_posix())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one_line(error: BaseException) -> str:
    """What DuckDB says, without the lines that point into the SQL."""
    return str(error).split("\n\nLINE", maxsplit=1)[0].replace("\n", " ").strip()


def _as_cell(value: Any) -> Any:
    """A value for CSV: a map as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _spell(value: Any) -> str:
    """A cell of a table: `-` for NULL, a map in short."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_spell(one)}" for key, one in value.items())
    return f"{value:.3f}" if isinstance(value, float) else escape_control_chars(value)
