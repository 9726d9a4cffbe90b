"""`edgebee convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

FORMATS = ("float32", "float16", "dynamic", "int8")
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
    folder = output or model.parent
    where = "" if folder == Path("artifacts") else f" {folder}"
    click.echo(f"Next: edgebee benchmark{where}", err=True)


def run(
    model_path: Path,
    formats: Sequence[str],
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
    from edgebee.artifacts import prepare_folder
    from edgebee.commands.photos import photos_of_model, read_label_file
    from edgebee.errors import ConversionError
    from edgebee.tensorflow_runtime import start_tensorflow

    if not model_path.is_file():
        raise ConversionError(f"{model_path}: no such model; make one with: edgebee train")
    folder = prepare_folder(output or model_path.parent)
    labels = read_label_file(model_path.parent / "labels.txt")
    dataset = None
    if "int8" in formats or labels is None:
        dataset = photos_of_model(model_path.parent, data)
        labels = dataset.labels
    start_tensorflow(debug=debug)
    from tqdm import tqdm

    from edgebee.convert.calibration import read_calibration
    from edgebee.convert.conversion import convert, load_keras, write_model

    model = load_keras(model_path)
    calibration = None
    if dataset is not None and "int8" in formats:
        count = min(samples, len(dataset.train))
        with tqdm(total=count, desc="reading photos to calibrate", disable=None) as bar:
            calibration = read_calibration(
                dataset.train.paths,
                dataset.train.classes,
                samples=samples,
                size=model.input_shape[1:3],
                seed=seed,
                progress=bar.update,
            )
        for message in calibration.skipped:
            click.echo(f"warning: {message}; left out", err=True)
        click.echo(f"int8 is calibrated on {len(calibration.paths)} training photos", err=True)
    description = f"Tells {', '.join(labels or ())} apart; made by edgebee."
    for converted in convert(model, labels or (), formats, calibration, description=description):  # type: ignore[arg-type]
        path = write_model(converted, folder)
        click.echo(f"{path}: {len(converted.content) / 1e6:.2f} MB")
