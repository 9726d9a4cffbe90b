"""Settings of a training, compared by cross-validation within the training photos."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebee.benchmarks.studies.training_runs import DATA, run_edgebee, trained

if TYPE_CHECKING:
    from edgebee.photos.dataset import Dataset

__all__ = ["settings"]


@click.command("settings")
@DATA
@click.option("--folds", default=5, show_default=True, type=click.IntRange(min=2))
@click.option("--repeats", default=1, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--try",
    "trials",
    multiple=True,
    default=("",),
    metavar="OPTIONS",
    help="Options of `edgebee train` to try, in quotes (repeatable), as '--augmentations 6'.",
)
def settings(data: str, folds: int, repeats: int, trials: tuple[str, ...]) -> None:
    """Compare settings by cross-validation within the training photos.

    The validation photos are not used: every fold is trained and measured on training
    photos alone, by the best class, as they are and corrupted in seven ways. Log-loss tells
    more than accuracy, since one photo of a few hundred is a large step. The weights that a
    training starts from have seen the training photos of hymenoptera, though without labels:
    there, add `--weights imagenet` to every trial, or weights distilled on others
    (`... distill`).

    \b
    Example:
        python -m edgebee.benchmarks.studies settings --data my_photos \\
            --try '' --try '--augmentations 6' --try '--feature-distillation 0'
    """  # noqa: D301
    import shlex

    from edgebee.photos.dataset import load_dataset

    dataset = load_dataset(data)
    click.echo("| options | clean | log-loss | moderate | log-loss | strong | log-loss |")
    click.echo("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for trial in trials:
        scores = [
            _ask_fold(dataset, fold, folds, repeat, shlex.split(trial))
            for repeat in range(repeats)
            for fold in range(folds)
        ]
        cells = []
        for severity in ("", "moderate", "strong"):
            right = [hit for fold in scores for hit, _ in fold[severity]]
            loss = [loss for fold in scores for _, loss in fold[severity]]
            cells.append(f"{statistics.mean(right):.2%} | {statistics.mean(loss):.4f}")
        click.echo(f"| `{trial or 'as it is'}` | {' | '.join(cells)} |")


def _ask_fold(
    dataset: Dataset, fold: int, folds: int, repeat: int, options: list[str]
) -> dict[str, list[tuple[bool, float]]]:
    """Train on all folds but one; whether each photo held out is correct, and its log-loss."""
    import numpy as np

    from edgebee.benchmarks.studies.robustness import corrupted_photos
    from edgebee.edge.classify import invoke, make_interpreter, read_photo
    from edgebee.train.folds import stratified_folds

    classes = np.array(dataset.train.classes)
    fold_of = stratified_folds(classes, folds, seed=repeat)
    results: dict[str, list[tuple[bool, float]]] = {"": [], "moderate": [], "strong": []}
    with tempfile.TemporaryDirectory(prefix="edgebee-fold-") as temporary:
        root = Path(temporary)
        for place, path in enumerate(dataset.train.paths):
            part = "val" if fold_of[place] == fold else "train"
            link = root / part / dataset.labels[classes[place]] / f"{place}{path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
        with trained(str(root), [*options, "--seed", str(repeat)]) as (folder, _):
            run_edgebee("convert", str(folder / "model.keras"), "--quantize", "float32")
            interpreter = make_interpreter(folder / "model_float32.tflite")
    side = int(interpreter.get_input_details()[0]["shape"][1])
    for place in np.flatnonzero(fold_of == fold).tolist():
        for way, picture in corrupted_photos(dataset.train.paths[place]):
            every = invoke(interpreter, read_photo(picture, (side, side)))
            scores = every[: len(dataset.labels)] / every[: len(dataset.labels)].sum()
            right = int(classes[place])
            results[way.severity].append(
                (bool(scores.argmax() == right), float(-np.log(max(scores[right], 1e-7))))
            )
    return results
