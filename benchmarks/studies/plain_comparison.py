"""Edgebee's training against the plain recipe: time, accuracy, robustness."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from edgebee.benchmarks.studies.training_runs import DATA, trained

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgebee.photos.dataset import Dataset

__all__ = ["plain"]


@click.command("plain")
@DATA
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1))
def plain(data: str, seeds: int) -> None:
    """Compare with the plain recipe: time, accuracy, and accuracy on corrupted photos.

    Both train on the same photos in this run, one after the other, for each seed.
    """
    from edgebee.photos.dataset import load_dataset
    from edgebee.tensorflow_runtime import start_tensorflow

    dataset = load_dataset(data)
    start_tensorflow()
    rows = [_compare(dataset, data, seed) for seed in range(seeds)]
    _print_comparison(dataset, rows)


def _compare(dataset: Dataset, data: str, seed: int) -> dict[str, Any]:
    """Train both once and measure both on the same corrupted photos."""
    import numpy as np
    from tqdm import tqdm

    from edgebee.benchmarks.studies.plain_recipe import predict_plainly, train_plainly
    from edgebee.benchmarks.studies.robustness import measure_robustness
    from edgebee.convert.keras_model import load_keras
    from edgebee.edge.classify import read_photo
    from edgebee.train.backbone import bundled_weights

    click.echo(f"seed {seed}: the plain recipe…", err=True)
    with bundled_weights() as weights:
        ordinary = train_plainly(
            (dataset.train.paths, dataset.train.classes),
            (dataset.validation.paths, dataset.validation.classes),
            len(dataset.labels),
            weights=weights,
            seed=seed,
        )
    click.echo(f"seed {seed}: edgebee train…", err=True)
    with trained(data, ["--seed", str(seed)]) as (folder, record):
        model = load_keras(folder / "model.keras")
    side = model.input_shape[1]

    def answer(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.int64]:
        pixels = np.stack([read_photo(picture, (side, side)) for picture in pictures])
        scores = np.asarray(model(pixels.astype(np.float32), training=False))
        # By the best class: the plain recipe has no `neither` to lose a photo to.
        return np.asarray(scores[:, : len(dataset.labels)].argmax(axis=1))

    photos = dataset.validation
    with tqdm(total=len(photos), desc="corrupting photos", unit="photo", disable=None) as bar:
        plainly, ours = measure_robustness(
            [lambda pictures: predict_plainly(ordinary.model, pictures), answer],
            photos.paths,
            photos.classes,
            progress=bar.update,
        )
    return {
        "seconds": (ordinary.seconds, sum(record.seconds.values())),
        "robustness": (plainly, ours),
    }


def _print_comparison(dataset: Dataset, rows: list[dict[str, Any]]) -> None:
    """Two columns and their ratio, means over the seeds."""
    total = rows[0]["robustness"][0].total
    ways = list(rows[0]["robustness"][0].correct)

    def mean(which: int, of: Callable[[Any], float]) -> float:
        return statistics.mean(of(row["robustness"][which]) for row in rows)

    click.echo(f"| {dataset.name}, {len(rows)} seed(s), of {total} photos | plain | edgebee |")
    click.echo("| --- | ---: | ---: |")
    for way in ways:
        name = f"{way.name}, {way.severity}" if way.severity else way.name
        values = [mean(which, lambda one, way=way: one.correct[way]) for which in (0, 1)]  # type: ignore[misc]
        click.echo(f"| {name} | {values[0]:.1f} | {values[1]:.1f} |")
    for severity in ("moderate", "strong", None):
        errors = [mean(which, lambda one, s=severity: one.errors(s)) for which in (0, 1)]  # type: ignore[misc]
        click.echo(
            f"| errors on corrupted photos, {severity or 'all'} | {errors[0]:.1%} | "
            f"{errors[1]:.1%} ({errors[1] / errors[0]:.2f} of plain) |"
        )
    seconds = [statistics.mean(row["seconds"][which] for row in rows) for which in (0, 1)]
    click.echo(
        f"| seconds, imports excluded | {seconds[0]:.0f} | {seconds[1]:.0f} "
        f"({seconds[0] / seconds[1]:.1f} times faster) |"
    )
