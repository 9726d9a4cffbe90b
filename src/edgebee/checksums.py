"""`SHA256SUMS`: the fingerprint of every artifact, as `sha256sum -c SHA256SUMS` checks it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgebee.artifacts import write_text
from edgebee.errors import OutputError

__all__ = ["CHECKSUMS_NAME", "write_checksums"]

CHECKSUMS_NAME = "SHA256SUMS"
_ARTIFACTS = (
    "model.keras",
    "labels.txt",
    "history.json",
    "benchmark.json",
    "report.html",
    "training.png",
    "confusion.png",
    "mistakes.png",
    "model_*.tflite",
)
_CHUNK_BYTES = 1 << 20


def write_checksums(folder: Path) -> Path:
    """Write the checksums of the artifacts that are in `folder` now.

    Raises:
        OutputError: an artifact cannot be read, or the file not be written.
    """
    names = sorted({path.name for pattern in _ARTIFACTS for path in folder.glob(pattern)})
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    path = folder / CHECKSUMS_NAME
    write_text(path, "".join(lines))
    return path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()
