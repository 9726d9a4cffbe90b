"""Augmentation: what one training photo could also have looked like."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgebee.edge.classify import read_photo
from edgebee.train.augmentation import CORRUPTIONS, DecodedPhoto, augment_photo

SIDE_PX = 64


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    path = tmp_path / "photo.jpg"
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=95)
    return path


@pytest.mark.parametrize("count", [1, 2, 3, 4, 12])
def test_so_many_images_of_the_models_size(photo, count):
    images = list(augment_photo(DecodedPhoto(photo, SIDE_PX), count, np.random.default_rng(1)))
    assert len(images) == count
    assert {(image.pixels.shape, image.pixels.dtype.name) for image in images} == {
        ((SIDE_PX, SIDE_PX, 3), "uint8")
    }


def test_the_first_image_is_what_the_runner_will_see(photo):
    image = next(augment_photo(DecodedPhoto(photo, SIDE_PX), 4, np.random.default_rng(1)))
    np.testing.assert_array_equal(image.pixels, read_photo(photo, (SIDE_PX, SIDE_PX)))
    assert image.uncorrupted == 0


def test_the_seed_decides_everything(photo):
    def pixels(seed: int) -> list[np.ndarray]:
        return [
            image.pixels
            for image in augment_photo(DecodedPhoto(photo, SIDE_PX), 5, np.random.default_rng(seed))
        ]

    assert all(np.array_equal(*pair) for pair in zip(pixels(3), pixels(3), strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(pixels(3)[1:], pixels(4)[1:], strict=True))


def test_a_corrupted_image_names_one_without_corruption(photo):
    images = list(augment_photo(DecodedPhoto(photo, SIDE_PX), 16, np.random.default_rng(2)))
    assert [image.uncorrupted for image in images[:2]] == [0, 1]
    assert {image.uncorrupted for image in images[2:]} == {0, 1}


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda corrupt: corrupt.__name__)
@pytest.mark.parametrize("fill", [0, 128, 255])
def test_corruptions_take_any_image_and_change_it(corrupt, fill):
    rng = np.random.default_rng(0)
    even = np.full((SIDE_PX, SIDE_PX, 3), fill, np.uint8)
    assert corrupt(rng, even).dtype == np.uint8
    busy = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    difference = np.abs(corrupt(rng, busy).astype(int) - busy).mean()
    assert difference > 2  # of 255: more than recompression at good quality would do
