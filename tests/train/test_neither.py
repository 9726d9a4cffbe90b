"""Trainings that learn to say neither, and those that go without, on drawings."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgebee.edge.classify import read_photo
from edgebee.errors import TrainingError
from edgebee.photos.dataset import Dataset, Photos, load_dataset
from edgebee.run import read_training_record
from edgebee.train.recipe import Recipe
from edgebee.train.training import Training, train_classifier

pytestmark = pytest.mark.usefixtures("tensorflow_started")

RECIPE = Recipe(epochs=2, fine_tune_epochs=0, image_size=96, augmentations=3)


@pytest.fixture(scope="module")
def sample() -> Dataset:
    """A third of the drawings."""
    whole = load_dataset("sample")
    train, validation = (
        Photos(photos.paths[::3], photos.classes[::3]) for photos in (whole.train, whole.validation)
    )
    return replace(whole, train=train, validation=validation)


@pytest.fixture(scope="module")
def stripes(tmp_path_factory) -> tuple[Path, ...]:
    """Pictures of stripes, each of another width and direction, and one that is no picture."""
    folder = tmp_path_factory.mktemp("stripes")
    x, y = np.mgrid[0:120, 0:120]
    for number in range(12):
        angle, width = number * np.pi / 12, 3 + number
        wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * np.pi / width) * 100 + 128
        Image.fromarray(wave.astype(np.uint8)).convert("RGB").save(folder / f"{number:02d}.png")
    (folder / "12.png").write_bytes(b"no picture")
    return tuple(sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def taught(sample, stripes) -> Training:
    dataset = replace(sample, others=stripes[:9], others_validation=stripes[9:])
    return train_classifier(dataset, RECIPE)


def test_what_it_was_learned_from_is_recorded(taught, tmp_path):
    taught.save(tmp_path)
    record = read_training_record(tmp_path)
    assert record.labels == ("ants", "bees", "neither")
    neither = record.neither
    assert neither == taught.neither
    assert neither.other_photos == 9
    assert neither.blank_frames == 40
    assert neither.background_crops >= 10
    assert 0 <= neither.kept <= 1
    seen = {one.source: one for one in neither.measurements}
    assert set(seen) == {"background crops", "blank frames", "other photos"}
    assert seen["other photos"].count == 3
    for one in seen.values():
        assert one.interval[0] <= one.accepted <= one.interval[1]


def test_other_photos_that_were_not_learned_from_are_called_neither(taught):
    seen = {one.source: one for one in taught.neither.measurements}
    assert seen["other photos"].accepted == 0
    assert seen["blank frames"].accepted <= 0.1


def test_one_that_cannot_be_read_is_left_out(taught, stripes):
    assert taught.left_out[str(stripes[12])]


@pytest.mark.slow
def test_in_feature_extraction_classes_are_learned_as_without_it(taught, sample):
    without = train_classifier(sample, replace(RECIPE, neither=False))
    assert without.neither is None
    assert without.labels == ("ants", "bees")
    np.testing.assert_array_equal(without.validation.scores, taught.validation.scores)
    assert without.epochs[-1].loss == taught.epochs[-1].loss


@pytest.mark.slow
def test_fine_tuning_learns_it_with_the_classes(sample, stripes):
    dataset = replace(sample, others=stripes[:9], others_validation=stripes[9:])
    training = train_classifier(dataset, replace(RECIPE, fine_tune_epochs=1))
    validation = training.validation
    pixels = np.stack([read_photo(path, (96, 96)) for path in validation.paths])
    scores = np.asarray(training.model(pixels.astype(np.float32), training=False))
    # Stored activations are float16, which holds three digits.
    np.testing.assert_allclose(scores[:, -1], validation.neither, atol=0.01)
    classes = scores[:, :-1] / scores[:, :-1].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classes, validation.scores, atol=0.01)
    strange = np.stack([read_photo(path, (96, 96)) for path in stripes[9:12]])
    called = np.asarray(training.model(strange.astype(np.float32), training=False)).argmax(axis=1)
    assert called.tolist() == [2, 2, 2]


@pytest.mark.slow
def test_other_photos_of_a_class_are_refused(sample, stripes, tmp_path):
    copy = tmp_path / "copy.png"
    with Image.open(sample.train.paths[3]) as photo:
        photo.resize((photo.width // 2, photo.height // 2)).save(copy)
    dataset = replace(sample, others=(*stripes[:5], copy))
    with pytest.raises(TrainingError, match=r"copy\.png: shows the same as .*photo of a class"):
        train_classifier(dataset, replace(RECIPE, epochs=1))


@pytest.mark.slow
def test_too_few_photos_go_without_and_say_why(sample, remarks):
    few = Photos(sample.train.paths[::4], sample.train.classes[::4])
    training = train_classifier(replace(sample, train=few), replace(RECIPE, epochs=1))
    assert training.labels == ("ants", "bees")
    assert any("ithout neither" in line for line in remarks)


@pytest.mark.slow
def test_other_photos_are_not_used_without_neither(sample, stripes, remarks):
    dataset = replace(sample, others=stripes[:5])
    training = train_classifier(dataset, replace(RECIPE, epochs=1, neither=False))
    assert training.labels == ("ants", "bees")
    assert any("--no-neither" in line for line in remarks)


@pytest.mark.slow
def test_the_folder_of_others_trains_as_the_option(sample, stripes, tmp_path):
    for photos in (sample.train, sample.validation):
        for path, class_ in zip(photos.paths, photos.classes, strict=True):
            target = tmp_path / "photos" / sample.labels[class_] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    shutil.copytree(stripes[0].parent, tmp_path / "photos" / "other")
    dataset = load_dataset(tmp_path / "photos")
    assert dataset.labels == ("ants", "bees")
    training = train_classifier(dataset, replace(RECIPE, epochs=1))
    assert training.neither.other_photos >= 5
