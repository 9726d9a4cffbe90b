"""Check a Keras file without loading TensorFlow."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from edgebee.errors import ConversionError

__all__ = ["check_keras_file", "saving_keras"]

MOST_ENTRIES = 10_000
MOST_TEXT_BYTES = 50_000_000
"""Of the JSON files in a `.keras` file, unpacked; a MobileNetV2's take 0.2 MB."""
MOST_BYTES = 4_000_000_000
"""Of all that is in a `.keras` file, unpacked."""
CODE_LAYERS = ("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper")
"""Layers of Keras that hold a program, or the path of one, beside or instead of weights."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of Keras' older format, `.h5`


def check_keras_file(path: Path) -> None:
    """Refuse what cannot be a Keras model, before anything slow is done for it.

    Raises:
        ConversionError: there is no such file; it is neither a zip nor HDF5, as a truncated
            `.keras` file is not; it would unpack to a flood, or it carries code.
    """
    try:
        if path.is_dir():
            raise ConversionError(
                f"{path}: a folder, perhaps a SavedModel; save the Keras model itself with "
                "model.save('model.keras')"
            )
        with path.open("rb") as file:
            sound = zipfile.is_zipfile(file) or _is_hdf5(path)
    except FileNotFoundError as error:
        raise ConversionError(f"{path}: no such model; make one with: edgebee train") from error
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read ({error.strerror})") from error
    if not sound:
        raise ConversionError(
            f"{path}: not a Keras model, or a damaged one; make one with: edgebee train"
        )
    if zipfile.is_zipfile(path):
        _check_entries(path)


def _check_entries(path: Path) -> None:
    """Refuse a zip that is too large unpacked, and layers that carry code."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            texts = [entry for entry in entries if entry.filename.endswith(".json")]
            if (
                len(entries) > MOST_ENTRIES
                or sum(entry.file_size for entry in entries) > MOST_BYTES
                or any(entry.file_size > MOST_TEXT_BYTES for entry in texts)
            ):
                raise ConversionError(
                    f"{path}: far larger unpacked than any image classifier; make one with: "
                    "edgebee train"
                )
            config = b"".join(archive.read(entry) for entry in texts)
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ConversionError(f"{path}: damaged ({str(error)[:200]}); copy it again") from error
    for layer in CODE_LAYERS:
        if re.search(rb'"class_name"\s*:\s*"%s"' % layer.encode(), config):
            raise ConversionError(
                f"{path}: carries code (a {layer} layer), which edgebee never runs; train a model "
                "of Keras' ordinary layers"
            )


def saving_keras(path: Path) -> str | None:
    """The version of Keras that saved a `.keras` or `.h5` file; None when it is not recorded."""
    try:
        if _is_hdf5(path):
            import h5py

            with h5py.File(path) as file:
                version = file.attrs["keras_version"]
        else:
            with zipfile.ZipFile(path) as archive:
                version = json.loads(archive.read("metadata.json"))["keras_version"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile):
        return None
    text = version.decode("ascii", "replace") if isinstance(version, bytes) else version
    return text if isinstance(text, str) and re.fullmatch(r"[\w.+-]{1,40}", text) else None


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
