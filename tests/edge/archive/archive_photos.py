"""Small photos, and what an archive holds of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import edgebee.edge
from edgebee.edge.archive.archive import Archive, classify_archive

MODEL = Path(edgebee.edge.__file__).resolve().parent / "models" / "hymenoptera_int8.tflite"
TINY_MODEL = Path(__file__).resolve().parents[1] / "dark_light_neither.tflite"
"""8 kB: dark, light or neither."""


def make_photo(path: Path, colour: int = 0, **options: Any) -> Path:
    """A small photo, of another content for each colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48), (colour * 7 % 256, colour * 31 % 256, 90))
    image.putpixel((colour % 64, 10), (255, 255, 255))
    image.save(path, **options)
    return path


def rows_of(folder: Path) -> pa.Table:
    """All rows of all parts."""
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*.parquet")))


def paths_of(folder: Path) -> list[str]:
    """The path of each row."""
    paths: list[str] = rows_of(folder)["path"].to_pylist()
    return paths


def archived(source: object, folder: Path, **options: Any) -> Archive:
    """Archive in parts of four photos, by the tiny model."""
    return classify_archive(str(source), folder, **{"model": TINY_MODEL, "part_size": 4, **options})
