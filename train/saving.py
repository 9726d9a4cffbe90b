"""Write Keras models and weights so that the same ones give the same bytes.

Keras packs its `.keras` zip with the date of the day. That fails, after a whole training,
where the clock says 1970, as it does on machines without a battery until the network tells
them the time; and the same weights give other bytes tomorrow.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edgebee.errors import TrainingError

__all__ = ["save_keras", "save_weights"]

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
_METADATA = "metadata.json"


def save_keras(model: Any, path: Path) -> None:
    """Write a Keras model to `path`, which ends in `.keras`.

    The same weights, layers and version of Keras give the same bytes.

    Raises:
        OSError: it could not be written.
    """
    with tempfile.TemporaryDirectory(prefix="edgebee-keras-") as temporary:
        folder = Path(temporary, "model")
        folder.mkdir()
        model.save(folder, zipped=False)
        metadata = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
        metadata["date_saved"] = "1980-01-01@00:00:00"
        (folder / _METADATA).write_text(json.dumps(metadata), encoding="utf-8")
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _ZIP_EPOCH)
                    archive.writestr(info, file.read_bytes())


def save_weights(model: Any, path: Path) -> None:
    """Write a model's weights, rounded to `float16`, in the format of `model.load_weights`.

    A weight loses less than a thousandth of itself, and the file half its bytes.

    Raises:
        OSError: it could not be written.
        TrainingError: a weight is too large for `float16`, or no number.
    """
    import h5py

    with tempfile.TemporaryDirectory(prefix="edgebee-keras-") as temporary:
        whole = Path(temporary, "model.weights.h5")
        model.save_weights(whole)
        content = io.BytesIO()  # a full disk is then met by one plain write
        with h5py.File(whole) as source, h5py.File(content, "w") as target:

            def copy(name: str, item: Any) -> None:
                if isinstance(item, h5py.Group):
                    copied = target.require_group(name)
                else:
                    with np.errstate(over="ignore"):  # refused below
                        rounded = item[()].astype(np.float16)
                    if not np.isfinite(rounded).all():
                        raise TrainingError(
                            f"{path}: not written: {name} holds a weight too large for float16, or "
                            "no number; start from other weights or photos"
                        )
                    copied = target.create_dataset(name, data=rounded)
                copied.attrs.update(item.attrs)

            source.visititems(copy)
            target.attrs.update(source.attrs)
    path.write_bytes(content.getvalue())
