"""Crops of subject and background, and frames with nothing on them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgebee.train.augmentation import DecodedPhoto
from edgebee.train.crops import (
    Box,
    cut_box,
    draw_blank_frame,
    random_box,
    subject_box,
    vary_subject,
)

SIDE_PX = 64


def norms_with_a_subject_at(rows: slice, columns: slice) -> np.ndarray:
    norms = np.ones((7, 7), np.float32)
    norms[rows, columns] = 9
    return norms


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 4), (4, 1)])
def test_the_subject_is_cut_where_it_is(row, column):
    norms = norms_with_a_subject_at(slice(row, row + 3), slice(column, column + 3))
    box = subject_box(norms)
    assert box == (column / 7, row / 7, (column + 3) / 7, (row + 3) / 7)


def test_a_map_that_is_too_coarse_shows_the_whole_photo():
    assert subject_box(np.ones((1, 1), np.float32)) == (0, 0, 1, 1)


def test_the_subject_is_shown_as_it_is_then_corrupted(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (2 * SIDE_PX, 2 * SIDE_PX, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    photo = DecodedPhoto(path, SIDE_PX)
    box = Box(0.25, 0.25, 0.75, 0.75)
    images, again = (list(vary_subject(photo, box, 3, np.random.default_rng(1))) for _ in range(2))
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(images[0], cut_box(photo.large, box, SIDE_PX))
    assert not any(np.array_equal(images[0], corrupted) for corrupted in images[1:])
    assert list(vary_subject(photo, box, 0, np.random.default_rng(1))) == []


def test_the_background_is_cut_out_anywhere():
    boxes = [random_box(np.random.default_rng(seed)) for seed in range(200)]
    sides = [box.right - box.left for box in boxes]
    assert 0.15 <= min(sides) < 0.17
    assert 0.33 < max(sides) <= 0.35
    for low, high in (("left", "right"), ("top", "bottom")):
        assert 0 <= min(getattr(box, low) for box in boxes) < 0.02
        assert 0.98 < max(getattr(box, high) for box in boxes) <= 1


def test_a_crop_shows_its_part_of_the_photo():
    pixels = np.zeros((2 * SIDE_PX, 2 * SIDE_PX, 3), np.uint8)
    pixels[SIDE_PX:, :SIDE_PX] = (200, 100, 50)
    photo = Image.fromarray(pixels)
    crop = cut_box(photo, Box(0.0, 0.5, 0.5, 1.0), SIDE_PX)
    assert crop.shape == (SIDE_PX, SIDE_PX, 3)
    assert (crop == (200, 100, 50)).all()


def test_blank_frames_follow_from_the_seed_and_are_of_many_kinds():
    frames = [draw_blank_frame(SIDE_PX, np.random.default_rng(seed)) for seed in range(40)]
    again = draw_blank_frame(SIDE_PX, np.random.default_rng(7))
    np.testing.assert_array_equal(frames[7], again)
    means = [frame.mean() for frame in frames]
    assert min(means) < 40
    assert max(means) > 200
    assert all(frame.shape == (SIDE_PX, SIDE_PX, 3) for frame in frames)
