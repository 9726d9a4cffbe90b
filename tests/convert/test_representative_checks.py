"""A representative dataset that would ruin int8 is refused; lesser problems are warned of."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras", reason="needs edgebee[train]")
from fragile_models import smooth_picture

from edgebee.convert.representative import RepresentativeDataset
from edgebee.convert.representative_checks import (
    MIN_CORRELATION,
    MIN_SAMPLES,
    check_representative,
    neighbour_correlation,
)
from edgebee.edge.classify import read_photo
from edgebee.errors import ConversionError

LABELS = ("a", "b")


def good(count=20):
    """Pictures as a camera takes them: soft, of all colours."""
    rng = np.random.default_rng(0)
    return np.stack(
        [smooth_picture(rng, rng.uniform(40, 215, 3), contrast=60) for _ in range(count)]
    )


def check(pictures, classes=None, labels=LABELS):
    names = tuple(f"{number}.jpg" for number in range(len(pictures)))
    if classes is None:
        classes = [number % len(labels) for number in range(len(pictures))]
    return check_representative(RepresentativeDataset(pictures, names, tuple(classes)), labels)


def noise(count=20):
    return np.random.default_rng(1).integers(0, 256, (count, 40, 50, 3), np.uint8)


def test_good_photos_pass_without_a_remark():
    seen = check(good())
    assert seen.remarks == ()
    assert (len(seen.files), seen.distinct, seen.of_class) == (20, 20, {"a": 10, "b": 10})
    assert 0 <= seen.level_range[0] < seen.level_range[1] <= 255


RUINOUS = {
    "three": (lambda: (good(3), None), "too few.*--samples"),
    "a class missing": (lambda: (good(), [0] * 20), "no photo of b"),
    "random noise": (lambda: (noise(), None), "random noise"),
    "a quarter noise": (lambda: (np.concatenate([good(15), noise(5)]), None), "5 of 20.*noise"),
    "one colour each": (
        lambda: (
            np.repeat(np.arange(20, dtype=np.uint8), 40 * 50 * 3).reshape(20, 40, 50, 3),
            None,
        ),
        "single colour",
    ),
    "one photo again and again": (lambda: (np.repeat(good(1), 20, axis=0), None), "only 1 of 20"),
}


@pytest.mark.parametrize("case", RUINOUS)
def test_what_would_ruin_the_model_is_refused(case):
    make, words = RUINOUS[case]
    pictures, classes = make()
    with pytest.raises(ConversionError, match=words) as refusal:
        check(pictures, classes)
    assert "\n" not in str(refusal.value)


def test_as_many_photos_as_classes_at_least():
    labels = [f"class {number}" for number in range(MIN_SAMPLES + 4)]
    with pytest.raises(ConversionError, match="too few"):
        check(good(MIN_SAMPLES + 3), labels=labels)
    assert check(good(MIN_SAMPLES + 4), labels=labels).of_class == dict.fromkeys(labels, 1)


ODD = {
    "duplicates": (lambda: np.concatenate([good(), good(2)]), "2 of 22.*duplicates"),
    "a single colour": (
        lambda: np.concatenate([good(), np.full((1, 40, 50, 3), 9, np.uint8)]),
        "single colour.*20.jpg",
    ),
    "one of noise": (lambda: np.concatenate([good(), noise(1)]), "noise.*20.jpg"),
    "all in the dark": (lambda: good() // 6, "levels 0 to .*other light"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_problem_that_can_be_lived_with_is_a_remark(case):
    make, words = ODD[case]
    (remark,) = check(make()).remarks
    assert re.search(words, remark)


@pytest.mark.parametrize("stored_px", [(224, 224), (300, 400), (1000, 1500)])
@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_noise_is_noise_in_any_size_and_format(stored_px, format_):
    pixels = np.random.default_rng(0).integers(0, 256, (*stored_px, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_)
    assert neighbour_correlation(read_photo(buffer.getvalue(), (224, 224))) < MIN_CORRELATION


@pytest.mark.hymenoptera
@pytest.mark.parametrize("side_px", [32, 224])
def test_no_real_photo_is_taken_for_noise(hymenoptera, side_px):
    paths = sorted((hymenoptera / "train").glob("*/*.jpg"))
    assert len(paths) > 200
    found = [neighbour_correlation(read_photo(path, (side_px, side_px))) for path in paths]
    assert min(found) > MIN_CORRELATION
