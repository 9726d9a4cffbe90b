"""The representative dataset: drawn class by class, from training photos, read as the Pi reads."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from edgebee.convert.representative import (
    MIN_SAMPLES,
    RepresentativeDataset,
    check_representative,
    draw_order,
    read_representative_dataset,
)
from edgebee.edge.classify import read_photo
from edgebee.errors import ConversionError

SIZE = (48, 64)


def class_lists() -> list[list[int]]:
    """Classes of photos in all proportions: sorted, mixed, one class alone, dozens."""
    rng = np.random.default_rng(1)
    fixed = [[0], [0] * 9, [0, 1], [0] * 50 + [1], [0] * 3 + [1] * 100 + [2] * 7]
    drawn = [
        np.repeat(np.arange(classes), rng.integers(1, 40, classes)).tolist()
        for classes in (2, 3, 5, 17, 60)
    ]
    mixed = [rng.permutation(classes).tolist() for classes in drawn]
    return fixed + drawn + mixed


@pytest.mark.parametrize("classes", class_lists(), ids=lambda c: f"{len(c)}of{len(set(c))}")
@pytest.mark.parametrize("seed", [0, 7])
def test_any_number_of_samples_is_as_even_as_the_classes_allow(classes, seed):
    sizes = Counter(classes)
    drawn: Counter[int] = Counter()
    for place in draw_order(classes, seed):
        drawn[classes[place]] += 1
        most = max(drawn.values())
        for name, size in sizes.items():
            # At most one behind the others, unless it has given all it has.
            assert drawn[name] >= min(size, most - 1)


@pytest.mark.parametrize("classes", class_lists(), ids=lambda c: f"{len(c)}of{len(set(c))}")
def test_every_photo_is_drawn_once(classes):
    assert sorted(draw_order(classes, 3)) == list(range(len(classes)))


def test_the_seed_decides_which_photos():
    classes = [0] * 30 + [1] * 30
    assert draw_order(classes, 1) == draw_order(classes, 1)
    assert draw_order(classes, 1)[:10] != draw_order(classes, 2)[:10]


def test_every_photo_of_a_class_has_its_chance():
    # 200 draws of 1 in 5: each photo misses all of them with a chance of 0.8^200, nothing.
    first = {draw_order([0] * 5 + [1] * 5, seed)[0] for seed in range(200)}
    assert first == set(range(5))


@pytest.fixture
def photos(tmp_path):
    """Six photos, none with a black and a white pixel in its first corner."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(6):
        pixels = rng.integers(60, 200, (80 + 10 * number, 100, 3), np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def read(paths, **settings):
    defaults = {"samples": 4, "size": SIZE, "seed": 0, "root": paths[0].parent}
    return read_representative_dataset(paths, [0, 0, 0, 1, 1, 1], **(defaults | settings))


def test_pixels_are_those_the_runner_would_see_but_for_two(photos):
    chosen = read(photos)
    expected = np.stack([read_photo(photos[0].parent / name, SIZE) for name in chosen.names])
    differing = np.argwhere((chosen.pixels != expected).any(axis=-1)).tolist()
    assert differing == [[0, 0, 0], [0, 0, 1]]
    assert chosen.pixels[0, 0, 0].tolist() == [0, 0, 0]
    assert chosen.pixels[0, 0, 1].tolist() == [255, 255, 255]


def test_the_converter_is_given_one_photo_at_a_time(photos):
    chosen = read(photos)
    given = list(chosen.samples())
    assert [(one.shape, one.dtype) for (one,) in given] == [((1, *SIZE, 3), np.float32)] * 4
    assert np.array_equal(np.concatenate([one for (one,) in given]), chosen.pixels)


@pytest.mark.parametrize(("samples", "drawn"), [(1, 1), (2, 2), (6, 6), (100, 6)])
def test_as_many_as_asked_or_all_there_are(photos, samples, drawn):
    chosen = read(photos, samples=samples)
    assert len(chosen.names) == len(set(chosen.names)) == drawn == len(chosen.pixels)


def test_a_damaged_photo_is_replaced_by_the_next(photos, warnings):
    damaged = photos[0].parent / read(photos).names[0]
    damaged.write_bytes(damaged.read_bytes()[:60])
    chosen = read(photos)
    assert len(chosen.names) == 4
    assert damaged.name not in chosen.names
    (message,) = warnings
    assert str(damaged) in message


def test_without_a_readable_photo_there_is_no_int8(photos):
    for path in photos:
        path.write_text("no photo")
    with pytest.raises(ConversionError, match="--data"):
        read(photos)


def test_progress_counts_no_more_than_the_samples(photos):
    steps = []
    photos[0].write_text("no photo")
    read(photos, progress=steps.append)
    assert [(step.done, step.total) for step in steps] == [(done, 4) for done in (1, 2, 3, 4)]


# ------------------------------------------------------------------ what would ruin int8


def check(count, classes=None, labels=("a", "b"), darker=1):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8) // darker
    classes = classes or [number % len(labels) for number in range(count)]
    names = tuple(f"{number}.jpg" for number in range(count))
    return check_representative(RepresentativeDataset(pixels, names, tuple(classes)), labels)


def test_photos_of_every_class_pass_without_a_remark():
    seen = check(20)
    assert seen.remarks == ()
    assert (len(seen.files), seen.distinct, seen.of_class) == (20, 20, {"a": 10, "b": 10})
    assert 0 <= seen.level_range[0] < seen.level_range[1] <= 255


def test_too_few_photos_or_a_class_without_any_are_refused():
    with pytest.raises(ConversionError, match=r"too few.*--samples"):
        check(3)
    with pytest.raises(ConversionError, match="no photo of b"):
        check(20, [0] * 20)


def test_as_many_photos_as_classes_at_least():
    labels = [f"class {number}" for number in range(MIN_SAMPLES + 4)]
    with pytest.raises(ConversionError, match="too few"):
        check(MIN_SAMPLES + 3, labels=labels)
    assert check(MIN_SAMPLES + 4, labels=labels).of_class == dict.fromkeys(labels, 1)


def test_photos_that_are_all_dark_are_remarked_on():
    (remark,) = check(20, darker=6).remarks
    assert "levels 0 to 4" in remark
    assert "other light" in remark
