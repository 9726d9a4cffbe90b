"""`edgebee.json`: what a model file says of itself, beyond the TFLite metadata standard.

It has no dates and no absolute paths, so that the same model, photos, seed and versions give
the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.golden import TOLERANCE
from edgebee.convert.representative import photo_name
from edgebee.convert.representative_checks import CalibrationAudit
from edgebee.convert.verification import Verification
from edgebee.edge.tflite.runtimes import list_operators
from edgebee.errors import ConversionError

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "calibration_record",
    "encode_manifest",
    "golden_record",
    "hash_photo_list",
    "hash_weights",
    "network_record",
    "preprocessing_record",
    "runtime_record",
    "verification_record",
    "versions_record",
]

MANIFEST_NAME = "edgebee.json"
FORMAT_VERSION = 1
_PACKAGES = ("edgebee", "tensorflow", "keras", "numpy", "pillow", "ai-edge-litert")
_MIN_RUNTIME_NAME = b"min_runtime_version"


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as UTF-8 JSON without a byte to spare."""
    return json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()


def preprocessing_record(size: tuple[int, int], dtype: str) -> dict[str, Any]:
    """What `read_photo` does, in words, for those who have to do the same elsewhere.

    Args:
        size: height and width of the input, in pixels.
        dtype: of the input; `int8` takes pixels less 128.
    """
    return {
        "height": size[0],
        "width": size[1],
        "dtype": dtype,
        "colour": "RGB",
        "range": [-128, 127] if dtype == "int8" else [0, 255],
        "orientation": "EXIF",
        "fit": "short side scaled, centre cut",
        "resampling": "bicubic",
        "transparency": "white",
    }


def golden_record(
    names: Sequence[str], scores: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """The golden samples' expected scores.

    Args:
        names: of the pictures in the zip.
        scores: kind of kernel -> `[pictures, labels]`.
    """
    samples = [
        {
            "file": name,
            # Nine digits bring a float32 back to the bit.
            "scores": {
                kernels: [float(f"{score:.9g}") for score in rows[place]]
                for kernels, rows in scores.items()
            },
        }
        for place, name in enumerate(names)
    ]
    return {"tolerance": TOLERANCE, "samples": samples}


def calibration_record(
    audit: CalibrationAudit, names: Sequence[str], labels: Sequence[str]
) -> dict[str, Any]:
    """Which photos int8 was calibrated on, and what was seen of them."""
    return {
        "files": list(names),
        "distinct": audit.distinct,
        "of_class": dict(zip(labels, audit.of_class, strict=True)),
        "level_range": list(audit.level_range),
        "remarks": list(audit.remarks),
    }


def verification_record(verification: Verification, max_drop: float) -> dict[str, Any]:
    """The figures of a verification, rounded to what the next processor gives too."""
    seen = verification.comparison
    return {
        "total": seen.total,
        "correct": seen.correct,
        "keras_correct": seen.reference_correct,
        "agreement": verification.agreement,
        "largest_difference": round(verification.largest_difference, 3),
        "lost": seen.lost,
        "gained": seen.gained,
        "drop_points": round(seen.drop, 2),
        "drop_interval_95": [round(seen.interval.low, 2), round(seen.interval.high, 2)],
        "mcnemar_p": round(seen.p, 4),
        "max_drop": max_drop,
    }


def runtime_record(content: bytes) -> dict[str, Any]:
    """What a runtime must know to run the model: its operators with their versions."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    noted = [
        bytes(model.buffers[entry.buffer].data)
        for entry in model.metadata or []
        if entry.name == _MIN_RUNTIME_NAME
    ]
    least = noted[0].rstrip(b"\0").decode() if noted else ""
    return {
        "min_version": least or None,
        "operators": [list(operator) for operator in list_operators(content)],
    }


def network_record(network: bytes) -> dict[str, Any]:
    """Length and SHA-256 of the flatbuffer, which show damage that the zip does not cover."""
    return {"bytes": len(network), "sha256": hashlib.sha256(network).hexdigest()}


def versions_record() -> dict[str, str]:
    """Versions of the packages that have a say in the bytes."""
    return {package: version(package) for package in _PACKAGES}


def hash_weights(model: Any) -> str:
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
