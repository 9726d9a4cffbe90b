"""A whole conversion: a Keras model in, verified `.tflite` files out.

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgebee.convert import manifest_records as manifest
from edgebee.convert.fallback import climb
from edgebee.convert.golden import GoldenPicture, choose_pictures, draw_pictures, enlarge
from edgebee.convert.gptq import copy_kernels, round_kernels
from edgebee.convert.keras_model import load_keras
from edgebee.convert.metadata import pack_metadata
from edgebee.convert.packed_file import check_packed
from edgebee.convert.quantize import (
    CALIBRATED_FORMATS,
    Format,
    InputType,
    calibrate,
    list_float_operators,
    quantize_16x8,
    quantize_float,
    quantize_int8,
    trace,
)
from edgebee.convert.representative import Calibration
from edgebee.convert.verification import (
    MAX_DROP_POINTS,
    HeldOut,
    Verification,
    run_model,
    score_keras,
    verify,
)
from edgebee.edge.classify import ModelError
from edgebee.edge.tflite.runtimes import RUNTIMES, check_operators
from edgebee.errors import ConversionError
from edgebee.files import atomic_write

__all__ = [
    "Conversion",
    "Converted",
    "ModelSource",
    "Refused",
    "Settings",
    "load_keras",
    "write_model",
]

_ROUNDING_PHOTOS = 32
"""The first of the calibration photos, in which every class has its share."""


@dataclass(frozen=True)
class ModelSource:
    """What a conversion starts from, besides the model."""

    labels: tuple[str, ...]
    keras_sha256: str
    data_sha256: str
    data_root: Path
    """Photos are recorded by their names below it."""
    temperature: float | None = None
    """The calibrated temperature that is in the graph already."""
    threshold: float | None = None
    """Below this score the runner says `unknown`."""


@dataclass(frozen=True)
class Settings:
    """How to convert."""

    io: InputType = "uint8"
    """Type of int8's input and output."""
    max_drop: float = MAX_DROP_POINTS
    recover: bool = False
    runtimes: tuple[str, ...] = RUNTIMES
    """Every one of these must know the operators."""
    seed: int = 0


@dataclass(frozen=True)
class Converted:
    """One format of a model that was verified."""

    format: Format
    content: bytes
    """A TFLite file with metadata and manifest."""
    verification: Verification
    recovery: str | None = None
    """The rung of the ladder that held, when plain int8 did not."""


@dataclass(frozen=True)
class Refused:
    """One format that must not be used."""

    format: Format
    reason: str
    """What was seen, in a line."""
    short: str = ""
    """The same without its uncertainty."""
    recoverable: bool = False
    """Whether the ladder of `edgebee.convert.fallback` may help."""


@dataclass
class Conversion:
    """A model on its way to several formats: traced once, calibrated once.

    Attributes:
        model: Keras, `float32 [N, H, W, 3]` in 0..255 -> `float32 [N, labels]`.
        origin: where it comes from.
        settings: how to convert.
        held_out: photos to verify on.
        calibration: photos to calibrate on; None when no format that needs them is asked for.
        read_more: reads all training photos; None when `calibration` has them already.
        say: takes a line of progress.
    """

    model: Any
    origin: ModelSource
    settings: Settings
    held_out: HeldOut
    calibration: Calibration | None = None
    read_more: Callable[[], Calibration | None] = lambda: None
    say: Callable[[str], object] = field(default=lambda line: None)

    def run(self, formats: Sequence[Format]) -> Iterator[Converted | Refused]:
        """Make each format in turn.

        Raises:
            ConversionError: the converter refuses the model, or the calibration photos would
                ruin it.
        """
        for format_ in formats:
            made = self._make(format_)
            if isinstance(made, Refused) and made.recoverable and self.settings.recover:
                self.say(f"int8 {made.reason}")
                made = self._recover()
            yield made

    @cached_property
    def _graph(self) -> Any:
        return trace(self.model)

    @cached_property
    def _float32(self) -> bytes:
        return quantize_float(self._graph, "float32")

    @cached_property
    def _audited(self) -> Calibration:
        if self.calibration is None:
            raise ConversionError("there are no training photos to calibrate on")
        return self.calibration.audited(self.origin.data_root, self.origin.labels)

    @cached_property
    def _rounded(self) -> bytes:
        return round_kernels(self._float32, self._audited.pixels[:_ROUNDING_PHOTOS])

    @cached_property
    def _calibrated(self) -> bytes:
        return calibrate(self._rounded, self._audited)

    @cached_property
    def _weights_sha256(self) -> str:
        return manifest.hash_weights(self.model)

    @cached_property
    def _golden(self) -> list[GoldenPicture]:
        candidates = draw_pictures()
        size = self.model.input_shape[1:3]
        pixels = np.stack([enlarge(one.pixels, size) for one in candidates])
        return choose_pictures(candidates, score_keras(self.model, pixels))

    def _make(self, format_: Format) -> Converted | Refused:
        """One format by the plain way."""
        if format_ == "float32":
            content = self._float32
        elif format_ == "int8":
            content = quantize_int8(self._calibrated, self.settings.io)
            left = list_float_operators(content)
            if left:
                self.say(f"warning: int8 has no kernels for {', '.join(left)}: they stay in float")
        elif format_ == "int16x8":
            content = quantize_16x8(self._calibrated)
        elif format_ == "dynamic":
            content = copy_kernels(self._rounded, quantize_float(self._graph, format_))
        else:
            content = quantize_float(self._graph, format_)
        return self._judge(format_, content, self.calibration, None)

    def _recover(self) -> Converted | Refused:
        """The first rung of the ladder that holds."""
        tried = 0
        rungs = climb(
            self._rounded, self._audited, self.read_more, io=self.settings.io, say=self.say
        )
        for rung in rungs:
            made = self._judge(rung.format, rung.content, rung.calibration, rung.name)
            tried += 1
            if isinstance(made, Converted):
                self.say(f"{rung.name}: holds, {made.verification.short}")
                return made
            self.say(f"{rung.name}: does not hold, {made.short or made.reason}")
        return Refused("int8", f"none of {tried} ways to recover it held; use float16")

    def _judge(
        self, format_: Format, content: bytes, calibration: Calibration | None, rung: str | None
    ) -> Converted | Refused:
        """Verify a flatbuffer, and pack it when it passes."""
        recoverable = format_ == "int8"
        try:
            too_new = check_operators(content, self.settings.runtimes)
            if too_new:
                return Refused(format_, "; ".join(str(one) for one in too_new[:3]))
            verification = verify(content, self.held_out)
            problem = verification.problem(self.settings.max_drop)
            if problem is not None:
                reason = f"{problem}: {verification}"
                return Refused(format_, reason, verification.short, recoverable)
            packed = self._pack(format_, content, calibration, verification, rung)
        except ModelError as error:
            said, _, _ = str(error).split(": ", 1)[-1].partition("; ")  # without file and remedy
            reason = f"does not run: {said}"
            return Refused(format_, reason, recoverable=recoverable)
        return Converted(format_, packed, verification, rung)

    def _pack(
        self,
        format_: Format,
        content: bytes,
        calibration: Calibration | None,
        verification: Verification,
        rung: str | None,
    ) -> bytes:
        """Put labels, manifest and golden samples into the file."""
        size, origin = self.model.input_shape[1:3], self.origin
        pixels = np.stack([enlarge(one.pixels, size) for one in self._golden])
        scores = {
            "xnnpack": run_model(content, pixels),
            "builtin": run_model(content, pixels, builtin_kernels=True),
        }
        pictures = {f"golden/{place}.png": one.png() for place, one in enumerate(self._golden)}
        io = self.settings.io if format_ == "int8" else "float32"
        record: dict[str, Any] = {
            "format_version": manifest.FORMAT_VERSION,
            "labels": list(origin.labels),
            "preprocessing": manifest.preprocessing_record(size, io),
            "scores": {"temperature": origin.temperature, "threshold": origin.threshold},
            "golden": manifest.golden_record(list(pictures), scores),
            "provenance": {
                "keras_sha256": origin.keras_sha256,
                "weights_sha256": self._weights_sha256,
                "data_sha256": origin.data_sha256,
                "format": format_,
                "io": io,
                "seed": self.settings.seed,
                "versions": manifest.versions_record(),
                "calibration": self._calibration_record(format_, calibration),
                "recovery": rung,
            },
            "verification": manifest.verification_record(verification, self.settings.max_drop),
            "runtime": manifest.runtime_record(content),
        }

        def describe(network: bytes) -> dict[str, bytes]:
            full = {**record, "network": manifest.network_record(network)}
            return {manifest.MANIFEST_NAME: manifest.encode_manifest(full), **pictures}

        return pack_metadata(
            content,
            origin.labels,
            description=f"Tells {', '.join(origin.labels)} apart; made by edgebee.",
            describe=describe,
        )

    def _calibration_record(
        self, format_: Format, calibration: Calibration | None
    ) -> dict[str, Any] | None:
        if format_ not in CALIBRATED_FORMATS or calibration is None:
            return None
        root, labels = self.origin.data_root, self.origin.labels
        audit = calibration.audited(root, labels).audit
        assert audit is not None
        return manifest.calibration_record(audit, calibration.names(root), labels)


def write_model(converted: Converted, folder: Path) -> Path:
    """Write `model_<format>.tflite`, once what lies on the disk has proved itself.

    Raises:
        OutputError: it could not be written.
        ConversionError: what was written is not what was verified.
        ModelError: it does not load or answer.
    """
    path = folder / f"model_{converted.format}.tflite"

    def write(part: Path) -> None:
        part.write_bytes(converted.content)
        check_packed(part)

    atomic_write(path, write)
    return path
