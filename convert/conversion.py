"""`edgebee.convert_model`: a Keras model in, verified `.tflite` files out.

TensorFlow is imported when a conversion starts, not with this module.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebee.convert.formats import DEFAULT_FORMATS, FORMATS, MAX_DROP_POINTS, Format, InputType
from edgebee.convert.keras_file import check_keras_file
from edgebee.edge.classify import (
    Classifier,
    ModelError,
    read_manifest,
    selftest,
    silence_decoder_warnings,
)
from edgebee.errors import ConversionError
from edgebee.files import atomic_write, output_directory
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.run import write_checksums

if TYPE_CHECKING:
    from edgebee.convert.inputs import ConversionInputs
    from edgebee.convert.verification import Verification
    from edgebee.photos.dataset import Dataset

__all__ = ["ConvertedModel", "FormatsRefusedError", "RefusedFormat", "convert_model"]

_log = logging.getLogger("edgebee.convert")

MAX_SELFTEST_DIFFERENCE = 1e-4
"""Of a file's golden scores a moment after they were recorded: a sum in another order at most."""

_INT8_REMEDY = "take float16, or dynamic, whose activations stay in float"


@dataclass(frozen=True)
class ConvertedModel:
    """A `.tflite` file that was verified."""

    path: Path
    format: Format
    size_bytes: int
    sha256: str
    verification: Verification
    """How it compared with the Keras model on the validation photos."""

    def __repr__(self) -> str:
        return (
            f"ConvertedModel({self.format}, {str(self.path)!r}, {self.size_bytes / 1e6:.2f} MB, "
            f"{self.verification.short})"
        )


@dataclass(frozen=True)
class RefusedFormat:
    """A format that was not written, since it must not be used."""

    path: Path
    """Where it would have been."""
    format: Format
    reason: str
    """In a line."""


class FormatsRefusedError(ConversionError):
    """Some formats were refused; those that passed were written.

    Attributes:
        converted: the files that were written.
        refused: the formats that were not.
    """

    def __init__(
        self, converted: tuple[ConvertedModel, ...], refused: tuple[RefusedFormat, ...]
    ) -> None:
        self.converted, self.refused = converted, refused
        super().__init__("; ".join(f"{one.path}: not written: {one.reason}" for one in refused))


def convert_model(
    model: str | os.PathLike[str],
    dataset: Dataset | None = None,
    *,
    formats: Sequence[Format] = DEFAULT_FORMATS,
    output: str | os.PathLike[str] | None = None,
    samples: int | None = None,
    seed: int = 0,
    io: InputType = "uint8",
    max_drop: float = MAX_DROP_POINTS,
    progress: ProgressCallback = ignore_progress,
) -> tuple[ConvertedModel, ...]:
    """Convert a Keras image classifier to TFLite and verify every file before it is written.

    The integer formats are calibrated on training photos, and every format is compared with the
    Keras model on the validation photos.

    Args:
        model: a `.keras` or `.h5` file. `labels.txt` beside it names its scores, one a line;
            without that file they are the dataset's labels.
        dataset: photos of the model's classes; by default those that it was trained on, as
            `history.json` beside it records.
        formats: of `edgebee.convert.formats.FORMATS`.
        output: folder for `model_<format>.tflite`; by default the model's.
        samples: size of the representative dataset; by default 100 photos, or two a class where
            that is more.
        seed: which photos are chosen.
        io: type of int8's input and output: `uint8` takes pixels as they are, `int8` takes
            them less 128, as microcontrollers do.
        max_drop: points of accuracy (0-100) that a format may lose to Keras; one photo always.
        progress: called as photos are read and formats are made.

    Returns:
        One file per format, in the order of `FORMATS`.

    Raises:
        FormatsRefusedError: a format does not load or loses too much. The others were written
            and are in its `converted`.
        ConversionError: this model cannot be converted, or not with these photos.
        EdgebeeError: the photos, the labels or the output folder cannot be used.
    """
    wanted = _known_formats(formats)
    path = Path(model)
    silence_decoder_warnings()
    check_keras_file(path)
    with output_directory(Path(output) if output is not None else path.parent) as folder:
        from edgebee.convert.inputs import read_inputs

        inputs = read_inputs(
            path,
            dataset,
            formats=wanted,
            samples=samples,
            seed=seed,
            io=io,
            max_drop=max_drop,
            progress=progress,
        )
        return _convert_all(inputs, wanted, folder, progress)


def _known_formats(formats: Sequence[str]) -> list[Format]:
    """The formats in the order in which they are made."""
    if isinstance(formats, str) or not formats or not set(formats) <= set(FORMATS):
        raise ConversionError(f"formats={formats!r}: take a list of {', '.join(FORMATS)}")
    return [name for name in FORMATS if name in formats]


def _convert_all(
    inputs: ConversionInputs, formats: Sequence[Format], folder: Path, progress: ProgressCallback
) -> tuple[ConvertedModel, ...]:
    """Write what passes its verification; raise for the rest when all is done."""
    converted: list[ConvertedModel] = []
    refused: list[RefusedFormat] = []
    for number, format_ in enumerate(formats):
        progress(Progress("converting", number, len(formats), unit="format", note=format_))
        made = _convert(inputs, format_, folder / f"model_{format_}.tflite")
        if isinstance(made, ConvertedModel):
            converted.append(made)
        else:
            refused.append(made)
    progress(Progress("converting", len(formats), len(formats), unit="format"))
    if converted:
        write_checksums(folder)
    if refused:
        raise FormatsRefusedError(tuple(converted), tuple(refused))
    return tuple(converted)


def _convert(
    inputs: ConversionInputs, format_: Format, path: Path
) -> ConvertedModel | RefusedFormat:
    """Make, verify and write one format."""
    from edgebee.convert.verification import verify
    from edgebee.edge.tflite.runtimes import check_operators

    content = inputs.builder.build(format_)
    try:
        for too_new in check_operators(content):
            _log.warning("%s: %s", path, too_new)
        verification = verify(content, inputs.validation)
        problem = verification.problem(inputs.packer.source.max_drop)
        if problem is not None:
            remedy = f"; {_INT8_REMEDY}" if format_ == "int8" else ""
            return RefusedFormat(path, format_, f"{problem}: {verification}{remedy}")
        packed = inputs.packer.pack(format_, content, verification)
    except ModelError as error:
        reason, _, _ = str(error).split(": ", 1)[-1].partition("; ")  # without file and remedy
        return RefusedFormat(path, format_, f"does not run: {reason}")
    _write(packed, path)
    digest = hashlib.sha256(packed).hexdigest()
    return ConvertedModel(path, format_, len(packed), digest, verification)


def _write(packed: bytes, path: Path) -> None:
    """Write a model file; it gets its name once it has been read back and tested."""

    def write(part: Path) -> None:
        part.write_bytes(packed)
        _check_packed(part)

    atomic_write(path, write)


def _check_packed(path: Path) -> None:
    """Check with the runner's own readers that a file is whole and predicts what it records.

    Raises:
        ConversionError: something in it is missing, damaged or not as recorded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ModelError(f"{path}: {damaged} in it is damaged")
        labels, recorded = Classifier(path).labels, read_manifest(path).get("labels")
        tested = selftest(path)
    except (zipfile.BadZipFile, ModelError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ConversionError(f"{path}: was not written whole ({reason}); convert again") from error
    if list(labels) != recorded:
        raise ConversionError(
            f"{path}: has the labels {', '.join(labels[:8])} inside, but was verified with others"
        )
    if not tested.difference <= MAX_SELFTEST_DIFFERENCE:
        raise ConversionError(
            f"{path}: its golden samples score {tested.difference:.3g} away from what was just "
            "recorded; convert again"
        )
