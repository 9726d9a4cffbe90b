"""`edgebee convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgebee.convert.calibration import Calibration
    from edgebee.convert.quantize import Format
    from edgebee.train.dataset import Dataset

FORMATS: tuple[Format, ...] = ("float32", "float16", "dynamic", "int8")
"""As in `edgebee.convert.quantize`, which loads TensorFlow."""


@click.command("convert", short_help="A Keras model -> .tflite files.")
@click.argument(
    "model", default="artifacts/model.keras", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--quantize", "formats", multiple=True, default=("int8",), show_default=True,
    type=click.Choice([*FORMATS, "all"]), help="Format to make (repeatable).",
)  # fmt: skip
@click.option("--data", help="Photos to calibrate on; default: those the model was trained on.")
@click.option(
    "--samples", default=100, show_default=True, type=click.IntRange(min=1),
    help="Training photos to calibrate int8 on.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Which photos."
)
@click.option(
    "--output", help="Folder for the results; default: where MODEL is.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    *,
    model: Path,
    formats: tuple[str, ...],
    data: str | None,
    samples: int,
    seed: int,
    output: Path | None,
) -> None:
    """Convert MODEL to TFLite: the file that goes on a Pi.

    \b
    Example:
        edgebee convert --quantize int8
    """  # noqa: D301
    wanted = FORMATS if "all" in formats else [name for name in FORMATS if name in formats]
    debug = bool(ctx.find_root().params.get("debug"))
    run(model, wanted, data=data, samples=samples, seed=seed, output=output, debug=debug)
    click.echo(f"Next: {_next_command(model, output, wanted[-1])}", err=True)


def _next_command(model: Path, output: Path | None, format_: str) -> str:
    """The benchmark where the Keras model lies beside the results, else an answer."""
    if output is not None and output.resolve() != model.parent.resolve():
        return f"edgebee classify -m {output / f'model_{format_}.tflite'} PHOTO"
    folder = model.parent
    return "edgebee benchmark" if folder == Path("artifacts") else f"edgebee benchmark {folder}"


def run(
    model_path: Path,
    formats: Sequence[Format],
    *,
    data: str | None = None,
    samples: int = 100,
    seed: int = 0,
    output: Path | None = None,
    debug: bool = False,
) -> None:
    """Convert and write each format.

    Raises:
        EdgebeeError: see its tree. What was finished before stays.
    """
    from edgebee.artifacts import output_folder
    from edgebee.convert.keras_file import check_keras_file
    from edgebee.errors import ConversionError
    from edgebee.tensorflow_runtime import start_tensorflow

    check_keras_file(model_path)
    with output_folder(output or model_path.parent) as folder:
        labels, dataset = _labels_and_photos(model_path.parent, formats, data)
        start_tensorflow(debug=debug)
        from edgebee.convert.conversion import convert, load_keras, write_model

        model = load_keras(model_path)
        if model.output_shape[1] != len(labels):
            raise ConversionError(
                f"{model_path}: gives {model.output_shape[1]} scores, but there are "
                f"{len(labels)} labels ({', '.join(labels[:8])}); put the labels.txt that belongs "
                "to it beside it"
            )
        calibration = None
        if dataset is not None and "int8" in formats:
            calibration = _calibrate(dataset, samples, model.input_shape[1:3], seed)
        description = f"Tells {', '.join(labels)} apart; made by edgebee."
        for converted in convert(model, labels, formats, calibration, description=description):
            path = write_model(converted, folder)
            click.echo(f"{path}: {len(converted.content) / 1e6:.2f} MB")


def _labels_and_photos(
    folder: Path, formats: Sequence[Format], data: str | None
) -> tuple[tuple[str, ...], Dataset | None]:
    """The names of the scores, and the photos where they are needed.

    Raises:
        EdgebeeError: there are none, or they do not belong together.
    """
    from edgebee.commands.photos import photos_of_model, read_label_file
    from edgebee.errors import ConversionError

    labels = read_label_file(folder / "labels.txt")
    if labels is not None and "int8" not in formats:
        return labels, None
    if labels is None and data is None and not (folder / "history.json").is_file():
        raise ConversionError(
            f"{folder / 'labels.txt'}: missing, so the scores have no names; write them there, "
            "one a line, in the order of the scores"
        )
    dataset = photos_of_model(folder, data)
    return dataset.labels, dataset


def _calibrate(dataset: Dataset, samples: int, size: tuple[int, int], seed: int) -> Calibration:
    """Read the representative data set with a progress bar."""
    from tqdm import tqdm

    from edgebee.convert.calibration import read_calibration

    photos = dataset.train
    count = min(samples, len(photos))
    with tqdm(total=count, desc="reading photos to calibrate", unit="photo", disable=None) as bar:
        calibration = read_calibration(
            photos.paths, photos.classes, samples=samples, size=size, seed=seed, progress=bar.update
        )
        bar.total = len(calibration.paths)  # fewer when there are damaged photos
    for message in calibration.skipped:
        click.echo(f"warning: {message}; left out", err=True)
    kind = "drawings" if dataset.drawn else "photos"
    click.echo(f"int8 is calibrated on {len(calibration.paths)} training {kind}", err=True)
    return calibration
