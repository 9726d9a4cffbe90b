"""Photos that are left out by `--exclude`."""

from __future__ import annotations

from pathlib import Path

import pytest
from photo_folders import SPLIT, TO_SPLIT, make, names  # beside this file

from edgebee.errors import DataError
from edgebee.photos.dataset import load_dataset


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("train/ants/000.jpg", ["train/ants/000.jpg"]),
        ("./train/ants/000.jpg", ["train/ants/000.jpg"]),
        ("train/*/001.*", ["train/ants/001.jpg", "train/bees/001.jpg"]),
        ("*1.jpg", ["train/ants/001.jpg", "train/bees/001.jpg", "val/bees/001.jpg"]),
        ("002.jpg", ["train/bees/002.jpg"]),
        ("val/bees/[0]??.jpg", ["val/bees/000.jpg"]),
        ("val/bees/x [1].jpg", ["val/bees/x [1].jpg"]),
    ],
)
def test_photos_can_be_left_out(tmp_path: Path, pattern: str, gone: list[str]) -> None:
    everything = [*SPLIT, "val/bees/x [1].jpg"]
    root = make(tmp_path / "d", everything)
    if pattern == "val/bees/[0]??.jpg":
        (root / "val/bees/001.jpg").unlink()
        everything.remove("val/bees/001.jpg")
    data = load_dataset(str(root), exclude=[pattern])
    assert set(everything) - {*names(data, data.train), *names(data, data.validation)} == set(gone)


def test_left_out_photos_are_not_in_the_split(tmp_path: Path) -> None:
    root = make(tmp_path / "d", TO_SPLIT)
    whole = load_dataset(str(root))
    data = load_dataset(str(root), exclude=["ants/00*.jpg"])
    counts = zip(data.train.counts(3), data.validation.counts(3), strict=True)
    assert [sum(both) for both in counts] == [2, 30, 25]
    assert data.validation.classes.count(2) == whole.validation.classes.count(2)


def test_an_exclude_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    root = make(tmp_path / "d", SPLIT)
    with pytest.raises(DataError, match=r"--exclude 'train/wasps/\*' matches no photo"):
        load_dataset(str(root), exclude=["*1.jpg", "train/wasps/*"])


def test_a_class_whose_photos_are_all_excluded(tmp_path: Path) -> None:
    root = make(tmp_path / "d", SPLIT)
    with pytest.raises(DataError, match="every photo is excluded in val/ants; exclude fewer"):
        load_dataset(str(root), exclude=["val/ants/*"])
