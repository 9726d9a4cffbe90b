"""What the drawn sample promises: the same from the same seed, and not too easy."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgebee.photos import sample
from edgebee.photos.dataset import sample_folder
from edgebee.photos.sample import SIZES_PX, draw_photo, draw_sample

BOTH = pytest.mark.parametrize("label", sample.LABELS)


@pytest.fixture(scope="module")
def folder():
    """The whole set, which is drawn once for all tests."""
    return sample_folder()


def rows(folder: Path, half: str, features) -> tuple[np.ndarray, np.ndarray]:
    """The features of each picture of a half as a row, and -1 for an ant, 1 for a bee."""
    found, classes = [], []
    for sign, label in zip((-1, 1), sample.LABELS, strict=True):
        for path in sorted((folder / half / label).iterdir()):
            with Image.open(path) as picture:
                found.append(np.append(features(picture), 1.0))
            classes.append(sign)
    return np.stack(found), np.array(classes)


def jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=sample.JPEG_QUALITY)
    return stream.getvalue()


@BOTH
@pytest.mark.parametrize(
    ("split", "count"), [("train", sample.TRAINING_PER_CLASS), ("val", sample.VALIDATION_PER_CLASS)]
)
def test_folder_holds_the_promised_number_of_jpegs(folder, split, count, label):
    names = sorted(path.name for path in (folder / split / label).iterdir())
    assert names == [f"{label[:-1]}_{index:03d}.jpg" for index in range(count)]


def test_pictures_are_rgb_jpegs_of_the_known_sizes_in_both_orientations(folder):
    kinds, sizes = set(), set()
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as picture:
            kinds.add((picture.format, picture.mode))
            sizes.add(picture.size)
    assert kinds == {("JPEG", "RGB")}
    assert sizes == set(SIZES_PX)
    assert any(width > height for width, height in SIZES_PX)
    assert any(width < height for width, height in SIZES_PX)


def test_no_two_files_are_alike(folder):
    contents = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    assert len(set(contents)) == len(contents)


@BOTH
def test_same_seed_gives_the_same_bytes(folder, label):
    # The file was drawn in the middle of the set, this one alone: each has its own stream.
    class_index = sample.LABELS.index(label)
    alone = draw_photo(label, np.random.default_rng([0, 1, class_index, 7]))
    assert jpeg(alone) == (folder / "val" / label / f"{label[:-1]}_007.jpg").read_bytes()


@BOTH
def test_another_seed_gives_another_picture(label):
    one, other = (draw_photo(label, np.random.default_rng([seed, 0, 0, 0])) for seed in (0, 1))
    assert jpeg(one) != jpeg(other)


def test_another_seed_gives_another_set(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "TRAINING_PER_CLASS", 2)
    monkeypatch.setattr(sample, "VALIDATION_PER_CLASS", 1)
    draw_sample(tmp_path, seed=1)
    drawn = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.jpg"))
    assert len(drawn) == 6
    assert all((folder / name).read_bytes() != (tmp_path / name).read_bytes() for name in drawn)


def colour_histogram(picture: Image.Image) -> np.ndarray:
    """Shares of 64 colours."""
    red, green, blue = np.moveaxis(np.asarray(picture) >> 6, 2, 0).astype(int)
    counts = np.bincount((red * 16 + green * 4 + blue).ravel(), minlength=64)
    return np.sqrt(counts / counts.sum())


def thumbnail(picture: Image.Image, side_px: int) -> np.ndarray:
    small = picture.resize((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(small, np.float64).ravel() / 255 - 0.5


@pytest.mark.parametrize(
    "features",
    [
        pytest.param(colour_histogram, id="colour histogram"),
        pytest.param(lambda picture: thumbnail(picture, 1), id="mean colour"),
        pytest.param(lambda picture: thumbnail(picture, 8), id="8x8 thumbnail"),
    ],
)
def test_colour_and_place_do_not_give_the_class_away(folder, features):
    """Ground, light and coats overlap: whoever wants the class must see the shape.

    A ridge classifier gets 45 to 63 % of the 60 validation pictures (seeds 0-2), which is
    chance; 75 % is four standard deviations above it. A trained edgebee gets all 60 right.
    """
    x, y = rows(folder, "train", features)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)
    x_val, y_val = rows(folder, "val", features)
    assert np.mean((x_val @ weights > 0) == (y_val > 0)) < 0.75
