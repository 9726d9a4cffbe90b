"""`classify_archive`: list, compare, classify what is missing, part by part."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from edgebee.edge.archive.classification import ArchiveModel, ClassifyParts, classify_here
from edgebee.edge.archive.manifest import Manifest, update_manifest
from edgebee.edge.archive.parts import SCHEMA, PartPlan, PartStore
from edgebee.edge.archive.sources import list_photos
from edgebee.edge.classify import find_model, label_order, silence_decoder_warnings
from edgebee.errors import DataError
from edgebee.files import output_directory, write_text
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.store import Listed, PhotoReader, is_address, parse_address

if TYPE_CHECKING:
    from edgebee.cluster import Cluster

__all__ = ["MODEL_NAME", "PART_SIZE", "Archive", "classify_archive", "count_labels", "open_results"]

PART_SIZE = 10_000
"""Photos in a part, unless a new archive is given another number."""
MODEL_NAME = "model.json"
"""In the folder of a model's results: which model it was."""
TASK = "classifying photos"
_SHOW_EVERY_S = 0.1
_MOST_LABELS_SHOWN = 6

_logger = logging.getLogger("edgebee.archive")


@dataclass(frozen=True)
class Archive:
    """The results of a model for all photos of an archive."""

    folder: Path
    """Where the parts are, `part-*.parquet`."""
    model: str
    """SHA-256 of the model file."""
    photos: int
    labels: Mapping[str, int]
    """Label -> photos, the classes by name, then `neither` and `unknown`."""
    errors: int
    """Photos without a prediction; their rows say why."""
    classified: int
    """Photos that this run classified, or failed to."""
    failed: int
    """Of these, those with an error."""
    seconds: float = field(compare=False)
    """That this run took for them."""

    def __repr__(self) -> str:
        """`Archive(results/1f2e…: 153 photos: 70 ants, 82 bees, 1 error)`."""
        return f"Archive({self.folder}: {self.photos:,} photos: {self.spell_labels()})"

    def spell_labels(self) -> str:
        """`70 ants, 82 bees, 1 error`."""
        return spell_labels(self.labels, self.errors)


def spell_labels(labels: Mapping[str, int], errors: int, *, most: int | None = None) -> str:
    """Counts as `70 ants, 82 bees, 1 error`; with `most`, of the labels that are most frequent."""
    chosen = sorted(labels, key=lambda label: -labels[label])[:most]
    listed = [f"{labels[label]:,} {label}" for label in sorted(chosen, key=label_order)]
    if len(chosen) < len(labels):
        listed.append(f"{len(labels) - len(chosen)} other labels")
    if errors:
        listed.append(f"{errors:,} error{'s' if errors > 1 else ''}")
    return ", ".join(listed)


def classify_archive(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    threshold: float | None = None,
    normalize: str | None = None,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
    part_size: int = PART_SIZE,
    retry_errors: bool = False,
    cluster: Cluster | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Archive:
    """Classify all photos of a source into Parquet files; what is there already stays.

    It can be ended at any moment, and goes on where it stopped. Photos that are new or have
    changed since are classified again; photos that have gone keep their rows. Results of another
    model, or of other settings, are kept beside.

    Args:
        source: a folder, a list of paths, a Parquet file with a column `path`, or
            `s3://bucket/folder` or `gs://bucket/folder`; see `list_photos`.
        folder: of the archive. Several sources may go into one.
        model: a `.tflite` file; default: as `edgebee classify` finds one.
        threshold: as for `Classifier`; also the next two.
        normalize: range of the values that the model takes.
        size: height and width for a model that takes photos of any size.
        workers: photos to work on at a time; default: one per processor.
        part_size: photos in a part, of a new archive; another keeps its own.
        retry_errors: classify photos again whose row has an error.
        cluster: where photos are classified, from `edgebee.cluster.connect`; its nodes have to
            see the photos by the same paths. None: on this machine. The rows are the same.
        progress: called while photos are listed and classified.

    Raises:
        DataError: the source cannot be used, or the archive is of another version.
        ModelError: the model cannot be used.
        OutputError: the folder cannot be written, or another run writes there.
        ClusterError: the cluster does not do the work.
    """
    silence_decoder_warnings()
    given = ArchiveModel(Path(model or find_model()), threshold, normalize, size)
    classifier = given.load()
    reader = PhotoReader(os.fspath(source))
    with output_directory(Path(folder)) as root:
        listed = _at_least_one(list_photos(os.fspath(source), reader), source)
        manifest = update_manifest(root, listed, part_size=part_size, progress=progress)
        results = open_results(root, given, classifier.labels)
        store = PartStore(results.folder, retry_errors=retry_errors)
        run = _Run(manifest, store, progress)
        if cluster is None:
            run.classify_missing(classify_here(classifier, reader, results.sha256, workers))
        else:
            from edgebee.edge.archive.ray_cluster import ModelFiles, classify_on

            files = ModelFiles.read(given, classifier.labels, results.sha256)
            run.classify_missing(classify_on(cluster, files, reader))
    return Archive(
        folder=results.folder,
        model=results.sha256,
        photos=manifest.photos,
        labels={label: run.labels[label] for label in sorted(run.labels, key=label_order)},
        errors=run.errors,
        classified=run.done,
        failed=run.failed,
        seconds=run.seconds,
    )


@dataclass(frozen=True)
class ModelResults:
    """Where the parts of a model go."""

    folder: Path
    sha256: str


def open_results(root: Path, model: ArchiveModel, labels: tuple[str, ...]) -> ModelResults:
    """The folder for the parts of a model and its settings, made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    sha256 = hashlib.sha256(model.path.read_bytes()).hexdigest()
    folder = root / model.key(sha256)
    folder.mkdir(exist_ok=True)
    described = {
        "model": model.path.name,
        "sha256": sha256,
        "labels": labels,
        "settings": model.settings,
    }
    if not (folder / MODEL_NAME).exists():
        text = json.dumps(described, indent=2, ensure_ascii=False)
        write_text(folder / MODEL_NAME, text + "\n")
    return ModelResults(folder, sha256)


def count_labels(rows: pa.Table) -> Counter[str]:
    """How many rows have each label; those with an error are left out."""
    counted = pc.value_counts(rows["label"].drop_null())
    return Counter({one["values"]: one["counts"] for one in counted.to_pylist()})


class _Run:
    """One run over the parts of a model."""

    def __init__(self, manifest: Manifest, store: PartStore, progress: ProgressCallback) -> None:
        self.manifest, self.store, self.progress = manifest, store, progress
        self.labels: Counter[str] = Counter()
        self.errors = self.done = self.failed = self.missing = 0
        self.seconds = self.shown = 0.0

    def classify_missing(self, classify_parts: ClassifyParts) -> None:
        """Classify what is missing, and write each part when it is complete."""
        incomplete = self._compare()
        started = time.perf_counter()
        for plan, rows in classify_parts(map(self._plan, incomplete), self._row):
            self._write(plan, rows)
        self.seconds = time.perf_counter() - started

    def _plan(self, number: int) -> PartPlan:
        return self.store.plan(number, self.manifest.entries(number))

    def _compare(self) -> list[int]:
        """The numbers of the parts where something is missing; counts what is there."""
        self.store.remove_beyond(self.manifest.parts)
        incomplete = []
        for number in range(self.manifest.parts):
            plan = self._plan(number)
            kept = plan.kept_rows
            known = count_labels(kept)
            self.labels += known
            self.errors += len(kept) - known.total()
            if plan.missing_count:
                incomplete.append(number)
                self.missing += plan.missing_count
            elif not plan.is_complete:  # of a manifest that was removed, in other parts
                self._write(plan, SCHEMA.empty_table())
            done = number + 1
            self.progress(Progress("comparing parts", done, self.manifest.parts, unit="part"))
        total = self.manifest.photos
        if 0 < self.missing < total:
            there = total - self.missing
            _logger.info("%s photos of %s are there already", f"{there:,}", f"{total:,}")
        return incomplete

    def _row(self, label: str | None) -> None:
        self.done += 1
        if label is None:
            self.errors += 1
            self.failed += 1
        else:
            self.labels[label] += 1
        now = time.perf_counter()
        if now - self.shown > _SHOW_EVERY_S or self.done == self.missing:
            self.shown = now
            note = spell_labels(self.labels, self.errors, most=_MOST_LABELS_SHOWN)
            self.progress(Progress(TASK, self.done, self.missing, note=note))

    def _write(self, plan: PartPlan, rows: pa.Table) -> None:
        """Write a part, unless it is as it was: photos that are still not there."""
        table = plan.merge(rows)
        if plan.old is None or not table.equals(plan.old):
            self.store.write(plan.number, table)


def _at_least_one(listed: Iterator[Listed], source: str | os.PathLike[str]) -> Iterator[Listed]:
    """The same; a source without photos is perhaps a disk that is not there."""
    for first in listed:
        yield first
        yield from listed
        return
    raise DataError(f"{_public(source)}: no photos in it; name another source")


def _public(source: str | os.PathLike[str]) -> str:
    """A source for messages, without keys."""
    text = os.fspath(source)
    return str(parse_address(text)) if is_address(text) else text
