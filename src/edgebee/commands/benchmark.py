"""`edgebee benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgebee.benchmarks.measurement import Contender, Measurement
    from edgebee.train.dataset import Dataset

KERAS_NAME = "model.keras"
STALE_SECONDS = 10
"""A `.tflite` so much older than the Keras model beside it was made from an earlier one: copying
a folder takes less, training takes more."""


@click.command("benchmark", short_help="What a .tflite file loses and gains against Keras.")
@click.argument("folder", default="artifacts", type=click.Path(file_okay=False, path_type=Path))
@click.option("--data", help="Photos to measure on; default: those the model was trained on.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads for the models; default: all cores."
)
@click.pass_context
def command(ctx: click.Context, *, folder: Path, data: str | None, threads: int | None) -> None:
    """Measure model.keras and every .tflite in FOLDER on the same validation photos.

    \b
    Example:
        edgebee benchmark artifacts
    """  # noqa: D301
    best = run(folder, data=data, threads=threads, debug=bool(ctx.find_root().params.get("debug")))
    if best is None:
        click.echo(f"Next: edgebee convert {folder / KERAS_NAME} --quantize all", err=True)
    else:
        click.echo(f"Next: edgebee classify -m {best} PHOTO", err=True)


def run(
    folder: Path, *, data: str | None = None, threads: int | None = None, debug: bool = False
) -> Path | None:
    """Measure, print the table and write `benchmark.json`.

    Returns:
        The `.tflite` file to go on with, int8 if there is one; None when there is none at all.

    Raises:
        EdgebeeError: see its tree.
    """
    from edgebee.artifacts import prepare_folder
    from edgebee.commands.photos import photos_of_model
    from edgebee.convert.keras_file import check_keras_file
    from edgebee.edge.classify import usable_cores
    from edgebee.errors import BenchmarkError
    from edgebee.tensorflow_runtime import start_tensorflow

    keras_path = folder / KERAS_NAME
    files = sorted(folder.glob("*.tflite"), key=lambda path: path.stat().st_size, reverse=True)
    if not (files or keras_path.is_file()):
        raise BenchmarkError(
            f"{folder}: no {KERAS_NAME} and no .tflite there; make them with: edgebee train, "
            "then edgebee convert"
        )
    prepare_folder(folder)
    if keras_path.is_file():
        check_keras_file(keras_path)
    dataset = photos_of_model(folder, data)
    start_tensorflow(debug=debug)
    threads = min(threads or usable_cores(), usable_cores())
    measurements = _measure_all(_load(folder, files, dataset, threads), dataset)
    _report(measurements, dataset, threads, folder / "benchmark.json")
    _warn_of_stale(keras_path, files)
    int8 = folder / "model_int8.tflite"
    return int8 if int8 in files else next(iter(files), None)


def _report(
    measurements: list[Measurement], dataset: Dataset, threads: int, json_path: Path
) -> None:
    """Write `benchmark.json`, print the table on standard output and its conditions beside."""
    from edgebee.artifacts import write_json
    from edgebee.benchmarks.machine import describe_machine
    from edgebee.benchmarks.report import print_table, to_json

    reference = next((one for one in measurements if one.contender.format == "keras"), None)
    photos = measurements[0].total
    data = {
        "name": dataset.name,
        "source": dataset.source,
        "drawn": dataset.drawn,
        "photos": photos,
        "labels": list(dataset.labels),
    }
    content = to_json(measurements, reference, machine=describe_machine(threads), data=data)
    write_json(json_path, content)
    print_table(measurements, reference)
    kind = "drawings (no result)" if dataset.drawn else "photos"
    click.echo(
        f"{photos} validation {kind} of {dataset.name}, {threads} thread"
        f"{'s' if threads > 1 else ''}; times are a photo's, median and 95th percentile. "
        f"Written: {json_path}",
        err=True,
    )


def _warn_of_stale(keras_path: Path, files: list[Path]) -> None:
    """Say which files were converted before the model was trained again."""
    if not keras_path.is_file():
        return
    trained = keras_path.stat().st_mtime
    stale = [file.name for file in files if trained - file.stat().st_mtime > STALE_SECONDS]
    if stale:
        click.echo(
            f"warning: {', '.join(stale)}: older than {keras_path}, so of an earlier training; "
            "run edgebee convert again",
            err=True,
        )


def _load(folder: Path, files: list[Path], dataset: Dataset, threads: int) -> list[Contender]:
    """Every model of the folder, Keras first, each with the labels of the photos.

    Raises:
        BenchmarkError: a model has other labels.
    """
    from edgebee.benchmarks.measurement import keras_contender, tflite_contender
    from edgebee.convert.conversion import load_keras
    from edgebee.errors import BenchmarkError

    contenders = []
    path = folder / KERAS_NAME
    if path.is_file():
        model = load_keras(path)
        if model.output_shape[1] != len(dataset.labels):
            raise BenchmarkError(
                f"{path}: gives {model.output_shape[1]} scores, but the photos have "
                f"{len(dataset.labels)} classes; name the right photos with --data"
            )
        contenders.append(keras_contender(path, model, dataset.labels))
    for file in files:
        contender = tflite_contender(file, threads)
        if contender.labels != dataset.labels:
            raise BenchmarkError(
                f"{file}: knows {', '.join(contender.labels)}, but the photos are of "
                f"{', '.join(dataset.labels)}; name the right photos with --data"
            )
        contenders.append(contender)
    return contenders


def _measure_all(contenders: list[Contender], dataset: Dataset) -> list[Measurement]:
    """Measure each model with one progress bar over all of them."""
    from tqdm import tqdm

    from edgebee.benchmarks.measurement import measure

    photos = dataset.validation
    complaints: dict[str, None] = {}
    with tqdm(total=len(contenders) * len(photos), unit="photo", disable=None) as bar:
        measurements = []
        for contender in contenders:
            bar.set_description(contender.path.name)
            measurements.append(
                measure(
                    contender,
                    photos.paths,
                    photos.classes,
                    progress=bar.update,
                    skipped=complaints.setdefault,
                )
            )
    for message in complaints:
        click.echo(f"warning: {message}; left out", err=True)
    return measurements
