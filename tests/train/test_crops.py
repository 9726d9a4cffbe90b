"""Crops of subject and background, and frames with nothing on them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgebee.train.augmentation import DecodedPhoto
from edgebee.train.crops import (
    Box,
    background_boxes,
    cut_box,
    draw_blank_frame,
    subject_box,
    vary_subject,
)

SIDE_PX = 64


def norms_with_a_subject_at(rows: slice, columns: slice) -> np.ndarray:
    norms = np.ones((7, 7), np.float32)
    norms[rows, columns] = 9
    return norms


def overlap(one: Box, other: Box) -> float:
    """Area that two boxes have in common, in areas of the first."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    area = (one.right - one.left) * (one.bottom - one.top)
    return max(0.0, width) * max(0.0, height) / area


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(0, 4), slice(0, 7)), (slice(2, 5), slice(4, 7)), (slice(0, 7), slice(0, 3))],
)
def test_background_is_cut_where_the_subject_is_not(rows, columns):
    subject = Box(columns.start / 7, rows.start / 7, columns.stop / 7, rows.stop / 7)
    boxes = background_boxes(norms_with_a_subject_at(rows, columns), 2)
    assert overlap(boxes[0], subject) == 0
    assert len(boxes) == 2
    assert overlap(*boxes) <= 1 / 3 + 1e-9  # rounding of the shares


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


@pytest.mark.parametrize(("side", "count"), [(1, 0), (2, 2), (3, 2), (5, 2), (7, 2), (10, 2)])
def test_a_coarser_map_has_fewer_and_larger_cells(side, count):
    boxes = background_boxes(np.ones((side, side), np.float32), 2)
    assert len(boxes) == count
    for box in boxes:
        assert 0 <= box.left < box.right <= 1
        assert 0 <= box.top < box.bottom <= 1


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
