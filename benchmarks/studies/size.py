"""Time and memory of a training on many photos."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from edgebee.benchmarks.studies.training_runs import trained

__all__ = ["size"]


@click.command("size")
@click.option("--photos", default=20_000, show_default=True, type=click.IntRange(min=40))
@click.option("--classes", default=20, show_default=True, type=click.IntRange(min=2))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def size(photos: int, classes: int, options: tuple[str, ...]) -> None:
    """Train on a generated folder; print time and the most memory that was used.

    OPTIONS after `--` go to `edgebee train`.
    """
    if sys.platform == "win32":
        raise click.ClickException("the memory of a process is measured on Linux and macOS only")
    import resource

    with tempfile.TemporaryDirectory(prefix="edgebee-size-") as temporary:
        root = Path(temporary)
        _generate(root, photos, classes)
        with trained(str(root), list(options)) as (_, record):
            pass
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3  # Linux counts in KB
    seconds = sum(record.seconds.values())
    click.echo(
        f"{photos} photos of {classes} classes: {seconds:.0f} s, {seconds / photos * 1e3:.1f} ms a "
        f"photo, at most {peak_mb:.0f} MB"
    )


def _generate(root: Path, photos: int, classes: int) -> None:
    """Photos of coloured noise, a tint for each class."""
    import numpy as np
    from PIL import Image

    for number in range(photos):
        label = number % classes
        rng = np.random.default_rng([label, number])
        tint = np.random.default_rng(label).integers(0, 128, 3)
        noise = (rng.integers(0, 128, (9, 12, 3)) + tint).astype(np.uint8)
        path = root / f"class_{label:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC).save(path)
