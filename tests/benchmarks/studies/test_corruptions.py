"""Corruptions for measuring robustness."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgebee.benchmarks.studies.corruptions import DISTORTIONS, SEVERITIES
from edgebee.benchmarks.studies.robustness import Corruption, corrupted_photos, measure_robustness


@pytest.fixture
def photo() -> np.ndarray:
    """Patches of about four pixels: detail that a blur takes away."""
    coarse = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("name", [name for name in DISTORTIONS if name not in {"far", "small"}])
def test_a_corruption_keeps_the_size_and_grows_with_severity(name, photo):
    results = [
        DISTORTIONS[name](np.random.default_rng(1), photo, strength) for strength in (0.0, 1.0)
    ]
    assert {(result.shape, result.dtype.name) for result in results} == {(photo.shape, "uint8")}
    moderate, strong = (np.abs(result.astype(int) - photo).mean() for result in results)
    assert 1 < moderate < strong


@pytest.mark.parametrize(
    ("name", "strength", "share"),
    [("far", 0.0, 0.5), ("far", 1.0, 0.35), ("small", 0.0, 0.6), ("small", 1.0, 0.45)],
)
def test_the_whole_photo_is_in_the_frame_at_the_stated_share(name, strength, share, photo):
    result = DISTORTIONS[name](np.random.default_rng(1), photo, strength)
    assert result.shape == photo.shape
    size = (round(320 * share), round(240 * share))
    tile = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
    places = [
        (top, left)
        for top in range(240 - size[1] + 1)
        for left in range(320 - size[0] + 1)
        if np.array_equal(result[top : top + size[1], left : left + size[0]], tile)
    ]
    ((top, left),) = places
    away = np.hypot(top + size[1] / 2 - 120, left + size[0] / 2 - 160)
    # Whole pixels: half a pixel of rounding each way. 15 % of the short side is 36 pixels.
    assert away == pytest.approx(0 if name == "far" else 36, abs=1)


@pytest.mark.parametrize("name", ["defocus", "motion"])
def test_blur_keeps_an_even_picture_and_the_light(name, photo):
    even = np.full((100, 120, 3), 77, np.uint8)
    np.testing.assert_array_equal(DISTORTIONS[name](np.random.default_rng(1), even, 1.0), even)
    blurred = DISTORTIONS[name](np.random.default_rng(1), photo, 1.0)
    # A kernel that adds up to 1 moves light about and loses none; the edges are mirrored.
    assert blurred.mean() == pytest.approx(photo.mean(), abs=2)


def test_dusk_takes_the_stated_light(photo):
    dark = DISTORTIONS["dusk"](np.random.default_rng(1), photo, 0.0)
    # 30 % of the light; noise that is cut off at black adds a little.
    assert dark.mean() == pytest.approx(0.30 * photo.mean(), rel=0.1)


def test_every_photo_is_corrupted_in_the_same_way_each_time(photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    first, again = list(corrupted_photos(path)), list(corrupted_photos(path))
    assert len(first) == 1 + len(DISTORTIONS) * len(SEVERITIES)
    for (way, pixels), (other_way, other_pixels) in zip(first, again, strict=True):
        assert way == other_way
        np.testing.assert_array_equal(pixels, other_pixels)


def test_correct_predictions_are_counted_by_corruption(photo, tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(photo).save(path)

    def says_zero(pictures):
        return np.zeros(len(pictures), np.int64)

    def knows_clean_photos_alone(pictures):
        return np.array([0, *[1] * (len(pictures) - 1)])

    blind, frail = measure_robustness(
        [says_zero, knows_clean_photos_alone], paths, classes=[0, 0, 1]
    )
    assert blind.correct[Corruption("as it is", "")] == 2
    assert blind.errors() == pytest.approx(1 / 3)
    assert frail.correct[Corruption("as it is", "")] == 2
    assert frail.errors("strong") == pytest.approx(2 / 3)
