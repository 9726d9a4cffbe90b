"""Crops of the background, and frames with nothing on them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgebee.train.crops import Box, background_boxes, cut_box, draw_blank_frame

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
