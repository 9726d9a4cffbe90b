"""Photos for the tests of archives, and how their rows are read."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs edgebee[archive]")

from archive_photos import make_photo  # beside this file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten photos in two folders, and one that is broken."""
    folder = tmp_path / "photos"
    for number in range(10):
        make_photo(folder / f"day {number % 2}" / f"{number}.jpg", number)
    (folder / "day 0" / "5 broken.jpg").write_bytes(b"no photo")
    return folder
