"""`edgebee study`: measures edgebee itself, for the tables of the README and for changes to it.

Each study runs `edgebee train` as anyone would, in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.benchmarks.studies.distillation_command import distill
from edgebee.benchmarks.studies.speed_command import speed
from edgebee.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from edgebee.photos.dataset import Dataset

DATA = click.option(
    "--data", default="hymenoptera", show_default=True, help="hymenoptera, sample or a folder."
)


@click.group("study", short_help="Measure edgebee's own training.")
def command() -> None:
    """Measure edgebee itself: training time, robustness, seeds, settings, size, the runner."""


command.add_command(speed)
command.add_command(distill)


@command.command("plain")
@DATA
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1))
def plain(data: str, seeds: int) -> None:
    """Compare with the plain recipe: time, accuracy, and accuracy on damaged photos.

    Both train on the same photos in this run, one after the other, for each seed.
    """
    from edgebee.photos.dataset import load_dataset
    from edgebee.tensorflow_runtime import start_tensorflow

    dataset = load_dataset(data)
    start_tensorflow()
    rows = [_compare(dataset, data, seed) for seed in range(seeds)]
    _print_comparison(dataset, rows)


def _compare(dataset: Dataset, data: str, seed: int) -> dict[str, Any]:
    """Train both once and measure both on the same damaged photos."""
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
    with trained(data, ["--seed", str(seed)]) as (folder, history):
        model = load_keras(folder / "model.keras")
    side = model.input_shape[1]

    def answer(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.int64]:
        pixels = np.stack([read_photo(picture, (side, side)) for picture in pictures])
        return np.asarray(np.argmax(model(pixels.astype(np.float32), training=False), axis=1))

    photos = dataset.validation
    with tqdm(total=len(photos), desc="damaging photos", unit="photo", disable=None) as bar:
        plainly, ours = measure_robustness(
            [lambda pictures: predict_plainly(ordinary.model, pictures), answer],
            photos.paths,
            photos.classes,
            progress=bar.update,
        )
    return {
        "seconds": (ordinary.seconds, sum(history["seconds"].values())),
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
        name = f"{way.damage}, {way.severity}" if way.severity else way.damage
        values = [mean(which, lambda one, way=way: one.correct[way]) for which in (0, 1)]  # type: ignore[misc]
        click.echo(f"| {name} | {values[0]:.1f} | {values[1]:.1f} |")
    for severity in ("moderate", "strong", None):
        errors = [mean(which, lambda one, s=severity: one.errors(s)) for which in (0, 1)]  # type: ignore[misc]
        click.echo(
            f"| errors on damaged photos, {severity or 'all'} | {errors[0]:.1%} | {errors[1]:.1%} "
            f"({errors[1] / errors[0]:.2f} of plain) |"
        )
    seconds = [statistics.mean(row["seconds"][which] for row in rows) for which in (0, 1)]
    click.echo(
        f"| seconds, imports excluded | {seconds[0]:.0f} | {seconds[1]:.0f} "
        f"({seconds[0] / seconds[1]:.1f} times faster) |"
    )


@command.command("seeds")
@DATA
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(min=2))
def seeds_(data: str, seeds: int) -> None:
    """Train and convert to int8 with several seeds; print each, mean, spread and interval."""
    from edgebee.edge.classify import Classifier
    from edgebee.photos.dataset import load_dataset

    photos = load_dataset(data).validation
    click.echo("| seed | float | int8 | calibration error before → after | seconds |")
    click.echo("| ---: | ---: | ---: | ---: | ---: |")
    floats, integers = [], []
    for seed in range(seeds):
        with trained(data, ["--seed", str(seed)]) as (folder, history):
            _edgebee("convert", str(folder / "model.keras"))
            classify = Classifier(folder / "model_int8.tflite", threshold=0)
            answers = [classify.labels.index(classify(path).label) for path in photos.paths]
        validation = history["validation"]
        floats.append(validation["correct"])
        integers.append(sum(a == b for a, b in zip(answers, photos.classes, strict=True)))
        before = validation["calibration"]["expected_error_before"]
        after = validation["calibration"]["expected_error_after"]
        click.echo(
            f"| {seed} | {floats[-1]} | {integers[-1]} | {before:.3f} → {after:.3f} | "
            f"{sum(history['seconds'].values()):.0f} |"
        )
    for name, counts in (("float", floats), ("int8", integers)):
        click.echo(f"{name}: {describe_counts(counts, len(photos))}")


def describe_counts(counts: Sequence[int], total: int) -> str:
    """Mean, spread and 95 % interval of the mean (Student's t) of right answers.

    The interval is that of the seeds: how sure the mean is for these photos. What other
    photos would give is far less sure; one photo is `100 / total` points.
    """
    mean, spread = statistics.mean(counts), statistics.stdev(counts)
    half = student_t_975(len(counts) - 1) * spread / len(counts) ** 0.5
    return (
        f"mean {mean:.1f} of {total} ({mean / total:.1%}), standard deviation {spread:.2f}, "
        f"95 % interval of the mean {mean - half:.1f} to {mean + half:.1f}"
    )


def student_t_975(degrees: int) -> float:
    """97.5 % point of Student's t (any statistics table); 1.96 beyond 10 degrees and rising."""
    table = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
    return table[degrees - 1] if degrees <= len(table) else 2.228


@command.command("settings")
@DATA
@click.option("--folds", default=5, show_default=True, type=click.IntRange(min=2))
@click.option("--repeats", default=1, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--try", "trials", multiple=True, default=("",), metavar="OPTIONS",
    help="Options of `edgebee train` to try, in quotes (repeatable), as '--augmentations 6'.",
)  # fmt: skip
def settings(data: str, folds: int, repeats: int, trials: tuple[str, ...]) -> None:
    """Compare settings by cross-validation within the training photos.

    The validation photos are not looked at: every fold is trained and asked on training
    photos alone, as they are and damaged in seven ways. Log-loss tells more than accuracy,
    since one photo of a few hundred is a large step. The weights that a training starts from
    have seen the training photos of hymenoptera, though without labels: there, add `--weights
    imagenet` to every trial, or weights distilled on others (`... distill`).

    \b
    Example:
        python -m edgebee.benchmarks.studies settings --data my_photos \\
            --try '' --try '--augmentations 6' --try '--feature-distillation 0'
    """  # noqa: D301
    import shlex

    from edgebee.photos.dataset import load_dataset

    dataset = load_dataset(data)
    click.echo(
        "| options | clean right | log-loss | moderate damage | log-loss | strong | log-loss |"
    )
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
    """Train on all folds but one; right or wrong and log-loss of each photo held out."""
    import numpy as np

    from edgebee.benchmarks.studies.robustness import damaged_photos
    from edgebee.edge.classify import invoke, make_interpreter, read_photo
    from edgebee.train.calibration import stratified_folds

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
            _edgebee("convert", str(folder / "model.keras"), "--quantize", "float32")
            interpreter = make_interpreter(folder / "model_float32.tflite")
    side = int(interpreter.get_input_details()[0]["shape"][1])
    for place in np.flatnonzero(fold_of == fold).tolist():
        for way, picture in damaged_photos(dataset.train.paths[place]):
            scores = invoke(interpreter, read_photo(picture, (side, side)))
            right = int(classes[place])
            results[way.severity].append(
                (bool(scores.argmax() == right), float(-np.log(max(scores[right], 1e-7))))
            )
    return results


@command.command("size")
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
        with trained(str(root), list(options)) as (_, history):
            pass
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3  # Linux counts in KB
    seconds = sum(history["seconds"].values())
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


@contextmanager
def trained(data: str, options: Sequence[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run `edgebee train` in a folder that is gone afterwards; yield it and its history."""
    with tempfile.TemporaryDirectory(prefix="edgebee-study-") as folder:
        _edgebee("train", "--data", data, "--output", folder, *options)
        history = json.loads(Path(folder, "history.json").read_text(encoding="utf-8"))
        yield Path(folder), history


def _edgebee(*arguments: str) -> None:
    """Run a command of edgebee in a process of its own.

    Raises:
        BenchmarkError: it failed; its last line says why.
    """
    done = subprocess.run(
        [sys.executable, "-m", "edgebee", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchmarkError(f"edgebee {' '.join(arguments)} failed: {last}")
