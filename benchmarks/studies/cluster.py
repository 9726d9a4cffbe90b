"""What a cluster costs and gives, as far as one machine shows.

- `--photos DIR`: an archive of these photos by one thread, by one node with one processor and by
  two such nodes, interleaved. Nodes are real ones of Ray on this machine. What counts is the
  processor time of the processes, and how long they wait for work: other programs that run
  meanwhile, and two nodes that share a machine with this process, do not spoil it.
- `--sleeping N,N…`: as many processors that sleep instead of classifying, one second for 250
  photos, and return rows of the usual size. All that this process does is real: slices, Ray Data,
  rows into parts, parts onto the disk. Where the rate no longer follows the processors, it is the
  bottleneck.
- `--images N`: a training of N images, with nodes that make features up, see
  `edgebee.benchmarks.studies.cluster_training`.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import click

__all__ = ["cluster"]

LEAST_PER_PROCESSOR = 0.9


@click.command("cluster")
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Archive these photos, some thousands, by one thread, one node and two nodes; count "
    "processor time.",
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--images",
    type=click.IntRange(min=1000),
    metavar="N",
    help="Train on N made-up images, and watch the memory.",
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
    from edgebee.benchmarks.studies import cluster_nodes

    for count in map(int, (sleeping or "").split(",") if sleeping else ()):
        rate, began = cluster_nodes.measure_sleeping(count)
        ideal = count * cluster_nodes.PHOTOS_IN_A_SLICE / cluster_nodes.SLEEP_S
        click.echo(
            f"{count:3} sleeping processors: {rate:8,.0f} photos a second, {rate / ideal:.0%} of "
            f"{ideal:,.0f}; all at work after {began:.0f} s"
        )
    if images is not None:
        _train(images)
    if photos is None:
        return
    shares = []
    for _ in range(rounds):
        thread = cluster_nodes.measure_thread(photos)
        for nodes in ((1,), (1, 1)):
            work = cluster_nodes.measure_nodes(photos, *nodes)
            shares.append(thread / work.cpu_ms * (1 - work.waited))
            click.echo(
                f"nodes: {len(nodes)}; {work.cpu_ms:.2f} ms of processor time for a photo, by one "
                f"thread {thread:.2f}; without a slice {work.waited:.1%} of the time; "
                f"a processor does {shares[-1]:.2f} of a thread"
            )
    one, two = (statistics.median(shares[which::2]) for which in (0, 1))
    click.echo(f"of a thread, median: {one:.2f} with one node, {two:.2f} with two")
    ctx.exit(0 if min(one, two) >= LEAST_PER_PROCESSOR else 1)


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
