"""What a cluster costs and gives, as far as one machine shows.

- `--photos DIR`: an archive of these photos by one thread, by one node with one processor and by
  two such nodes, interleaved. Nodes are real ones of Ray on this machine.
- `--sleeping N,N…`: as many processors that sleep instead of classifying, one second for 250
  photos, and return rows of the usual size. All that this process does is real: slices, Ray Data,
  rows into parts, parts onto the disk. Where the rate no longer follows the processors, it is the
  bottleneck.
- `--images N`: a training of so many images, with nodes that make features up, see
  `edgebee.benchmarks.studies.cluster_training`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pyarrow as pa

    from edgebee.cluster import Cluster

__all__ = ["cluster", "measure_nodes", "measure_sleeping"]

SLEEP_S = 1.0
PHOTOS_IN_A_SLICE = 250
SLICES_FOR_EACH = 20
LEAST_PER_PROCESSOR = 0.9


class SleepingClassifier:
    """In the place of `SliceClassifier`: sleeps, then returns rows as they could be."""

    def __init__(self, files: object, reader: object) -> None:
        """Takes what the real one takes."""

    def __call__(self, piece: pa.Table) -> pa.Table:
        """The rows of a slice."""
        from edgebee.edge.archive.ray_cluster import pack_rows

        time.sleep(SLEEP_S)
        return pack_rows(piece, _rows_as_they_could_be(piece))


def _rows_as_they_could_be(piece: pa.Table) -> pa.Table:
    import pyarrow as pa

    from edgebee.edge.archive.parts import SCHEMA

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
    import os

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    from ray.cluster_utils import Cluster as Nodes

    from edgebee.cluster import connect

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for count in processors:
            nodes.add_node(num_cpus=count)
        with connect(nodes.address) as connected:
            yield connected
    finally:
        nodes.shutdown()


def measure_sleeping(processors: int) -> tuple[float, float]:
    """Photos a second with so many sleeping processors, and the seconds until all had begun."""
    from edgebee.edge.archive.classification import ArchiveModel
    from edgebee.edge.archive.manifest import update_manifest
    from edgebee.edge.archive.parts import PartStore
    from edgebee.edge.archive.ray_cluster import ModelFiles, classify_on
    from edgebee.store import Listed, PhotoReader

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


def measure_nodes(photos: Path, *processors: int) -> float:
    """Photos a second of an archive, without its start and end; no node: one thread, no cluster."""
    from edgebee.edge.archive.archive import classify_archive

    seen: list[tuple[float, float]] = []

    def watch(progress: Any) -> None:
        if progress.task == "classifying photos":
            share = progress.done / progress.total
            if 0.2 <= share <= 0.8:
                seen.append((time.perf_counter(), progress.done))

    with tempfile.TemporaryDirectory(prefix="edgebee-cluster-") as folder:
        if processors:
            with _nodes(*processors) as connected:
                classify_archive(photos, folder, cluster=connected, progress=watch)
        else:
            classify_archive(photos, folder, workers=1, progress=watch)
    (began, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - began)


@click.command("cluster")
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Archive these photos, some thousands, by one thread, one node and two nodes.",
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--images",
    type=click.IntRange(min=1000),
    metavar="N",
    help="Train on so many made-up images, and watch the memory.",
)
@click.option("--sleeping", metavar="N,N…", help="Numbers of processors that sleep.")
@click.pass_context
def cluster(
    ctx: click.Context, photos: Path | None, rounds: int, images: int | None, sleeping: str | None
) -> None:
    """Measure clusters of nodes on this machine, or of processors that sleep or make things up.

    Exit status 1 when a processor of a node does less than 0.9 of what one thread does.

    \b
    Examples:
        python -m edgebee.benchmarks.studies cluster --photos my_photos
        python -m edgebee.benchmarks.studies cluster --sleeping 2,4,8,16,32,64
        python -m edgebee.benchmarks.studies cluster --images 200000
    """  # noqa: D301
    for count in map(int, (sleeping or "").split(",") if sleeping else ()):
        rate, began = measure_sleeping(count)
        ideal = count * PHOTOS_IN_A_SLICE / SLEEP_S
        click.echo(
            f"{count:3} sleeping processors: {rate:8,.0f} photos a second, {rate / ideal:.0%} of "
            f"{ideal:,.0f}; all at work after {began:.0f} s"
        )
    if images is not None:
        _train(images)
    if photos is None:
        return
    rates = [
        (measure_nodes(photos), measure_nodes(photos, 1), measure_nodes(photos, 1, 1))
        for _ in range(rounds)
    ]
    for thread, one, two in rates:
        click.echo(
            f"photos a second: {thread:.1f} one thread, {one:.1f} one node, {two:.1f} two nodes"
        )
    share = statistics.median(one / thread for thread, one, _ in rates)
    efficiency = statistics.median(two / (2 * one) for _, one, two in rates)
    click.echo(
        f"a node's processor / one thread: {share:.2f}; two nodes / twice one: {efficiency:.2f}"
    )
    ctx.exit(0 if share >= LEAST_PER_PROCESSOR else 1)


def _train(images: int) -> None:
    from edgebee.benchmarks.studies.cluster_training import train_images
    from edgebee.tensorflow_runtime import start_tensorflow
    from edgebee.train.recipe import Recipe

    start_tensorflow()
    run = train_images(images, Recipe(epochs=1, fine_tune_epochs=1))
    seconds = ", ".join(f"{part} {taken:.0f} s" for part, taken in run.seconds.items())
    click.echo(
        f"{run.images:,} images: peak {run.peak_mb:,.0f} MB, {run.correct:.0%} of the validation "
        f"photos correct; {seconds}"
    )
