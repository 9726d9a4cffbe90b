"""Folders of tiny photos, for the tests of what a data set is made of."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from edgebee.photos.dataset import Dataset, Photos


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 160, 30)).save(file, "JPEG")
    return file.getvalue()


JPEG = jpeg()


def make(root: Path, names: Iterable[str]) -> Path:
    """Put a tiny photo at each of `names` below `root`; a name ending in / is a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if name.endswith("/") else path.write_bytes(JPEG)
    return root


def numbered(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number:03d}.jpg" for number in range(count)]


def names(data: Dataset, photos: Photos) -> list[str]:
    return [path.relative_to(data.root).as_posix() for path in photos.paths]


SPLIT = [
    *numbered("train/bees", 3),
    *numbered("train/ants", 2),
    *numbered("val/ants", 1),
    *numbered("val/bees", 2),
]

TO_SPLIT = [*numbered("ants", 40), *numbered("bees", 25), *numbered("a wasp", 2)]
