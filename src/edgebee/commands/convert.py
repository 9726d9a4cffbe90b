"""`edgebee convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import GroupedCommand, ProgressBars, echo, log_next, show_log_records
from edgebee.convert.formats import DEFAULT_FORMATS, FORMATS, INPUT_TYPES, MAX_DROP_POINTS

if TYPE_CHECKING:
    from edgebee.convert.conversion import ConvertedModel

_GROUPS = {
    "Input and output": ("data", "output"),
    "Formats": ("formats", "io"),
    "Representative dataset": ("samples", "seed"),
    "Verification": ("max_drop",),
}


@click.command(
    "convert",
    cls=GroupedCommand,
    groups=_GROUPS,
    short_help="Convert a Keras model to verified .tflite files.",
)
@click.argument("model", default="artifacts/model.keras", type=click.Path(path_type=Path))
@click.option(
    "--quantize",
    "formats",
    multiple=True,
    default=DEFAULT_FORMATS,
    show_default=True,
    type=click.Choice([*FORMATS, "all"]),
    help="Format to write (repeatable). all: every one of them.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="where MODEL is",
    help="Folder for the results.",
)
@click.option(
    "--data",
    show_default="those MODEL was trained on",
    help="Photos to calibrate on and to verify with: hymenoptera, sample or a folder.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    show_default="100, or 2 a class where that is more",
    help="Number of training photos in the representative dataset, which sets int8's value ranges.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Seed for choosing the representative photos.",
)
@click.option(
    "--io",
    default="uint8",
    show_default=True,
    type=click.Choice(INPUT_TYPES),
    help="Type of int8's input and output. uint8: pixels as they are; int8: pixels less 128, "
    "as microcontrollers take them.",
)
@click.option(
    "--max-drop",
    default=MAX_DROP_POINTS,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="Percentage points of accuracy that a format may lose to Keras on the validation photos. "
    "A format that loses more is not written; one photo may always be lost.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    model: Path,
    formats: tuple[str, ...],
    data: str | None,
    **options: Any,
) -> None:
    """Convert MODEL, a Keras file, to TFLite: one verified file per format.

    \b
    Example:
        edgebee convert --quantize int8
    """  # noqa: D301
    from edgebee.convert.conversion import FormatsRefusedError, convert_model
    from edgebee.convert.keras_file import check_keras_file
    from edgebee.run import load_training_photos
    from edgebee.tensorflow_runtime import start_tensorflow

    show_log_records()
    check_keras_file(model)
    if ctx.find_root().params.get("debug"):
        start_tensorflow(debug=True)
    dataset = load_training_photos(model.parent, data) if data is not None else None
    wanted = FORMATS if "all" in formats else formats
    with ProgressBars() as bars:
        try:
            converted = convert_model(
                model,
                dataset,
                formats=[name for name in FORMATS if name in wanted],
                progress=bars,
                **options,
            )
        except FormatsRefusedError as error:
            bars.close()
            _print(error.converted)
            raise
    _print(converted)
    output, written = options["output"], str(converted[-1].path)
    if output is None or output.resolve() == model.parent.resolve():
        folder = str(model.parent)
        log_next("benchmark", *([] if folder == "artifacts" else [folder]))
    else:  # a benchmark wants the Keras model beside it
        log_next("classify", "-m", written, "PHOTO")
        log_next("deploy", "-m", written, "pi@raspberrypi")


def _print(converted: tuple[ConvertedModel, ...]) -> None:
    for one in converted:
        echo(f"{one.path}: {one.size_bytes / 1e6:.2f} MB, {one.verification.short}")
