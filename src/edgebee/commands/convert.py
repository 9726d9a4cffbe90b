"""`edgebee convert`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import echo, log

if TYPE_CHECKING:
    from edgebee.convert.conversion import Conversion, Settings
    from edgebee.convert.quantize import Format
    from edgebee.convert.representative import Calibration
    from edgebee.convert.verification import HeldOut
    from edgebee.photos.dataset import Dataset

FORMATS: tuple[Format, ...] = ("float32", "float16", "dynamic", "int8")
"""What `all` means: the formats that a Pi's processor has fast kernels for."""

EVERY_FORMAT: tuple[Format, ...] = (*FORMATS, "int16x8")
"""As in `edgebee.convert.quantize`, which loads TensorFlow."""

DEFAULT_SAMPLES = 100
MAX_SAMPLES = 500
"""`--recover` calibrates on no more; ranges do not change after a few hundred photos."""


def _check_runtimes(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    if values:
        from edgebee.edge.tflite.runtimes import UnknownRuntimeError, resolve_runtime

        try:
            for value in values:
                resolve_runtime(value)
        except UnknownRuntimeError as error:
            raise click.BadParameter(str(error), ctx, param) from error
    return values


@click.command("convert", short_help="A Keras model -> .tflite files.")
@click.argument(
    "model", default="artifacts/model.keras", type=click.Path(dir_okay=False, path_type=Path)
)
@click.option(
    "--quantize", "formats", multiple=True, default=("int8",), show_default=True,
    type=click.Choice([*EVERY_FORMAT, "all"]),
    help="Format to make (repeatable). all: every one but int16x8, which is for accelerators: "
    "a processor takes fifty times longer.",
)  # fmt: skip
@click.option(
    "--io", default="uint8", show_default=True, type=click.Choice(["uint8", "int8", "float32"]),
    help="What int8 takes and gives. uint8: pixels as they are; int8: less 128, for "
    "microcontrollers and the Edge TPU.",
)  # fmt: skip
@click.option("--data", help="Photos to calibrate and verify on; default: those it was trained on.")
@click.option(
    "--samples", type=click.IntRange(min=1),
    help=f"Training photos to calibrate on (default: {DEFAULT_SAMPLES}, or 2 a class).",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Which photos."
)
@click.option(
    "--max-drop", default=2.0, show_default=True, type=click.FloatRange(0, 100),
    help="Points of accuracy a format may lose to Keras on the validation photos; one photo "
    "it always may.",
)  # fmt: skip
@click.option(
    "--recover",
    is_flag=True,
    help="If int8 loses more: other calibration, layers in float, 16-bit activations.",
)
@click.option(
    "--target-runtime", "runtimes", multiple=True, callback=_check_runtimes,
    metavar="NAME==VERSION",
    help="Runtime that must know the operators, as tflite-runtime==2.14 (repeatable; default: "
    "all that edgebee runs on).",
)  # fmt: skip
@click.option(
    "--output", help="Folder for the results; default: where MODEL is.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context, /, *, model: Path, formats: tuple[str, ...], **options: Any
) -> None:
    """Convert MODEL to TFLite, verified: the file that goes on a Pi.

    \b
    Example:
        edgebee convert --quantize int8
    """  # noqa: D301
    named = {*formats, *(FORMATS if "all" in formats else ())}
    wanted = [name for name in EVERY_FORMAT if name in named]
    debug = bool(ctx.find_root().params.get("debug"))
    written = run(model, wanted, **options, debug=debug)
    log(f"Next: {_next_command(model, options['output'], written[-1])}")


def _next_command(model: Path, output: Path | None, written: Path) -> str:
    """The benchmark where the Keras model lies beside the results, else an answer."""
    if output is not None and output.resolve() != model.parent.resolve():
        return f"edgebee classify -m {written} PHOTO"
    folder = model.parent
    return "edgebee benchmark" if folder == Path("artifacts") else f"edgebee benchmark {folder}"


def run(
    model_path: Path,
    formats: Sequence[Format],
    *,
    data: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    output: Path | None = None,
    io: str = "uint8",
    max_drop: float = 2.0,
    recover: bool = False,
    runtimes: tuple[str, ...] = (),
    debug: bool = False,
) -> list[Path]:
    """Convert, verify and write each format.

    Returns:
        The files that were written.

    Raises:
        EdgebeeError: see its tree. What was finished before stays.
    """
    from edgebee.convert.keras_file import check_keras_file
    from edgebee.edge.classify import silence_decoder_warnings
    from edgebee.files import output_directory
    from edgebee.tensorflow_runtime import start_tensorflow

    silence_decoder_warnings()
    check_keras_file(model_path)
    with output_directory(output or model_path.parent) as folder:
        dataset = _photos(model_path.parent, data)
        start_tensorflow(debug=debug)
        from edgebee.convert.conversion import Settings
        from edgebee.edge.tflite.runtimes import RUNTIMES

        settings = Settings(
            io=io,  # type: ignore[arg-type]  # click has checked it
            max_drop=max_drop,
            recover=recover,
            seed=seed,
            runtimes=runtimes or RUNTIMES,
        )
        conversion = _prepare(model_path, formats, dataset, samples, settings)
        return _write_all(conversion, formats, folder)


def _photos(folder: Path, data: str | None) -> Dataset:
    """The photos to calibrate and verify on.

    Raises:
        EdgebeeError: there are none, or they do not belong to the model.
    """
    from edgebee.errors import ConversionError
    from edgebee.run import load_training_photos, read_label_file

    labels = read_label_file(folder / "labels.txt")
    if labels is None and data is None and not (folder / "history.json").is_file():
        raise ConversionError(
            f"{folder / 'labels.txt'}: missing, so the scores have no names; write them there, "
            "one a line, in the order of the scores"
        )
    return load_training_photos(folder, data)


def _prepare(
    model_path: Path,
    formats: Sequence[Format],
    dataset: Dataset,
    samples: int | None,
    settings: Settings,
) -> Conversion:
    """Load the model and read the photos; everything is looked at before anything is made."""
    from edgebee.convert.conversion import Conversion, ModelSource, load_keras
    from edgebee.convert.manifest_records import hash_photo_list
    from edgebee.convert.quantize import CALIBRATED_FORMATS
    from edgebee.errors import ConversionError
    from edgebee.run import TrainingRecord, ValidationRecord, read_training_record

    model, labels = load_keras(model_path), dataset.labels
    if model.output_shape[1] != len(labels):
        raise ConversionError(
            f"{model_path}: gives {model.output_shape[1]} scores, but there are "
            f"{len(labels)} labels ({', '.join(labels[:8])}); put the labels.txt that belongs "
            "to it beside it"
        )
    record = read_training_record(model_path.parent, or_none=True) or TrainingRecord()
    validation = record.validation or ValidationRecord()
    recorded = None
    if validation.total and record.data is not None and record.data.source == dataset.source:
        recorded = (validation.correct, validation.total)
    photos, size = dataset.train, model.input_shape[1:3]
    count = samples or max(DEFAULT_SAMPLES, 2 * len(labels))
    calibration = None
    calibrated = [one for one in ("int8", *CALIBRATED_FORMATS) if one in formats]
    if calibrated:
        calibration = _calibrate(dataset, count, size, settings.seed, calibrated[0])

    def read_more() -> Calibration | None:
        if count >= min(len(photos), MAX_SAMPLES):
            return None
        return _calibrate(dataset, MAX_SAMPLES, size, settings.seed, "int8")

    return Conversion(
        model=model,
        origin=ModelSource(
            labels=labels,
            keras_sha256=hashlib.sha256(model_path.read_bytes()).hexdigest(),
            data_sha256=hash_photo_list(dataset.root, [*photos.paths, *dataset.validation.paths]),
            data_root=dataset.root,
            temperature=validation.calibration.temperature,
            threshold=validation.calibration.threshold,
        ),
        settings=settings,
        held_out=_hold_out(dataset, model, settings.seed, recorded),
        calibration=calibration,
        read_more=read_more,
        say=log,
    )


def _write_all(conversion: Conversion, formats: Sequence[Format], folder: Path) -> list[Path]:
    """Write what passes its verification; print_error of the rest when all is done."""
    from edgebee.convert.conversion import Refused, write_model
    from edgebee.errors import ConversionError
    from edgebee.files import write_checksums

    written, refused, remedy = [], [], ""
    for made in conversion.run(formats):
        if isinstance(made, Refused):
            refused.append(f"{folder / f'model_{made.format}.tflite'}: not written: {made.reason}")
            log(f"{made.format} is refused")
            if made.recoverable:
                remedy = "; try --recover"
            continue
        path = write_model(made, folder)
        written.append(path)
        seen = made.verification.comparison
        echo(
            f"{path}: {len(made.content) / 1e6:.2f} MB, {seen.correct} of {seen.total} correct "
            f"(Keras {seen.reference_correct})"
        )
    if written:
        write_checksums(folder)
    if refused:
        raise ConversionError("; ".join(refused) + remedy)
    return written


def _calibrate(
    dataset: Dataset, samples: int, size: tuple[int, int], seed: int, format_: str
) -> Calibration:
    """Read the representative data set with a progress bar, and look at it."""
    from tqdm import tqdm

    from edgebee.convert.representative import read_calibration

    photos = dataset.train
    count = min(samples, len(photos))
    with tqdm(total=count, desc="reading photos to calibrate", unit="photo", disable=None) as bar:
        calibration = read_calibration(
            photos.paths, photos.classes, samples=samples, size=size, seed=seed, progress=bar.update
        )
        bar.total = len(calibration.paths)  # fewer when there are damaged photos
    for message in calibration.skipped:
        log(f"warning: {message}; left out")
    kind = "drawings" if dataset.drawn else "photos"
    calibration = calibration.audited(dataset.root, dataset.labels)
    for remark in calibration.audit.remarks if calibration.audit else ():
        log(f"warning: {remark}")
    log(f"{format_} is calibrated on {len(calibration.paths)} training {kind}")
    return calibration


def _hold_out(dataset: Dataset, model: Any, seed: int, recorded: tuple[int, int] | None) -> HeldOut:
    """Read the validation photos with a progress bar, and look at the Keras model on them."""
    from tqdm import tqdm

    from edgebee.convert.verification import MAX_PHOTOS, check_reference, read_held_out

    photos = dataset.validation
    count = min(MAX_PHOTOS, len(photos))
    with tqdm(total=count, desc="reading photos to verify", unit="photo", disable=None) as bar:
        held_out = read_held_out(
            photos.paths, photos.classes, model, seed=seed, progress=bar.update
        )
    for message in held_out.skipped:
        log(f"warning: {message}; left out")
    warning = check_reference(held_out, dataset.labels, recorded)
    if warning is not None:
        log(f"warning: {warning}")
    return held_out
