"""Labels, manifest and golden samples into a model file: what makes it describe itself.

Imports TensorFlow: import it only where converting happens.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert import golden
from edgebee.convert.formats import CALIBRATED_FORMATS, Format, InputType
from edgebee.convert.metadata import pack_metadata
from edgebee.convert.representative import photo_name
from edgebee.convert.validation_set import score_keras
from edgebee.convert.verification import NeitherVerification, Verification, run_model
from edgebee.edge.classify import NEITHER
from edgebee.edge.tflite.model_file import parse_model_file
from edgebee.edge.tflite.runtimes import list_operators
from edgebee.errors import ConversionError
from edgebee.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    GoldenSample,
    GoldenSamples,
    Manifest,
    NeitherResult,
    Network,
    Preprocessing,
    Provenance,
    RepresentativePhotos,
    RuntimeNeeds,
    ScoreSettings,
    VerificationResult,
    write_manifest,
)

__all__ = ["ModelPacker", "ModelSource", "hash_photo_list"]


@dataclass(frozen=True)
class ModelSource:
    """What a Keras model comes from."""

    labels: tuple[str, ...]
    keras_sha256: str
    data_sha256: str
    scores: ScoreSettings
    seed: int
    """Which photos were chosen."""
    max_drop: float
    """Points of accuracy that a format may lose."""
    io: InputType
    """Type of int8's input and output."""


@dataclass
class ModelPacker:
    """Packs the formats of one Keras model."""

    model: Any
    source: ModelSource
    representative: RepresentativePhotos | None
    """What formats that need it were made with."""

    def pack(self, format_: Format, content: bytes, verification: Verification) -> bytes:
        """Put labels, manifest and golden samples into a flatbuffer.

        Raises:
            ModelError: it does not run.
        """
        labels = self.source.labels
        pngs = map(golden.encode_png, self._golden)
        pictures = {f"golden/{index}.png": png for index, png in enumerate(pngs)}
        manifest = self._describe(format_, content, verification, list(pictures))

        def files(network: bytes) -> dict[str, bytes]:
            sha256, crc32 = hashlib.sha256(network).hexdigest(), zlib.crc32(network)
            described = replace(manifest, network=Network(len(network), sha256, crc32))
            return {MANIFEST_NAME: write_manifest(described), **pictures}

        return pack_metadata(
            content,
            labels,
            description=f"{_describe_labels(labels)}; made by edgebee.",
            describe=files,
        )

    def _describe(
        self, format_: Format, content: bytes, verification: Verification, pictures: Sequence[str]
    ) -> Manifest:
        source, size = self.source, self.model.input_shape[1:3]
        io = source.io if format_ == "int8" else "float32"
        pixels = np.stack([golden.enlarge(one, size) for one in self._golden])
        scores = {
            "xnnpack": run_model(content, pixels, tried=True),
            "builtin": run_model(content, pixels, builtin_kernels=True),
        }
        return Manifest(
            format_version=SCHEMA_VERSION,
            labels=source.labels,
            preprocessing=_preprocessing(size, io),
            scores=source.scores,
            golden=_golden_samples(pictures, scores),
            provenance=Provenance(
                keras_sha256=source.keras_sha256,
                weights_sha256=self._weights_sha256,
                data_sha256=source.data_sha256,
                format=format_,
                io=io,
                seed=source.seed,
                versions=_versions(),
                calibration=self.representative if format_ in CALIBRATED_FORMATS else None,
                recovery=None,
            ),
            verification=_verification_result(verification, source.max_drop),
            runtime=_runtime_needs(content),
        )

    @cached_property
    def _weights_sha256(self) -> str:
        return _hash_weights(self.model)

    @cached_property
    def _golden(self) -> list[golden.Pixels]:
        neither = self.source.labels[-1] == NEITHER
        candidates = golden.draw_pictures() + (golden.draw_spots() if neither else [])
        size = self.model.input_shape[1:3]
        pixels = np.stack([golden.enlarge(one, size) for one in candidates])
        scores = score_keras(self.model, pixels)
        return golden.choose_pictures(candidates, scores, neither=neither)


def _describe_labels(labels: Sequence[str]) -> str:
    *classes, last = labels
    if last == NEITHER:
        return f"Tells {', '.join(classes)} apart, or says {NEITHER}"
    return f"Tells {', '.join(labels)} apart"


def _versions() -> dict[str, str]:
    """Versions of the packages that decide about the bytes."""
    import tensorflow

    packages = ("keras", "numpy", "pillow", "ai-edge-litert")
    # Installed as `tensorflow` or as `tensorflow-cpu`, it is the same.
    first = {"edgebee": version("edgebee"), "tensorflow": str(tensorflow.__version__)}
    return first | {package: version(package) for package in packages}


def _hash_weights(model: Any) -> str:
    """SHA-256 of a Keras model's weights: of their values, shapes and order.

    The Keras file itself has a date inside, and another hash every time it is saved.
    """
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype.name}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def hash_photo_list(root: Path, paths: Sequence[Path]) -> str:
    """SHA-256 over the list of photos: their names below `root` and their sizes in bytes.

    Raises:
        ConversionError: a photo is not there any more.
    """
    try:
        lines = sorted(f"{photo_name(root, path)}\t{path.stat().st_size}\n" for path in paths)
    except OSError as error:
        raise ConversionError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _preprocessing(size: tuple[int, int], dtype: str) -> Preprocessing:
    return Preprocessing(
        height=size[0],
        width=size[1],
        dtype=dtype,
        colour="RGB",
        range=(-128, 127) if dtype == "int8" else (0, 255),
        orientation="EXIF",
        fit="short side scaled, centre cut",
        resampling="bicubic",
        transparency="white",
    )


def _golden_samples(
    names: Sequence[str], scores: dict[str, npt.NDArray[np.float32]]
) -> GoldenSamples:
    """The expected scores; `scores`: kind of kernel -> `[pictures, labels]`."""
    samples = tuple(
        GoldenSample(
            file=name,
            # Nine digits restore a float32 exactly.
            scores={
                kernels: tuple(float(f"{score:.9g}") for score in rows[index])
                for kernels, rows in scores.items()
            },
        )
        for index, name in enumerate(names)
    )
    return GoldenSamples(golden.TOLERANCE, samples)


def _verification_result(verification: Verification, max_drop: float) -> VerificationResult:
    """The figures of a verification, rounded to what the next processor gives too."""
    seen = verification.comparison
    return VerificationResult(
        total=seen.total,
        correct=seen.correct,
        keras_correct=seen.reference_correct,
        agreement=verification.agreement,
        largest_difference=round(verification.largest_difference, 3),
        lost=seen.lost,
        gained=seen.gained,
        drop_points=round(seen.drop, 2),
        drop_interval_95=(round(seen.interval.low, 2), round(seen.interval.high, 2)),
        mcnemar_p=round(seen.p, 4),
        max_drop=max_drop,
        neither=_neither_result(verification.neither),
    )


def _neither_result(seen: NeitherVerification | None) -> NeitherResult | None:
    if seen is None:
        return None
    return NeitherResult(
        correct_as_seen=seen.as_seen.correct,
        keras_correct_as_seen=seen.as_seen.reference_correct,
        strangers=seen.strangers,
        refused=seen.refused,
        keras_refused=seen.reference_refused,
        mean_difference=round(seen.mean_difference, 3),
    )


def _runtime_needs(content: bytes) -> RuntimeNeeds:
    file = parse_model_file(content, "the model")
    return RuntimeNeeds(file.min_runtime_version or None, tuple(list_operators(content)))
