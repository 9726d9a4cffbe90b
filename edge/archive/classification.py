"""Photos of a part into rows: read ahead, classified on all processors, in order."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from edgebee.edge.archive.exif import read_place, split_taken
from edgebee.edge.archive.parts import SCHEMA, PartPlan
from edgebee.edge.classify import NEITHER, Classifier, PhotoError, Prediction
from edgebee.edge.station.sources import check_model
from edgebee.store import PhotoReader, is_address

__all__ = [
    "ArchiveModel",
    "ClassifyParts",
    "RowCallback",
    "classify_entries",
    "classify_here",
    "ignore_row",
]

_READERS, _STORE_READERS = 4, 16
"""Photos that are read at a time; a store takes long to answer, but answers many."""
_MOST_AHEAD = 64
_MOST_BYTES_AHEAD = 128_000_000

ClassifyParts: TypeAlias = Callable[
    ["Iterable[PartPlan]", "RowCallback"], "Iterator[tuple[PartPlan, pa.Table]]"
]
"""Plans of parts -> each part with the rows of its missing photos, in any order."""

RowCallback: TypeAlias = Callable[["str | None"], object]
"""Called with the label of each row, None for an error, as they come."""


def ignore_row(label: str | None) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class ArchiveModel:
    """A model and the settings that predictions depend on; None stands for the model's own."""

    path: Path
    threshold: float | None = None
    normalize: str | None = None
    size: tuple[int, int] | None = None

    def load(self) -> Classifier:
        """The classifier, for one thread for each photo.

        Raises:
            ModelError: it cannot be used.
        """
        check_model(self.path)
        return Classifier(
            self.path, threads=1, threshold=self.threshold, normalize=self.normalize, size=self.size
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are not the model's own."""
        given = {"threshold": self.threshold, "normalize": self.normalize, "size": self.size}
        return {name: value for name, value in given.items() if value is not None}

    def key(self, sha256: str) -> str:
        """What the results of this model and these settings are kept under."""
        if self.settings:
            sha256 = hashlib.sha256(f"{sha256} {self.settings}".encode()).hexdigest()
        return sha256[:16]


class _ReadPhoto(io.BytesIO):
    """The content of a photo, or why there is none."""

    def __init__(self, path: str, content: bytes, failure: OSError | None = None) -> None:
        super().__init__(content)
        self.name, self.failure = path, failure


def classify_entries(
    classifier: Classifier,
    entries: pa.Table,
    reader: PhotoReader,
    *,
    sha256: str,
    workers: int | None = None,
    on_row: RowCallback = ignore_row,
) -> pa.Table:
    """Classify photos of the manifest; the rows of a part, in the order of the entries.

    What cannot be read is a row with an error. The same entries, photos and model give the same
    table but for the column `milliseconds`.

    Args:
        classifier: from `ArchiveModel.load`.
        entries: `path`, `size`, `modified`, as in the manifest.
        reader: of the source.
        sha256: of the model file.
        workers: photos to work on at a time; default: one per processor.
        on_row: called for each row.

    Raises:
        StoreError: the store of a photo cannot be reached; nothing is known of the others.
        ModelError: the model makes no prediction.
    """
    rows = _Rows(classifier.labels, sha256)
    listed = zip(entries["path"].to_pylist(), entries["size"].to_pylist(), strict=True)
    photos = _read_ahead(listed, reader)
    for photo, result in classifier.classify_many(photos, workers=workers):
        rows.add(photo, result)
        on_row(None if isinstance(result, PhotoError) else result.label)
        photo.close()
    return rows.as_table(entries)


def classify_here(
    classifier: Classifier, reader: PhotoReader, sha256: str, workers: int | None
) -> ClassifyParts:
    """What classifies the missing photos of parts on this machine, one part after the other."""

    def run(plans: Iterable[PartPlan], on_row: RowCallback) -> Iterator[tuple[PartPlan, pa.Table]]:
        for plan in plans:
            yield (
                plan,
                classify_entries(
                    classifier, plan.missing, reader, sha256=sha256, workers=workers, on_row=on_row
                ),
            )

    return run


def _read_ahead(
    listed: Iterator[tuple[str, int | None]], reader: PhotoReader
) -> Iterator[_ReadPhoto]:
    """Photos in order, some of them read before they are asked for; never many bytes."""

    def read(path: str) -> _ReadPhoto:
        try:
            return _ReadPhoto(path, reader.read(path))
        except (OSError, ValueError) as error:  # ValueError: a NUL in a name
            failure = error if isinstance(error, OSError) else OSError(str(error))
            return _ReadPhoto(path, b"", failure)

    first = next(listed, None)
    if first is None:
        return
    count = _STORE_READERS if is_address(first[0]) else _READERS
    pending: deque[tuple[Future[_ReadPhoto], int]] = deque()
    held = 0
    pool = ThreadPoolExecutor(count, thread_name_prefix="read-ahead")
    try:
        for path, size in itertools.chain([first], listed):
            cost = size or 0
            while pending and (len(pending) >= _MOST_AHEAD or held + cost > _MOST_BYTES_AHEAD):
                future, freed = pending.popleft()
                held -= freed
                yield future.result()
            pending.append((pool.submit(read, path), cost))
            held += cost
        while pending:
            yield pending.popleft()[0].result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Rows:
    """Collects the columns of a part."""

    def __init__(self, labels: tuple[str, ...], sha256: str) -> None:
        self.labels, self.sha256 = labels, sha256
        self.columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        del self.columns["path"]

    def add(self, photo: _ReadPhoto, result: Prediction | PhotoError) -> None:
        """Take in what came of a photo."""
        row: dict[str, Any] = {"model": self.sha256, "size": photo.failure is None}
        if photo.failure is not None:
            row["error"] = f"cannot be opened ({photo.failure.strerror or photo.failure})"
        elif isinstance(result, PhotoError):
            reason = str(result).removeprefix(f"{photo.name}: ")
            row["error"] = reason.removesuffix("; check or replace it")
        else:
            row |= self._predicted(photo, result)
        for name, column in self.columns.items():
            column.append(row.get(name))

    def _predicted(self, photo: _ReadPhoto, prediction: Prediction) -> dict[str, Any]:
        taken, zone = split_taken(prediction.taken)
        latitude, longitude = read_place(photo.getvalue()) or (None, None)
        return {
            "label": prediction.label,
            "score": prediction.score,
            "scores": [(label, prediction.scores[label]) for label in self.labels],
            "neither": prediction.scores.get(NEITHER),
            "taken": taken,
            "taken_zone": zone,
            "latitude": latitude,
            "longitude": longitude,
            "milliseconds": prediction.decode_ms + prediction.invoke_ms,
        }

    def as_table(self, entries: pa.Table) -> pa.Table:
        """The part's rows; size and time are those of the entries, where they could be opened."""
        opened = pa.array(self.columns["size"], pa.bool_())
        columns = {
            name: pa.array(values, SCHEMA.field(name).type)
            for name, values in self.columns.items()
            if name not in ("size", "modified")
        }
        columns["path"] = entries["path"]
        for name in ("size", "modified"):
            columns[name] = pa.compute.if_else(opened, entries[name], None)
        return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA).combine_chunks()
