"""Feature extraction: the frozen base, run once per image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgebee.errors import OutputError
from edgebee.train.augmentation import DecodedPhoto, augment_photo
from edgebee.train.backbone import build_backbone, cut_below
from edgebee.train.features import Activations, extract_features, freeze_base
from edgebee.train.photo_features import PhotoTask, extract_photo

SIDE_PX = 96


@pytest.mark.parametrize("budget_bytes", [10**9, 0])
def test_activations_give_back_what_was_put_in(tmp_path, budget_bytes):
    values = np.random.default_rng(0).normal(size=(7, 3, 2, 4)).astype(np.float16)
    stored = Activations(7, (3, 2, 4), tmp_path, budget_bytes)
    for row in reversed(range(7)):
        stored[row] = values[row]
    assert stored.on_disk == (budget_bytes == 0)
    taken = stored.take(np.array([5, 0, 5]))
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, values[[5, 0, 5]].astype(np.float32))
    assert list(tmp_path.iterdir()) == []  # the file has no name, so nothing can be left behind


def test_a_disk_that_is_too_small_is_refused_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="GB are free; free some, or take fewer --augmentations"):
        Activations(10**9, (10**6,), tmp_path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.jpg" for number in range(4)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (120, 150, 3), np.uint8)).resize((300, 240)).save(path)
    return paths


def tasks_of(paths: list[Path]) -> list[PhotoTask]:
    return [
        PhotoTask(path, SIDE_PX, 2, (0, photo), background_crops=1)
        for photo, path in enumerate(paths)
    ]


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(SIDE_PX, 1.0, "imagenet")


@pytest.fixture(scope="module")
def base(backbone):
    """The backbone as a frozen graph with an exit at the usual cut."""
    return freeze_base(backbone, cut_below(backbone, 100))


def test_stored_features_are_what_the_frozen_keras_layers_give(photos, backbone, base, tmp_path):
    import keras

    cut = cut_below(backbone, 100)
    features = extract_features(base, tasks_of(photos), [0, 1, 0, 1], tmp_path)
    images = [
        image
        for photo, path in enumerate(photos)
        for image in augment_photo(
            DecodedPhoto(path, SIDE_PX), 2, np.random.default_rng([0, photo])
        )
    ]
    pixels = np.stack([image.pixels for image in images], dtype=np.float32)
    exits = keras.Model(backbone.input, [cut.output, backbone.output])
    boundary, maps = exits.predict(pixels / 127.5 - 1, verbose=0)
    rows = np.arange(8)
    # float16 keeps 11 bits: half a unit in 1000 of the largest values.
    np.testing.assert_allclose(
        features.boundary.take(rows), boundary, atol=np.abs(boundary).max() / 1000
    )
    np.testing.assert_allclose(features.pooled.take(rows), maps.mean((1, 2)), atol=0.005)
    np.testing.assert_array_equal(features.uncorrupted, [[0, 1], [2, 3], [4, 5], [6, 7]])


@pytest.mark.slow
def test_a_photo_that_cannot_be_read_is_noted_and_left_out(photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:500])
    backbone = build_backbone(SIDE_PX, 0.35, "none")
    features = extract_features(
        freeze_base(backbone, cut_below(backbone, 100)),
        tasks_of([photos[0], broken, photos[1]]),
        [0, 0, 1],
        tmp_path,
    )
    np.testing.assert_array_equal(features.photos, [0, 2])
    assert list(features.unreadable) == [1]
    assert str(broken) in features.unreadable[1]


def test_the_same_photos_give_the_same_bits_wherever_and_in_whichever_order(photos, base, tmp_path):
    def backwards(graph, tasks):
        for place, task in reversed(list(enumerate(tasks))):
            yield place, extract_photo(graph, replace(task, content=task.path.read_bytes()))

    runs = [
        extract_features(base, tasks_of(photos), [0] * 4, tmp_path, **settings)
        for settings in ({}, {"run": backwards})
    ]
    for get in (lambda one: one.boundary.take(range(8)), lambda one: one.pooled.take(range(8))):
        np.testing.assert_array_equal(get(runs[0]), get(runs[1]))
    one, other = (run.backgrounds for run in runs)
    assert len(one.photos) == 4
    np.testing.assert_array_equal(one.photos, other.photos)
    np.testing.assert_array_equal(one.images.pooled, other.images.pooled)
    np.testing.assert_array_equal(one.images.boundary, other.images.boundary)


def test_the_last_images_are_crops_of_the_subject(photos, base, tmp_path):
    plain, with_subject = (
        extract_features(
            base,
            [PhotoTask(path, SIDE_PX, 4 + crops, (0,), subject_crops=crops) for path in photos],
            [0] * 4,
            tmp_path,
        )
        for crops in (0, 2)
    )
    assert (plain.learned, with_subject.learned) == (4, 6)
    np.testing.assert_array_equal(
        with_subject.pooled.take(with_subject.rows(np.arange(4))[:, :4].ravel()),
        plain.pooled.take(plain.rows(np.arange(4)).ravel()),
    )
    assert with_subject.uncorrupted[1].tolist()[-2:] == [10, 10]  # the one that is not corrupted
    without = replace(with_subject, learn_subject_crops=False)
    assert without.rows(np.array([2])).tolist() == [[12, 13, 14, 15]]


@pytest.mark.parametrize("content", [b"", b"not a photo"])
def test_a_content_that_is_no_photo_is_reported_as_its_file_is(tmp_path, base, content):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    task = PhotoTask(path, SIDE_PX, 2, (0,))
    message = extract_photo(base.graph, task)
    assert message.startswith(f"{path}: unreadable (")
    assert extract_photo(base.graph, replace(task, content=content)) == message
