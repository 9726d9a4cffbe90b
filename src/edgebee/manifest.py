"""`edgebee.json`, the manifest inside a model file: what the TFLite metadata have no field for.

It has no dates and no absolute paths, so that the same model, photos, seed and versions give
the same bytes. `edge/classify.py` stands alone on a device, and reads the few fields that it
needs by itself.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "GoldenSample",
    "GoldenSamples",
    "Manifest",
    "ManifestError",
    "NeitherResult",
    "Network",
    "Preprocessing",
    "Provenance",
    "RepresentativePhotos",
    "RuntimeNeeds",
    "ScoreSettings",
    "VerificationResult",
    "read_manifest",
    "write_manifest",
]

MANIFEST_NAME = "edgebee.json"
"""Its name in the zip behind the model."""
SCHEMA_VERSION = 1
"""Raised whenever an older edgebee would misunderstand what a newer one writes."""


class ManifestError(ValueError):
    """A manifest that cannot be used: damaged, or written by a newer edgebee."""


@dataclass(frozen=True)
class Preprocessing:
    """What `edgebee.read_photo` does, in words, for those who do the same elsewhere."""

    height: int
    width: int
    dtype: str
    """Of the input; `int8` takes pixels less 128."""
    colour: str
    range: tuple[int, int]
    orientation: str
    fit: str
    resampling: str
    transparency: str


@dataclass(frozen=True)
class ScoreSettings:
    """How scores were calibrated."""

    temperature: float | None
    """The calibrated temperature, which is in the graph already."""
    threshold: float | None
    """Below this share of the best class among the classes (0-1) the runner says `unknown`."""


@dataclass(frozen=True)
class GoldenSample:
    """A small picture in the zip and the scores that the model gave for it."""

    file: str
    scores: Mapping[str, tuple[float, ...]]
    """Kind of kernel (`xnnpack`, `builtin`) -> one score per label."""


@dataclass(frozen=True)
class GoldenSamples:
    """Pictures that show whether a device computes what was computed here."""

    tolerance: float
    """By how much a score may differ, 0-1."""
    samples: tuple[GoldenSample, ...]


@dataclass(frozen=True)
class RepresentativePhotos:
    """The representative dataset: the training photos that value ranges were measured on."""

    files: tuple[str, ...]
    distinct: int
    """Without exact duplicates."""
    of_class: Mapping[str, int]
    """Label -> number of photos."""
    level_range: tuple[int, int]
    """The 1st and the 99th percentile of all pixel values, 0-255."""
    remarks: tuple[str, ...]
    """Problems that did not prevent its use."""


@dataclass(frozen=True)
class Provenance:
    """What the model was made of, and how."""

    keras_sha256: str
    weights_sha256: str
    """Of the weights alone: a Keras file has a date inside."""
    data_sha256: str
    """Of the names and sizes of all training and validation photos."""
    format: str
    io: str
    """Type of the input and the output."""
    seed: int
    versions: Mapping[str, str]
    """Package -> version, of those that decide about the bytes."""
    calibration: RepresentativePhotos | None
    """None for formats that need none."""
    recovery: str | None
    """The fallback that was used; None for the plain way."""


@dataclass(frozen=True)
class NeitherResult:
    """How the model says `neither`, compared with Keras."""

    correct_as_seen: int
    """Validation photos that are correct where `neither` counts as incorrect."""
    keras_correct_as_seen: int
    strangers: int
    """Pictures of none of the classes: blank frames, and photos where there are any."""
    refused: int
    """Of these, those that the model calls `neither`."""
    keras_refused: int
    mean_difference: float
    """Of the scores of `neither` to Keras', of all pictures, 0-1."""


@dataclass(frozen=True)
class VerificationResult:
    """How the model compared with Keras on the validation photos."""

    total: int
    correct: int
    """By the best class, `neither` left out."""
    keras_correct: int
    agreement: int
    """Photos for which both predict the same label."""
    largest_difference: float
    """Of any score to Keras' score, 0-1."""
    lost: int
    """Photos that Keras alone predicts correctly."""
    gained: int
    """Photos that the model alone predicts correctly."""
    drop_points: float
    """Accuracy lost, in points (0-100)."""
    drop_interval_95: tuple[float, float]
    mcnemar_p: float
    max_drop: float
    """The limit that applied, in points."""
    neither: NeitherResult | None = None
    """None, and not written, where the model does not know it."""


@dataclass(frozen=True)
class RuntimeNeeds:
    """What a runtime must have to run the model."""

    min_version: str | None
    """The oldest TensorFlow Lite that has it all, as the converter wrote it."""
    operators: tuple[tuple[str, int], ...]
    """Name and version of each."""


@dataclass(frozen=True)
class Network:
    """Length and hashes of the flatbuffer, which reveal damage that the zip does not cover."""

    bytes: int
    sha256: str
    crc32: int | None = None
    """Which the runner checks at every start; None in files made before it was recorded."""


@dataclass(frozen=True)
class Manifest:
    """What a model file records about itself. Sections that are absent are None."""

    format_version: int = SCHEMA_VERSION
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    scores: ScoreSettings | None = None
    golden: GoldenSamples | None = None
    provenance: Provenance | None = None
    verification: VerificationResult | None = None
    runtime: RuntimeNeeds | None = None
    network: Network | None = None


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as compact UTF-8 JSON."""
    content = asdict(manifest)
    if manifest.verification and manifest.verification.neither is None:
        del content["verification"]["neither"]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: it is damaged, or a newer edgebee wrote it.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:  # no JSON, not in UTF-8, or endlessly deep
        raise ManifestError(f"{MANIFEST_NAME} in it is damaged (no JSON: {error})") from error
    version = value.get("format_version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ManifestError(
            f"{MANIFEST_NAME} in it has format version {version}, and this edgebee reads "
            f"versions up to {SCHEMA_VERSION}; update edgebee"
        )
    try:
        return typing.cast(Manifest, _decode(Manifest, value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ManifestError(f"{MANIFEST_NAME} in it is damaged ({error})") from error


def _decode(kind: typing.Any, value: typing.Any) -> typing.Any:
    """A value of type `kind` from what `json.loads` gave; keys of nobody are ignored.

    Args:
        kind: a dataclass, tuple or mapping, or one of JSON's own types, or one of them or None.
        value: is checked: TypeError and ValueError name what does not fit.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _decode(inner[0], value)
    if origin is tuple:
        kinds = inner[:1] * len(_typed(list, value)) if inner[-1] is Ellipsis else inner
        return tuple(_decode(*pair) for pair in zip(kinds, _typed(list, value), strict=True))
    if origin is not None:  # a mapping from names
        return {name: _decode(inner[1], one) for name, one in _typed(dict, value).items()}
    if is_dataclass(kind):
        given = {}
        for name, inner_kind in typing.get_type_hints(kind).items():
            if name not in _typed(dict, value):
                continue
            try:
                given[name] = _decode(inner_kind, value[name])
            except (TypeError, ValueError, OverflowError) as error:
                raise TypeError(f"{name}: {error}") from error
        return typing.cast(typing.Any, kind)(**given)
    return _typed(kind, float(value) if kind is float and type(value) is int else value)


def _typed(kind: type, value: typing.Any) -> typing.Any:
    # A bool is an int to Python, and JSON's NaN is a float.
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"{str(value)[:80]!r} is no {kind.__name__}")
    return value
