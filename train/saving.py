"""Write a Keras model so that the clock has no part in it.

Keras packs its `.keras` zip with the date of the day. That fails, after a whole training,
where the clock says 1970, as it does on machines without a battery until the network tells
them the time; and the same weights give other bytes tomorrow.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

__all__ = ["save_keras"]

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
