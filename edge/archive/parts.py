"""The parts of an archive for one model: Parquet files, each written whole or not at all.

Part k holds a row for each row of the manifest's row group k, in its order. Whether it is complete
can be read from the two alone: a row counts for its photo while path, size and time are the
manifest's. So a part that is killed while it is written is missing, one whose photos have changed
is written again with new rows for those, and no photo can be lost or come twice.

The same photos, manifest and model give the same parts, bit for bit, on any number of processors
and machines with the same kernels. Only `milliseconds` differs: `same_results` leaves it out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from edgebee.edge.archive.manifest import ENTRY_FIELDS, check_version, version_metadata
from edgebee.errors import DataError
from edgebee.files import atomic_write

__all__ = ["SCHEMA", "PartPlan", "PartStore", "check_parts", "same_results"]

SCHEMA = pa.schema(
    [
        ENTRY_FIELDS[0],
        pa.field("label", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("scores", pa.map_(pa.string(), pa.float32())),
        pa.field("neither", pa.float32()),
        pa.field("error", pa.string()),
        pa.field("taken", pa.timestamp("ms")),
        pa.field("taken_zone", pa.string()),
        pa.field("latitude", pa.float64()),
        pa.field("longitude", pa.float64()),
        pa.field("model", pa.string(), nullable=False),
        pa.field("milliseconds", pa.float32()),
        *ENTRY_FIELDS[1:],
    ],
    metadata=version_metadata(),
)
"""The columns of a part.

- `path`: absolute, or an address.
- `label`: a class, `neither` or `unknown`; null where there is an error.
- `score`: the best score, 0-1. `scores`: label -> score, in the model's order.
- `neither`: the score of `neither`, null where the model does not know it.
- `error`: why there is no prediction, else null.
- `taken`: by the camera's own clock (EXIF); `taken_zone`: that clock's zone, as `+02:00`, if known.
- `latitude`, `longitude`: degrees, WGS 84, south and west negative (EXIF).
- `model`: SHA-256 of the model file.
- `milliseconds`: for decoding the photo and running the model.
- `size`, `modified`: of the photo that was read, from the manifest; null where it could not be
  opened, so that the next run tries again.
"""

TIMES = ("milliseconds",)
"""The columns that differ between two runs over the same photos."""

_logger = logging.getLogger("edgebee.archive")


def check_parts(folder: Path) -> None:
    """Refuse a folder without parts, or with parts that another edgebee wrote.

    Raises:
        DataError: there are none, or they are damaged or of another version.
    """
    first = next(iter(sorted(folder.glob("part-*.parquet"))), None)
    if first is None:
        raise DataError(f"{folder}: no part is complete yet; run edgebee archive again")
    try:
        check_version(first, pq.read_schema(first).metadata)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{first}: damaged ({reason}); run edgebee archive again") from error


def same_results(one: pa.Table, other: pa.Table) -> bool:
    """Whether two parts are the same bit for bit, without the times that classifying took."""
    same: bool = one.drop_columns(TIMES).equals(other.drop_columns(TIMES))
    return same


@dataclass(frozen=True)
class PartPlan:
    """What is to do for a part."""

    number: int
    entries: pa.Table
    """Of the manifest, all of the part's."""
    old: pa.Table | None
    """The part as it is; None where there is none."""
    kept: Mapping[int, int] = field(repr=False)
    """Position in the part -> row of `old` that is up to date."""

    @property
    def missing(self) -> pa.Table:
        """The entries to classify."""
        missing = [i for i in range(len(self.entries)) if i not in self.kept]
        return self.entries.take(pa.array(missing, pa.int64()))

    @property
    def missing_count(self) -> int:
        """How many entries are to be classified."""
        return len(self.entries) - len(self.kept)

    @property
    def is_complete(self) -> bool:
        """Whether the part is there as it has to be: these rows, in this order, and no others."""
        in_order = all(position == row for position, row in self.kept.items())
        return len(self.kept) == len(self.entries) == len(self.old or ()) and in_order

    @property
    def kept_rows(self) -> pa.Table:
        """The rows that are up to date."""
        if self.old is None:
            return SCHEMA.empty_table()
        return self.old.take(pa.array(self.kept.values(), pa.int64()))

    def merge(self, classified: pa.Table) -> pa.Table:
        """The whole part: kept rows, and those of `missing`, classified in that order."""
        fresh = iter(range(len(self.kept), len(self.kept) + len(classified)))
        place = {position: row for row, position in enumerate(self.kept)}
        order = [place[i] if i in place else next(fresh) for i in range(len(self.entries))]
        both = pa.concat_tables([self.kept_rows, classified])
        return both.take(order).combine_chunks()


class PartStore:
    """The parts of one model.

    Args:
        folder: where they are.
        retry_errors: photos whose row has an error count as missing.
    """

    def __init__(self, folder: Path, *, retry_errors: bool = False) -> None:
        self.folder, self.retry_errors = folder, retry_errors

    def path(self, number: int) -> Path:
        """Where a part is."""
        return self.folder / f"part-{number:06d}.parquet"

    def read(self, number: int) -> pa.Table | None:
        """A part; None where it is missing, or damaged: that is logged.

        Raises:
            DataError: it is of another version.
        """
        path = self.path(number)
        if not path.exists():
            return None
        try:
            table = pq.read_table(path, memory_map=False, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            _logger.warning("%s: damaged (%s); done again", path, str(error).splitlines()[0])
            return None
        check_version(path, table.schema.metadata)
        return table

    def plan(self, number: int, entries: pa.Table) -> PartPlan:
        """Compare a part with the rows of the manifest: what is there, and what is missing.

        Raises:
            DataError: the part is of another version.
        """
        old = self.read(number)
        kept: dict[int, int] = {}
        if old is not None:
            rows = {path: row for row, path in enumerate(old["path"].to_pylist())}
            found = [rows.get(path, -1) for path in entries["path"].to_pylist()]
            valid = self._are_valid(old, entries, found)
            kept = {i: row for i, (row, good) in enumerate(zip(found, valid, strict=True)) if good}
        return PartPlan(number, entries, old, kept)

    def _are_valid(self, old: pa.Table, entries: pa.Table, rows: list[int]) -> list[bool]:
        """Whether each row is of the photo as it is now."""
        beside = old.select(["size", "modified", "error"]).take(
            pa.array([None if row < 0 else row for row in rows], pa.int64())
        )
        valid = pc.and_(
            pc.equal(beside["size"], entries["size"]),
            pc.equal(beside["modified"], entries["modified"]),
        )
        if self.retry_errors:
            valid = pc.and_(valid, pc.is_null(beside["error"]))
        known: list[bool] = pc.fill_null(valid, False).to_pylist()
        return known

    def write(self, number: int, table: pa.Table) -> Path:
        """Let a part appear, whole, in the place of an older one.

        Raises:
            OutputError: it could not be written.
        """
        assert table.schema.equals(SCHEMA), table.schema
        table = table.replace_schema_metadata(SCHEMA.metadata)
        path = self.path(number)
        atomic_write(path, lambda place: pq.write_table(table, place, compression="zstd"))
        return path

    def remove_beyond(self, parts: int) -> None:
        """Remove parts that no row of the manifest belongs to: its first one was removed."""
        for path in self.folder.glob("part-*.parquet"):
            number: Any = path.stem.partition("-")[2]
            if number.isdigit() and int(number) >= parts:
                _logger.warning("%s: of another manifest; removed", path)
                path.unlink()
