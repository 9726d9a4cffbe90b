"""How many strangers are taken for a class, by what they show."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from edgebee.benchmarks.studies.training_runs import DATA, run_edgebee, trained
from edgebee.errors import BenchmarkError

if TYPE_CHECKING:
    from edgebee.edge.classify import Classifier

__all__ = ["neither", "share_taken"]


@click.command("neither")
@DATA
@click.option("--other", type=click.Path(path_type=Path), help="As for edgebee train.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1))
@click.argument("strangers", nargs=-1, required=True, type=click.Path(path_type=Path))
def neither(data: str, other: Path | None, seeds: int, strangers: tuple[Path, ...]) -> None:
    """Train and convert to int8; print the share of STRANGERS, folders, taken for a class.

    First at the score of neither that keeps 95 % of the validation photos, then as the model is.
    """
    from edgebee.edge.classify import Classifier, find_images
    from edgebee.photos.dataset import load_dataset

    known = load_dataset(data).validation
    photos = {folder.name: list(find_images([folder])) for folder in strangers}
    if empty := [name for name, paths in photos.items() if not paths]:
        raise BenchmarkError(f"{', '.join(empty)}: no photos")
    options = [] if other is None else ["--other", str(other)]
    kept, taken = [], []
    for seed in range(seeds):
        with trained(data, ["--seed", str(seed), *options]) as (folder, record):
            if record.neither is None:
                raise BenchmarkError(f"{data}: trained without neither")
            run_edgebee("convert", str(folder / "model.keras"))
            classify = Classifier(folder / "model_int8.tflite")
            own = _scores(classify, known.paths)
            kept.append(share_taken(own, own))
            taken.append([share_taken(own, _scores(classify, one)) for one in photos.values()])
    click.echo("| photos | number | taken for a class where 95 % are kept | as the model is |")
    click.echo("| --- | ---: | ---: | ---: |")
    click.echo(_row("validation", len(known), kept))
    for place, (name, paths) in enumerate(photos.items()):
        click.echo(_row(name, len(paths), [one[place] for one in taken]))


def share_taken(known: np.ndarray, strange: np.ndarray) -> tuple[float, float]:
    """Shares of strangers taken for a class, where 95 % of the known are and as the model is.

    Args:
        known: `[n, labels]`, scores of photos of the classes; `neither` is the last.
        strange: `[m, labels]`, scores of others.
    """
    highest = np.quantile(known[:, -1], 0.95, method="inverted_cdf")
    at_95 = float((strange[:, -1] <= highest).mean())
    return at_95, float((strange.argmax(axis=1) < strange.shape[1] - 1).mean())


def _scores(classify: Classifier, paths: Sequence[Path]) -> np.ndarray:
    """Scores `[photos, labels]`, in the order of the labels."""
    found = [classify(path).scores for path in paths]
    return np.array([[scores[label] for label in classify.labels] for scores in found])


def _row(name: str, count: int, shares: Sequence[tuple[float, float]]) -> str:
    cells = []
    for several in zip(*shares, strict=True):
        spread = f" ± {statistics.stdev(several):.2f}" if len(several) > 1 else ""
        cells.append(f"{statistics.mean(several):.2f}{spread}")
    return f"| {name} | {count} | {' | '.join(cells)} |"
