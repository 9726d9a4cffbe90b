"""Folds: every class in each, and photos of one scene in the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.train.folds import same_scenes, stratified_folds

FEATURES = 64


def photos_of_scenes(scenes: int, photos: int, likeness: float) -> np.ndarray:
    """Features `[scenes * photos, features]`; the closer to 1, the more alike those of a scene."""
    rng = np.random.default_rng(0)
    subject = rng.normal(1, 0.5, FEATURES)
    middles = subject + rng.normal(0, 1, (scenes, 1, FEATURES))
    return (middles + rng.normal(0, 1 - likeness, (scenes, photos, FEATURES))).reshape(-1, FEATURES)


def test_every_example_is_held_out_once_and_classes_are_spread():
    classes = np.array([0] * 40 + [1] * 13)
    fold = stratified_folds(classes, 4, seed=1)
    for label in (0, 1):
        counts = np.bincount(fold[classes == label], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(fold, stratified_folds(classes, 4, seed=2))
    np.testing.assert_array_equal(fold, stratified_folds(classes, 4, seed=1))


def test_groups_stay_whole_and_folds_even():
    classes = np.array([0] * 20 + [1] * 20)
    together = [list(range(start, start + 5)) for start in range(0, 40, 5)]
    fold = stratified_folds(classes, 4, seed=1, together=together)
    assert all(len(set(fold[group].tolist())) == 1 for group in together)
    for label in (0, 1):
        assert np.bincount(fold[classes == label], minlength=4).tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize("photos", [2, 5])
def test_a_burst_is_one_scene(photos):
    features = photos_of_scenes(12, photos, likeness=0.8)
    groups = same_scenes(features, np.zeros(len(features), np.int64))
    assert sorted(map(sorted, groups)) == [
        list(range(start, start + photos)) for start in range(0, len(features), photos)
    ]


def test_photos_taken_apart_are_no_scene():
    features = photos_of_scenes(60, 1, likeness=1)
    assert same_scenes(features, np.zeros(60, np.int64)) == []


def test_photos_of_two_classes_are_no_scene():
    features = photos_of_scenes(12, 2, likeness=0.8)
    assert same_scenes(features, np.arange(24) % 2) == []


def test_copies_of_a_picture_are_one_scene():
    pictures = np.random.default_rng(1).normal(size=(10, FEATURES))
    groups = same_scenes(pictures[9 * [0] + list(range(1, 10))], np.zeros(18, np.int64))
    assert [len(group) for group in groups] == [9]


def test_a_scene_is_half_of_a_class_at_most():
    # Each photo is like the next, so that the chain would go through the whole class.
    chain = np.stack([np.eye(FEATURES)[place : place + 8].sum(axis=0) for place in range(24)])
    groups = same_scenes(chain, np.zeros(24, np.int64))
    assert max(len(group) for group in groups) <= 12
    assert sum(len(group) for group in groups) > 12


@pytest.mark.parametrize("photos", [1, 2, 3])
def test_a_few_photos_are_no_scenes(photos):
    assert same_scenes(np.ones((photos, FEATURES)), np.zeros(photos, np.int64)) == []
