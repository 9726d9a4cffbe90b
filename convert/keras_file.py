"""What can be said of a Keras file without loading TensorFlow."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from edgebee.errors import ConversionError

__all__ = ["check_keras_file", "saving_keras"]

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of Keras' older format, `.h5`


def check_keras_file(path: Path) -> None:
    """Refuse what cannot be a Keras model, before anything slow is done for it.

    Raises:
        ConversionError: there is no such file, or it is neither a zip nor HDF5, as a
            truncated `.keras` file is not.
    """
    try:
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


def saving_keras(path: Path) -> str | None:
    """The version of Keras that saved a `.keras` file; None when it does not say."""
    try:
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.read("metadata.json"))["keras_version"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return said if isinstance(said, str) and re.fullmatch(r"[\w.+-]{1,40}", said) else None


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE
