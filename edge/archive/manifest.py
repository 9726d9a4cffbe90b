"""The manifest: every photo of an archive with its size and time, in an order that stays.

It is `manifest.parquet` in the archive's folder. A row group of it is a part: row group k holds
the photos of part k, for good. Listing again changes sizes and times in their rows and appends
photos that are new; the last row group fills up before another begins. A photo that has gone
keeps its row, as its results do.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edgebee.errors import DataError, OutputError
from edgebee.files import atomic_write
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.store import Listed

__all__ = [
    "ENTRY_FIELDS",
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "Manifest",
    "check_version",
    "is_archive_file",
    "open_manifest",
    "update_manifest",
    "version_metadata",
]

MANIFEST_NAME = "manifest.parquet"
SCHEMA_VERSION = 1
_VERSION_KEY = b"edgebee.archive_version"
_PART_KEY = b"edgebee.part_size"

ENTRY_FIELDS = (
    pa.field("path", pa.string(), nullable=False),
    pa.field("size", pa.int64()),
    pa.field("modified", pa.timestamp("us", tz="UTC")),
)
"""Path or address; bytes; time of the last change. Null: that could not be found out."""

_AT_A_TIME = 10_000


@dataclass(frozen=True)
class Manifest:
    """A manifest on the disk."""

    path: Path
    photos: int
    part_size: int
    """Photos in each part but the last."""

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.photos // self.part_size)

    def entries(self, part: int) -> pa.Table:
        """The rows of a part, 0 <= part < parts: `path`, `size`, `modified`."""
        with pq.ParquetFile(self.path) as file:
            return file.read_row_group(part)


def version_metadata(**values: str) -> dict[bytes, bytes]:
    """Metadata for the schema of a file of an archive."""
    named = {f"edgebee.{name}".encode(): value.encode() for name, value in values.items()}
    return {_VERSION_KEY: str(SCHEMA_VERSION).encode(), **named}


def is_archive_file(metadata: Any) -> bool:
    """Whether an archive's file has this metadata, of whatever version."""
    return _VERSION_KEY in (metadata or {})


def check_version(path: Path, metadata: Any) -> None:
    """Refuse a file of an archive that another edgebee wrote.

    Raises:
        DataError: it is of another version.
    """
    found = (metadata or {}).get(_VERSION_KEY, b"").decode(errors="replace")
    if found != str(SCHEMA_VERSION):
        what = f"has archive version {found}" if found else "is not of an archive"
        raise DataError(
            f"{path}: {what}, and this edgebee reads version {SCHEMA_VERSION}; use the edgebee "
            "that made it, or choose another folder with --out"
        )


def open_manifest(folder: Path) -> Manifest | None:
    """The manifest of an archive; None where there is none yet.

    Raises:
        DataError: it is damaged or of another version.
    """
    path = folder / MANIFEST_NAME
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as file:
            metadata, rows = file.schema_arrow.metadata, file.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: damaged ({str(error).splitlines()[0]}); remove it and run the same line again"
        ) from error
    check_version(path, metadata)
    return Manifest(path, rows, int(metadata[_PART_KEY]))


def update_manifest(
    folder: Path,
    listed: Iterable[Listed],
    *,
    part_size: int,
    progress: ProgressCallback = ignore_progress,
) -> Manifest:
    """Bring the manifest of an archive up to date with what a source has now.

    Memory does not grow with the number of photos: they are sorted on the disk.

    Args:
        folder: the archive's.
        listed: what there is now; a path that comes twice counts once.
        part_size: photos in a part, of a new archive; another keeps its own.
        progress: called while photos are listed.

    Raises:
        DataError: the manifest there is damaged or of another version.
        OutputError: it could not be written.
    """
    old = open_manifest(folder)
    size = old.part_size if old else part_size
    with _disk_errors(folder), _Listing(folder / ".listing.sqlite") as listing:
        listing.fill(listed, progress)
        schema = pa.schema(ENTRY_FIELDS, metadata=version_metadata(part_size=str(size)))
        rows = 0

        def write(place: Path) -> None:
            nonlocal rows
            with pq.ParquetWriter(place, schema) as writer:
                for table in _in_parts(listing.merged_with(old), size, schema):
                    writer.write_table(table, row_group_size=size)
                    rows += table.num_rows

        atomic_write(folder / MANIFEST_NAME, write)
    return Manifest(folder / MANIFEST_NAME, rows, size)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(
            f"{folder}: the list of photos could not be written there ({error}); make room on "
            "that disk, or choose another folder with --out"
        ) from error


Row = tuple[str, "int | None", "int | None"]
"""Path, size, microseconds since 1970."""


class _Listing:
    """What a source has now, in a database on the disk that goes when the block ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> _Listing:
        self.path.unlink(missing_ok=True)  # of a run that was killed
        # The archive's folder is locked, and not every network disk knows locks on files.
        address = f"{self.path.absolute().as_uri()}?nolock=1"
        self.database = sqlite3.connect(address, uri=True)
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute(
            "CREATE TABLE photo (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER) "
            "WITHOUT ROWID"
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.database.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def fill(self, listed: Iterable[Listed], progress: ProgressCallback) -> None:
        """Take in what is listed."""
        rows, number = list[tuple[bytes, int | None, int | None]](), 0
        for number, photo in enumerate(listed, 1):
            rows.append((_encode(photo.path), photo.size, photo.modified))
            if len(rows) == _AT_A_TIME:
                self._insert(rows)
                progress(Progress("listing photos", number, None))
        self._insert(rows)
        progress(Progress("listing photos", number, number))

    def _insert(self, rows: list[tuple[bytes, int | None, int | None]]) -> None:
        self.database.executemany("INSERT OR REPLACE INTO photo VALUES (?, ?, ?)", rows)
        rows.clear()

    def merged_with(self, old: Manifest | None) -> Iterator[Row]:
        """The rows of an older manifest, brought up to date, then those that are new, by path."""
        if old:
            for part in range(old.parts):
                yield from self._updated(old.entries(part))
        for path, size, modified in self.database.execute("SELECT * FROM photo ORDER BY path"):
            yield path.decode(), size, modified

    def _updated(self, entries: pa.Table) -> Iterator[Row]:
        modified = entries["modified"].cast(pa.int64()).to_pylist()
        columns = entries["path"].to_pylist(), entries["size"].to_pylist(), modified
        for path, *state in zip(*columns, strict=True):
            key = (path.encode(),)
            found = self.database.execute(
                "SELECT size, modified FROM photo WHERE path = ?", key
            ).fetchone()
            if found:
                self.database.execute("DELETE FROM photo WHERE path = ?", key)
            # A list may name a photo that has gone: its row stays as it is, too.
            yield path, *(found if found and found[0] is not None else state)


def _encode(path: str) -> bytes:
    """Names in no known encoding have lone surrogates, which Parquet's UTF-8 cannot carry."""
    return path.encode("utf-8", "backslashreplace")


def _in_parts(rows: Iterable[Row], size: int, schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of `size` rows, the last one of fewer."""
    columns: tuple[list[Any], ...] = ([], [], [])
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        if len(columns[0]) == size:
            yield _as_table(columns, schema)
            columns = ([], [], [])
    if columns[0]:
        yield _as_table(columns, schema)


def _as_table(columns: tuple[list[Any], ...], schema: pa.Schema) -> pa.Table:
    path, size, modified = columns
    arrays = [
        pa.array(path, pa.string()),
        pa.array(size, pa.int64()),
        pa.array(modified, pa.int64()).cast(schema.field("modified").type),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
