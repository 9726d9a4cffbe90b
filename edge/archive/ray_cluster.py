"""Photos of many parts on a cluster: slices go to its processors, parts come together here.

Each processor has a model of its own, on one thread. A slice of a part is classified as the part
would be on one machine, so that the parts are the same; they are written by this process alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from edgebee.cluster import Cluster, node_versions
from edgebee.edge import classify
from edgebee.edge.archive.classification import (
    ArchiveModel,
    ClassifyParts,
    RowCallback,
    classify_entries,
)
from edgebee.edge.archive.manifest import ENTRY_FIELDS
from edgebee.edge.archive.parts import SCHEMA, PartPlan
from edgebee.errors import ClusterError
from edgebee.store import PhotoReader, is_address

__all__ = ["ModelFiles", "SliceClassifier", "classify_on", "cut_slices", "pack_rows"]

SLICE_SIZE = 250
"""Photos that a processor gets at a time: some seconds of work, all of it done again elsewhere
when a node vanishes."""
LEAST_SLICE_SIZE = 16
SLICES_PER_PROCESSOR = 100
"""Slices that are planned together: minutes of work, so that the seconds in which processors start
and the last ones finish do not count; and a bound for the memory."""
SLICES_AT_THE_END = 4
"""Into how many slices a processor's share is cut at least, so that all finish together."""


@dataclass(frozen=True)
class ModelFiles:
    """A model as it travels to the nodes."""

    model: ArchiveModel
    content: bytes
    labels: tuple[str, ...]
    """Which may be in a file beside the model."""
    sha256: str
    max_pixels: int
    """Photos that would hold more in memory are refused, as on this machine."""

    @classmethod
    def read(cls, model: ArchiveModel, labels: tuple[str, ...], sha256: str) -> ModelFiles:
        """Read what is needed elsewhere."""
        return cls(model, model.path.read_bytes(), labels, sha256, classify.MAX_PIXELS)

    def load(self) -> classify.Classifier:
        """The classifier, from files that are gone again when it is loaded."""
        with tempfile.TemporaryDirectory(
            prefix="edgebee-model-",
            ignore_cleanup_errors=True,  # Windows keeps files that are open
        ) as folder:
            path = Path(folder, self.model.path.name)
            path.write_bytes(self.content)
            path.with_name(classify.LABELS_NAME).write_text("\n".join(self.labels), "utf-8")
            return replace(self.model, path=path).load()


class SliceClassifier:
    """What works on a processor of a node: slices in, rows out.

    Args:
        files: the model.
        reader: of the source.
    """

    def __init__(self, files: ModelFiles, reader: PhotoReader) -> None:
        from edgebee.edge.station.sources import limit_pixels

        classify.silence_decoder_warnings()
        limit_pixels(files.max_pixels // 1_000_000)
        self.classifier, self.reader, self.sha256 = files.load(), reader, files.sha256

    def __call__(self, piece: pa.Table) -> pa.Table:
        """Classify a slice; see `pack_rows`."""
        entries = piece.select([field.name for field in ENTRY_FIELDS])
        rows = classify_entries(
            self.classifier, entries, self.reader, sha256=self.sha256, workers=1
        )
        return pack_rows(piece, rows)


def pack_rows(piece: pa.Table, rows: pa.Table) -> pa.Table:
    """One row: which slice it was, and the bytes of its rows."""
    return pa.table(
        {
            "part": piece["part"][:1],
            "start": piece["start"][:1],
            "versions": [list(node_versions())],
            # As bytes: Ray Data has notions of its own about maps.
            "rows": pa.array([_to_bytes(rows)], pa.large_binary()),
        }
    )


Worker: TypeAlias = Callable[[ModelFiles, PhotoReader], Callable[[pa.Table], pa.Table]]


def classify_on(
    cluster: Cluster, files: ModelFiles, reader: PhotoReader, worker: Worker = SliceClassifier
) -> ClassifyParts:
    """What classifies the missing photos of parts on a cluster.

    Args:
        cluster: where.
        files: the model.
        reader: of the source.
        worker: what is made on each processor.
    """

    def run(plans: Iterable[PartPlan], on_row: RowCallback) -> Iterator[tuple[PartPlan, pa.Table]]:
        def work(slices: list[pa.Table]) -> Iterator[pa.Table]:
            return cluster.map_tables(worker, (files, reader), slices)

        planned: dict[int, PartPlan] = {}
        photos = 0
        most = SLICES_PER_PROCESSOR * SLICE_SIZE * max(1, cluster.processors)
        for plan in plans:
            planned[plan.number] = plan
            photos += plan.missing_count
            if photos >= most:
                yield from _classify_together(cluster, work, planned, on_row)
                planned, photos = {}, 0
        if planned:
            yield from _classify_together(cluster, work, planned, on_row)

    return run


def _classify_together(
    cluster: Cluster,
    work: Callable[[list[pa.Table]], Iterator[pa.Table]],
    plans: dict[int, PartPlan],
    on_row: RowCallback,
) -> Iterator[tuple[PartPlan, pa.Table]]:
    """Classify the missing photos of some parts; each part is yielded once it is complete."""
    photos = sum(plan.missing_count for plan in plans.values())
    even = -(-photos // (SLICES_AT_THE_END * max(1, cluster.processors)))
    size = min(SLICE_SIZE, max(LEAST_SLICE_SIZE, even))
    slices = [piece for plan in plans.values() for piece in cut_slices(plan, size)]
    found: dict[int, dict[int, pa.Table]] = {number: {} for number in plans}
    for one in work(slices):
        for number, start, versions, content in zip(
            *(one[name].to_pylist() for name in ("part", "start", "versions", "rows")), strict=True
        ):
            cluster.check_versions(versions)
            rows = _from_bytes(content)
            _require_same_view(cluster, rows)
            for label in rows["label"].to_pylist():
                on_row(label)
            found[number][start] = rows
            plan = plans[number]
            if sum(map(len, found[number].values())) == plan.missing_count:
                ordered = [rows for _, rows in sorted(found.pop(number).items())]
                yield plan, pa.concat_tables(ordered)


def cut_slices(plan: PartPlan, size: int) -> list[pa.Table]:
    """The missing entries of a part in tables of `size` rows, with the columns part and start."""
    missing = plan.missing
    slices = []
    for start in range(0, len(missing), size):
        piece = missing.slice(start, size)
        for name, value in (("part", plan.number), ("start", start)):
            piece = piece.append_column(name, pa.array([value] * len(piece), pa.int64()))
        slices.append(piece.combine_chunks())
    return slices


def _require_same_view(cluster: Cluster, rows: pa.Table) -> None:
    """Refuse a node that does not see the folder: all its rows would be errors.

    Raises:
        ClusterError: a photo is here and could not be opened there.
    """
    unopened = rows.filter(pc.and_(pc.is_null(rows["size"]), pc.is_valid(rows["error"])))
    for path in unopened["path"].to_pylist():
        if not is_address(path) and Path(path).is_file() and os.access(path, os.R_OK):
            raise ClusterError(
                f"--ray {cluster.address}: a node cannot open {path}, which is on this machine; "
                "put the photos where all nodes see them by the same path, or into an object store"
            )


def _to_bytes(table: pa.Table) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _from_bytes(content: bytes) -> pa.Table:
    return pa.ipc.open_stream(content).read_all().cast(SCHEMA)
