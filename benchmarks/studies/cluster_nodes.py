"""Real nodes of Ray on this machine: with processors that sleep, and with ones that are timed."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from edgebee.cluster import Cluster, connect
from edgebee.edge.archive.archive import classify_archive
from edgebee.edge.archive.classification import ArchiveModel
from edgebee.edge.archive.manifest import update_manifest
from edgebee.edge.archive.parts import SCHEMA, PartStore
from edgebee.edge.archive.ray_cluster import ModelFiles, SliceClassifier, classify_on, pack_rows
from edgebee.edge.archive.sources import list_photos
from edgebee.edge.classify import find_model
from edgebee.store import Listed, PhotoReader

__all__ = ["Work", "measure_nodes", "measure_sleeping", "measure_thread"]

SLEEP_S = 1.0
PHOTOS_IN_A_SLICE = 250
SLICES_FOR_EACH = 20


class SleepingClassifier:
    """In the place of `SliceClassifier`: sleeps, then returns rows as they could be."""

    def __init__(self, files: object, reader: object) -> None:
        """Takes what the real one takes."""

    def __call__(self, piece: pa.Table) -> pa.Table:
        """The rows of a slice."""
        time.sleep(SLEEP_S)
        return pack_rows(piece, _rows_as_they_could_be(piece))


def _rows_as_they_could_be(piece: pa.Table) -> pa.Table:
    count = len(piece)
    row: dict[str, Any] = {
        "label": "ants",
        "score": 0.9,
        "scores": [("ants", 0.9), ("bees", 0.1)],
        "model": "0" * 64,
        "milliseconds": 20.0,
        "taken": datetime(2026, 6, 1, tzinfo=timezone.utc).replace(tzinfo=None),
    }
    columns = [
        piece[field.name]
        if field.name in piece.column_names
        else pa.array([row.get(field.name)] * count, field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


@contextmanager
def _nodes(*processors: int) -> Iterator[Cluster]:
    """A cluster of real nodes on this machine, beside a head without processors."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    from ray.cluster_utils import Cluster as Nodes

    logging.getLogger("ray").setLevel(logging.CRITICAL)

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for count in processors:
            nodes.add_node(num_cpus=count)
        with connect(nodes.address) as connected:
            yield connected
    finally:
        nodes.shutdown()


def measure_sleeping(processors: int) -> tuple[float, float]:
    """Photos a second that sleeping processors do, and the seconds until all had begun."""
    photos = processors * SLICES_FOR_EACH * PHOTOS_IN_A_SLICE
    seen: list[float] = []
    with tempfile.TemporaryDirectory(prefix="edgebee-cluster-") as name, _nodes(processors) as here:
        folder = Path(name)
        listed = (Listed(f"/photos/{number:09d}.jpg", 200_000, number) for number in range(photos))
        manifest = update_manifest(folder, listed, part_size=10_000)
        store = PartStore(folder)
        plans = (store.plan(number, manifest.entries(number)) for number in range(manifest.parts))
        files = ModelFiles(ArchiveModel(Path("sleeping.tflite")), b"", (), "0" * 64, 25_000_000)
        started = time.perf_counter()
        run = classify_on(here, files, PhotoReader(), worker=SleepingClassifier)
        for plan, rows in run(plans, lambda label: seen.append(time.perf_counter())):
            store.write(plan.number, plan.merge(rows))
    # While all sleep: from when each has had its second slice to when the first may have none.
    first, last = 2 * processors * PHOTOS_IN_A_SLICE, photos - 3 * processors * PHOTOS_IN_A_SLICE
    return (last - first) / (seen[last] - seen[first]), seen[first] - started


@dataclass(frozen=True)
class _TimedFiles(ModelFiles):
    """A model whose classifiers note what each slice took."""

    notes: Path = Path()


class TimedClassifier(SliceClassifier):
    """A `SliceClassifier` that notes when it worked, and its process's time until then."""

    def __init__(self, files: ModelFiles, reader: PhotoReader) -> None:
        super().__init__(files, reader)
        assert isinstance(files, _TimedFiles)
        self.notes = files.notes / f"{os.getpid()}.txt"

    def __call__(self, piece: pa.Table) -> pa.Table:
        """Classify a slice."""
        began = time.perf_counter()
        result = super().__call__(piece)
        with self.notes.open("a") as file:
            print(len(piece), began, time.perf_counter(), time.process_time(), file=file)
        return result


@dataclass(frozen=True)
class Work:
    """What processes did, from the end of their first slice to that of their last."""

    photos: int
    cpu_s: float
    """Processor time of the processes, whatever they did."""
    waited: float
    """Share of the time in which they had no slice, 0-1."""

    @property
    def cpu_ms(self) -> float:
        """Processor time for a photo."""
        return 1000 * self.cpu_s / self.photos


def measure_thread(photos: Path) -> float:
    """Milliseconds of processor time for a photo, by one thread, without a cluster."""
    seen: list[tuple[float, float]] = []

    def watch(progress: Any) -> None:
        if progress.task == "classifying photos" and progress.done / progress.total >= 0.2:
            seen.append((time.process_time(), progress.done))

    with tempfile.TemporaryDirectory(prefix="edgebee-cluster-") as folder:
        classify_archive(photos, folder, workers=1, progress=watch)
    (began, first), (ended, last) = seen[0], seen[-1]
    return 1000 * (ended - began) / (last - first)


def measure_nodes(photos: Path, *processors: int) -> Work:
    """What the processors of real nodes did for the photos of a folder."""
    with (
        tempfile.TemporaryDirectory(prefix="edgebee-cluster-") as name,
        _nodes(*processors) as here,
    ):
        folder, reader = Path(name), PhotoReader(str(photos))
        manifest = update_manifest(folder, list_photos(str(photos), reader), part_size=1000)
        store = PartStore(folder)
        plans = (store.plan(number, manifest.entries(number)) for number in range(manifest.parts))
        model = ArchiveModel(find_model())
        read = ModelFiles.read(model, model.load().labels, "0" * 64)
        files = _TimedFiles(**vars(read), notes=folder)
        run = classify_on(here, files, reader, worker=TimedClassifier)
        for plan, rows in run(plans, lambda label: None):
            store.write(plan.number, plan.merge(rows))
        noted = [np.loadtxt(path, ndmin=2) for path in folder.glob("*.txt")]
    return Work(
        photos=int(sum(one[1:, 0].sum() for one in noted)),
        cpu_s=float(sum(one[-1, 3] - one[0, 3] for one in noted)),
        waited=float(
            sum((one[1:, 1] - one[:-1, 2]).sum() for one in noted)
            / sum(one[-1, 2] - one[0, 2] for one in noted)
        ),
    )
