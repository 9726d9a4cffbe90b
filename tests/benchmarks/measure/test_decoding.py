"""Every photo decoded once, in order, on all cores."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgebee.benchmarks.measure.decoding import decode_photos, first_readable, spread_evenly
from edgebee.edge.classify import read_photo
from edgebee.errors import BenchmarkError

SIZE = (12, 16)


@pytest.fixture
def photos(tmp_path):
    """Five photos of different grey."""
    paths = []
    for number, value in enumerate((10, 40, 200, 220, 250)):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (40, 30), (value,) * 3).save(paths[-1])
    return paths


def test_pixels_are_those_of_the_runner_in_order(photos, tmp_path):
    decoded = decode_photos(photos, SIZE, tmp_path)
    pixels = np.load(decoded.pixels, mmap_mode="r")
    assert (pixels.shape, pixels.dtype) == ((5, *SIZE, 3), np.uint8)
    for path, one in zip(photos, pixels, strict=True):
        assert np.array_equal(one, read_photo(path, SIZE))
    assert (decoded.readable, decoded.skipped) == ((0, 1, 2, 3, 4), ())


def test_what_cannot_be_read_is_told_and_left_out(photos, tmp_path):
    photos[0].write_text("no photo")
    photos[3].write_bytes(photos[3].read_bytes()[:40])
    decoded = decode_photos(photos, SIZE, tmp_path)
    assert decoded.readable == (1, 2, 4)
    assert np.load(decoded.pixels)[:, 0, 0, 0].tolist() == [40, 200, 250]
    assert [str(path) in told for path, told in zip(
        (photos[0], photos[3]), decoded.skipped, strict=True
    )] == [True, True]  # fmt: skip
    assert first_readable(photos) == photos[1]


def test_without_a_readable_photo_there_is_no_result(photos, tmp_path):
    for path in photos:
        path.write_text("no photo")
    with pytest.raises(BenchmarkError, match="--data"):
        decode_photos(photos, SIZE, tmp_path)
    with pytest.raises(BenchmarkError, match="--data"):
        first_readable(photos)


@pytest.mark.parametrize(
    ("total", "wanted", "places"),
    [
        (5, 3, [0, 2, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (3, 24, [0, 1, 2]),
        (1, 1, [0]),
        (153, 2, [0, 152]),
    ],
)
def test_timed_photos_are_spread_over_all(total, wanted, places):
    assert spread_evenly(total, wanted) == places
