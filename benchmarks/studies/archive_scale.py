"""How `edgebee archive` does with very many photos, and against `edgebee classify`.

Memory and rate over a million photos: hard links to 32 small JPEGs, each of which is listed,
opened, decoded and classified like any other. What is simulated is that their contents repeat, and
that they are small; with a tiny model (`--model`) it takes minutes instead of hours.
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image

__all__ = ["ArchiveRun", "Throughput", "archive", "archive_links", "compare_commands", "make_links"]

CONTENTS = 32
"""Different photos; a file of ext4 has at most 65,000 names."""
IN_A_FOLDER = 1000
LEAST_RATIO = 0.9
MOST_GROWTH_MB = 20
EARLY_PARTS = 2
"""Memory still settles over these: growth counts from there on, in runs of more parts."""

WATCHED = """
import json, re, sys, time
from pathlib import Path
from edgebee.edge.archive.archive import classify_archive

def held_mb(line):
    status = Path("/proc/self/status").read_text()
    return int(re.search(line + r":\\s+(\\d+) kB", status)[1]) * 1024 / 1e6

seen, listing = [], 0.0
def watch(progress):
    global listing
    if progress.task == "classifying photos":
        seen.append((progress.done / progress.total, held_mb("VmRSS")))
    else:
        listing = max(listing, held_mb("VmRSS"))

started = time.perf_counter()
result = classify_archive(*sys.argv[1:3], model=sys.argv[3], progress=watch)
settled = max(0.1, int(sys.argv[4]) / result.photos)
whole = time.perf_counter() - started
early = max(mb for done, mb in seen if done <= max(settled, seen[0][0]))
late = max(mb for done, mb in seen if done >= 0.9)
print(json.dumps([result.photos, result.classified, result.errors, result.seconds, whole, listing,
                  early, late, held_mb("VmHWM")]))
"""


@dataclass(frozen=True)
class ArchiveRun:
    """A process that archived many photos; megabytes are of 10^6 bytes."""

    photos: int
    classified: int
    errors: int
    seconds: float
    """For classifying them."""
    whole_seconds: float
    """With listing and comparing."""
    listing_mb: float
    """The most it occupied meanwhile."""
    early_mb: float
    """The most it occupied during the first tenth of classifying, and at least two parts."""
    late_mb: float
    """And during the last tenth."""
    peak_mb: float


def make_links(folder: Path, count: int) -> Path:
    """Hard links to small JPEGs, 64 x 64 pixels, a thousand in a folder."""
    originals = []
    for number in range(CONTENTS):
        image = Image.linear_gradient("L").resize((64, 64)).point(lambda v, n=number: v * n // 32)
        originals.append(folder / f"content-{number}.jpg")
        image.convert("RGB").save(originals[-1])
    for number, original in zip(range(count), itertools.cycle(originals), strict=False):
        link = folder / "photos" / f"{number // IN_A_FOLDER:04d}" / f"{number:07d}.jpg"
        if number % IN_A_FOLDER == 0:
            link.parent.mkdir(parents=True)
        link.hardlink_to(original)
    return folder / "photos"


def archive_links(photos: Path, folder: Path, model: Path) -> ArchiveRun:
    """Archive photos in a process of its own, which watches its memory."""
    import json

    from edgebee.edge.archive.archive import PART_SIZE

    settled = str(EARLY_PARTS * PART_SIZE)
    command = [sys.executable, "-c", WATCHED, str(photos), str(folder), str(model), settled]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return ArchiveRun(*json.loads(done.stdout))


@dataclass(frozen=True)
class Throughput:
    """Of `edgebee archive`, as a share of `edgebee classify`'s on the same photos."""

    by_clock: float
    by_processor_time: float
    """What other work on the machine hardly changes."""


def compare_commands(photos: Path, model: Path, rounds: int) -> list[Throughput]:
    """The throughput of `edgebee archive` against `edgebee classify`'s, for each round.

    Both are whole commands, interleaved, on the same folder; classify prints to a pipe that is
    read, archive writes a new archive.
    """
    found = []
    for _ in range(rounds):
        classify = _time("classify", str(photos), "-m", str(model), "--format", "json")
        with tempfile.TemporaryDirectory(prefix="edgebee-archive-") as folder:
            ours = _time("archive", str(photos), "-m", str(model), "--out", folder)
        found.append(Throughput(classify[0] / ours[0], classify[1] / ours[1]))
    return found


def _time(*words: str) -> tuple[float, float]:
    """Seconds that a command takes, by the clock and of the processors."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "edgebee", *words], capture_output=True, check=True)
    after = os.times()
    processors = after.children_user - before.children_user
    processors += after.children_system - before.children_system
    return after.elapsed - before.elapsed, processors


@click.command("archive")
@click.option("--photos", default=100_000, show_default=True, type=click.IntRange(min=1000))
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The .tflite file for the small photos.  [default: as `edgebee classify`]",
)
@click.option(
    "--compare",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Compare the throughput with `edgebee classify` on the photos in DIR instead.",
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.pass_context
def archive(
    ctx: click.Context, photos: int, model: Path | None, compare: Path | None, rounds: int
) -> None:
    """Archive very many small photos and watch the memory, or compare with `edgebee classify`.

    Exit status 1 when memory grows, or when the median of the throughput is below 0.9.

    \b
    Examples:
        python -m edgebee.benchmarks.studies archive --photos 1000000 --model tiny.tflite
        python -m edgebee.benchmarks.studies archive --compare my_photos
    """  # noqa: D301
    from edgebee.edge.archive.archive import PART_SIZE
    from edgebee.edge.classify import find_model

    model = model or find_model()
    if compare:
        found = compare_commands(compare, model, rounds)
        medians = []
        for what in ("by_clock", "by_processor_time"):
            ratios = [getattr(one, what) for one in found]
            medians.append(statistics.median(ratios))
            listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            name = what.replace("_", " ")
            click.echo(f"throughput of archive / classify {name}: {medians[-1]:.2f} ({listed})")
        ctx.exit(0 if min(medians) >= LEAST_RATIO else 1)
    folder, flat = Path(tempfile.mkdtemp(prefix="edgebee-archive-")), True
    try:
        started = time.perf_counter()
        links = make_links(folder, photos)
        click.echo(f"{photos:,} links made in {time.perf_counter() - started:.0f} s")
        for what in ("first run", "run again"):
            if what == "run again":
                os.utime(folder / "content-0.jpg")  # and all its names have changed
            run = archive_links(links, folder / "archive", model)
            click.echo(
                f"{what}: {run.classified:,} of {run.photos:,} photos, {run.errors} errors, "
                f"{run.classified / run.seconds:,.0f} a second, {run.whole_seconds:,.0f} s in all; "
                f"memory: {run.listing_mb:.0f} MB at most while listing, {run.early_mb:.0f} MB "
                f"at first, {run.late_mb:.0f} MB at last, peak {run.peak_mb:.0f} MB"
            )
            if run.classified > EARLY_PARTS * PART_SIZE:
                flat = flat and run.late_mb - run.early_mb < MOST_GROWTH_MB
    finally:
        shutil.rmtree(folder)
    ctx.exit(0 if flat else 1)
