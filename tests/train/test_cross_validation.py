"""Held-out folds choose the head's learning rate and tell how far scores can be believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from edgebee.train.cross_validation import (
    LEARNING_RATES,
    LEAST_PHOTOS,
    Calibration,
    calibrate,
    choose_setting,
    cross_validate,
)
from edgebee.train.features import Activations, Features
from edgebee.train.recipe import DEFAULT_LEARNING_RATE, Recipe

IMAGES, FEATURES = 2, 64
RECIPE = Recipe(augmentations=IMAGES, seed=1)


def stored(classes: np.ndarray, pooled: np.ndarray, folder) -> Features:
    """Features as the frozen base would leave them: `pooled` is `[photos, features]`."""
    photos = len(classes)
    rows = photos * IMAGES
    rng = np.random.default_rng(0)
    kept = Activations(rows, (FEATURES,), folder)
    for row in range(rows):
        kept[row] = pooled[row // IMAGES] + rng.normal(0, 0.01, FEATURES)
    return Features(
        boundary=Activations(rows, (1,), folder),
        pooled=kept,
        classes=classes,
        uncorrupted=np.arange(rows).reshape(photos, IMAGES),
        photos=np.arange(photos),
        unreadable={},
        signatures=photos * (None,),
    )


def clustered(class_count: int, photos: int, spread: float, noise: float, folder) -> Features:
    """Photos whose features lie about the middle of their class."""
    rng = np.random.default_rng(0)
    classes = np.arange(photos) % class_count
    middles = rng.normal(0, spread, (class_count, FEATURES))
    return stored(classes, middles[classes] + rng.normal(0, noise, (photos, FEATURES)), folder)


def test_faint_differences_of_many_classes_need_a_high_rate(tmp_path):
    out_of_fold = cross_validate(
        clustered(8, 80, spread=0.1, noise=0.05, folder=tmp_path), 8, RECIPE
    )
    assert out_of_fold.learning_rate >= 4 * DEFAULT_LEARNING_RATE


def test_a_rate_that_would_learn_the_photos_by_heart_is_not_taken(tmp_path):
    out_of_fold = cross_validate(
        clustered(2, 120, spread=0.15, noise=1, folder=tmp_path), 2, RECIPE
    )
    assert out_of_fold.learning_rate == DEFAULT_LEARNING_RATE


def test_the_rate_that_was_given_is_taken(tmp_path):
    photos = clustered(8, 80, spread=0.1, noise=0.05, folder=tmp_path)
    given = Recipe(augmentations=IMAGES, learning_rate=3e-4)
    assert cross_validate(photos, 8, given).learning_rate == 3e-4


@pytest.mark.parametrize("shown", ["the subject", "another class"])
def test_crops_of_the_subject_are_learned_from_unless_that_is_worse(tmp_path, shown):
    photos = clustered(2, 120, spread=0.3, noise=0.5, folder=tmp_path)
    for row in range(IMAGES - 1, len(photos.pooled), IMAGES):
        other = row // IMAGES + (0 if shown == "the subject" else 1)
        photos.pooled[row] = photos.pooled.take([other % 120 * IMAGES])[0]
    out_of_fold = cross_validate(replace(photos, subject_crops=1), 2, RECIPE)
    assert out_of_fold.learn_subject_crops is (shown == "the subject")
    assert out_of_fold.logits.shape == (120, 2)
    given = Recipe(subject_crops=True)
    assert cross_validate(replace(photos, subject_crops=1), 2, given).learn_subject_crops


def test_no_head_has_seen_the_photos_that_it_is_asked_of(tmp_path):
    # The label is a matter of chance, and with as many features as photos any head that has seen
    # a photo knows it: right answers beyond chance could only come from that.
    rng = np.random.default_rng(3)
    pooled = rng.normal(0, 1, (FEATURES, FEATURES))
    classes = rng.permutation(np.arange(FEATURES) % 2)
    out_of_fold = cross_validate(
        stored(classes, pooled, tmp_path), 2, Recipe(augmentations=IMAGES, epochs=40)
    )
    np.testing.assert_array_equal(out_of_fold.classes, classes)
    right = (out_of_fold.logits.argmax(axis=1) == classes).mean()
    assert right < 0.69  # chance is 0.5 and its standard deviation over 64 photos 0.0625


def test_with_many_classes_one_fold_is_asked(tmp_path):
    out_of_fold = cross_validate(
        clustered(50, 200, spread=1, noise=0.1, folder=tmp_path), 50, RECIPE
    )
    assert out_of_fold.logits.shape == (50, 50)
    assert len(set(out_of_fold.classes.tolist())) == 50  # folds are spread over the classes


def test_too_few_photos_say_nothing(tmp_path):
    few = clustered(2, LEAST_PHOTOS - 1, spread=1, noise=0.1, folder=tmp_path)
    assert cross_validate(few, 2, RECIPE) is None
    assert calibrate(None) == Calibration(1.0, None)


def test_rates_are_tried_from_the_usual_one_up():
    assert LEARNING_RATES[0] == DEFAULT_LEARNING_RATE
    assert all(low < high for low, high in pairwise(LEARNING_RATES))


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        pytest.param([[2.0, 2.2, 1.9], [1.0, 1.2, 0.9]], 1, id="plainly better"),
        pytest.param([[1.0, 1.2, 0.9], [2.0, 2.2, 1.9]], 0, id="plainly worse"),
        pytest.param([[1.0, 1.2, 0.9], [0.5, 0.6, 1.6]], 0, id="better by one photo's luck"),
        pytest.param([[3.0, 3.1, 3.2], [1.0, 1.2, 0.9], [0.5, 0.9, 1.6]], 1, id="as good as best"),
        pytest.param([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], 0, id="all the same"),
        pytest.param([[1.0, 1.2, 0.9], [0.1, 0.1, float("nan")]], 0, id="no number"),
    ],
)
def test_the_lowest_rate_that_is_as_good_as_the_best_is_chosen(losses, chosen):
    assert choose_setting(np.array(losses)) == chosen
