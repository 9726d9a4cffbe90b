"""Rejection on features made for it: clusters of classes, background, strangers far and near."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgebee.stats import fpr95
from edgebee.train.folds import stratified_folds
from edgebee.train.rejection import (
    Heads,
    Rejection,
    Strangers,
    judge_left_out,
    learn_rejection,
    neither_logits,
    strangeness,
)

FEATURES, IMAGES, FOLDS = 32, 4, 4


class World:
    """Classes about middles of their own, and a middle for the background; noise about all."""

    def __init__(self, classes: int, photos: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.middles = self.rng.normal(0, 1, (classes + 1, FEATURES)) + 1.0
        self.classes = np.arange(photos) % classes
        self.known = self.around(self.classes, IMAGES)
        fold_of = stratified_folds(self.classes, FOLDS, 0)
        # Nearest middle, `2 x m - |m|^2`, as steep as a head gets; the same for all folds.
        kernel = self.middles[:classes].T.astype(np.float32) / 5
        bias = -(self.middles[:classes] ** 2).sum(axis=1).astype(np.float32) / 10
        self.heads = Heads(np.stack(FOLDS * [kernel]), np.stack(FOLDS * [bias]), fold_of)

    def around(self, places: np.ndarray, images: int) -> np.ndarray:
        """Features `[places, images, features]` near the middles."""
        noise = self.rng.normal(0, 0.4, (len(places), images, FEATURES))
        return (self.middles[places][:, np.newaxis] + noise).astype(np.float32)

    def strangers(self, background: np.ndarray | None = None, others: int = 0) -> Strangers:
        count = 2 * len(self.classes)
        if background is None:
            background = self.around(np.full(count, -1), 1)[:, 0]
        return Strangers(
            background=background,
            background_of=np.repeat(np.arange(len(self.classes)), 2)[: len(background)],
            blank=np.abs(self.rng.normal(0, 0.1, (20, FEATURES))).astype(np.float32),
            others=self.rng.normal(3, 0.4, (others, FEATURES)).astype(np.float32),
            others_of=np.arange(others),
        )

    def called_neither(self, features: np.ndarray, rejection: Rejection) -> float:
        """Share of features `[n, features]` that `neither` wins."""
        kernel, bias = self.heads.mean()
        scores = strangeness(features @ kernel + bias, neither_logits(features, rejection))
        return float((scores > 0).mean())


@pytest.mark.parametrize(("classes", "photos"), [(2, 40), (2, 200), (5, 100), (12, 240)])
def test_photos_are_kept_and_background_is_refused(classes, photos):
    world = World(classes, photos)
    rejection = learn_rejection(world.known, world.classes, world.heads, world.strangers(), seed=0)
    assert rejection.kept.sum() == 2 * photos
    fresh = world.around(np.arange(300) % classes, 1)[:, 0]
    assert world.called_neither(fresh, rejection) <= 0.02
    assert world.called_neither(world.around(np.full(300, -1), 1)[:, 0], rejection) >= 0.98
    assert (rejection.known > 0).mean() <= 0.02
    assert (rejection.background > 0).mean() >= 0.98


def test_what_is_far_from_all_photos_is_refused_though_no_crop_looked_like_it():
    world = World(2, 200)
    rejection = learn_rejection(world.known, world.classes, world.heads, world.strangers(), seed=0)
    elsewhere = world.rng.normal(0, 1, (40, FEATURES))
    elsewhere -= 2 * world.middles.mean(axis=0)
    assert world.called_neither(elsewhere.astype(np.float32), rejection) >= 0.9


def test_crops_that_show_the_subject_are_no_background():
    world = World(2, 60)
    subject = world.around(np.repeat(world.classes, 2), 1)[:, 0]
    reason = learn_rejection(
        world.known, world.classes, world.heads, world.strangers(subject), seed=0
    )
    assert isinstance(reason, str)
    assert "--other" in reason


def test_other_photos_are_enough_where_there_is_no_background():
    world = World(2, 60)
    subject = world.around(np.repeat(world.classes, 2), 1)[:, 0]
    strangers = world.strangers(subject, others=40)
    rejection = learn_rejection(world.known, world.classes, world.heads, strangers, seed=0)
    assert isinstance(rejection, Rejection)
    others = world.rng.normal(3, 0.4, (100, FEATURES)).astype(np.float32)
    assert world.called_neither(others, rejection) >= 0.95


def test_a_class_left_out_is_stranger_than_the_photos_of_the_others():
    world = World(4, 120)
    strangers = world.strangers()
    rejection = learn_rejection(world.known, world.classes, world.heads, strangers, seed=0)
    left_out = judge_left_out(world.known, world.classes, world.heads, strangers, rejection, seed=0)
    assert fpr95(rejection.known, left_out) <= 0.05


def test_what_points_the_way_of_a_class_but_is_weak_is_strange():
    world = World(2, 200)
    rejection = learn_rejection(world.known, world.classes, world.heads, world.strangers(), seed=0)
    photos = world.around(np.arange(100) % 2, 1)[:, 0]
    silent = np.zeros_like(rejection.kernel)
    nearness_alone = replace(rejection, kernel=silent, bounds=(-np.inf, np.inf))
    whole, weak = (neither_logits(one, nearness_alone) for one in (photos, photos / 2))
    assert (weak > whole).all()


def test_one_fold_is_enough_where_many_classes_have_one():
    world = World(50, 400)
    heads = Heads(world.heads.kernels[:1], world.heads.biases[:1], world.heads.fold_of)
    rejection = learn_rejection(world.known, world.classes, heads, world.strangers(), seed=0)
    assert len(rejection.known) == 100  # a quarter was held out
    assert world.called_neither(world.around(np.arange(200) % 50, 1)[:, 0], rejection) <= 0.02
    assert world.called_neither(world.around(np.full(200, -1), 1)[:, 0], rejection) >= 0.9


def test_the_same_features_give_the_same_row():
    first, second = (
        learn_rejection(world.known, world.classes, world.heads, world.strangers(), seed=3)
        for world in (World(2, 60), World(2, 60))
    )
    np.testing.assert_array_equal(first.kernel, second.kernel)
    np.testing.assert_array_equal(first.prototypes, second.prototypes)
    assert (first.bias, first.slope, first.offset) == (second.bias, second.slope, second.offset)
