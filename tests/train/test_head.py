"""Heads learn as Keras' own layers and optimizer would, and go on where they were."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgebee.train.head import LinearHeads

FEATURES, CLASSES, STEPS = 24, 3, 12
SETTINGS = {"steps": STEPS, "learning_rate": 0.01, "seed": 3}


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(STEPS, 16, FEATURES)).astype(np.float32)
    one_hot = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, (STEPS, 16))]
    weights = rng.uniform(0.5, 2, (STEPS, 16)).astype(np.float32)
    return list(zip(features, one_hot, weights, strict=True))


@pytest.mark.parametrize("weighted", [True, False])
def test_steps_are_those_of_keras(batches, weighted):
    shown = batches if weighted else [batch[:2] for batch in batches]
    heads = LinearHeads(FEATURES, CLASSES, dropout=0, **SETTINGS)
    learned = heads.learn(shown, epoch=0)

    layer = keras.layers.Dense(CLASSES, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((FEATURES,)), layer])
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, STEPS)),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    said = [model.train_on_batch(*batch) for batch in shown]
    # float32 in another order, over twelve steps.
    for ours, theirs in zip(heads.weights, layer.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    loss, accuracy = np.mean(said, axis=0)
    assert learned.loss == pytest.approx(loss, abs=1e-5)
    assert learned.accuracy == pytest.approx(accuracy, abs=1e-6)


def test_a_head_learns_nothing_from_examples_that_count_nothing_for_it(batches):
    both = LinearHeads(FEATURES, CLASSES, heads=2, dropout=0, **SETTINGS)
    only_first = np.tile(np.float32([1, 0]), (16, 1))
    both.learn([(*batch[:2], only_first) for batch in batches], epoch=0)
    alone = LinearHeads(FEATURES, CLASSES, dropout=0, **SETTINGS)
    alone.learn([batch[:2] for batch in batches], epoch=0)
    kernel, bias = both.weights
    np.testing.assert_array_equal(kernel[:, CLASSES:], 0)
    np.testing.assert_array_equal(bias[CLASSES:], 0)
    # The products of two heads at once may add up in another order than those of one.
    np.testing.assert_allclose(kernel[:, :CLASSES], alone.weights[0], atol=1e-6)


def test_each_head_learns_at_its_own_rate_and_can_be_asked_alone(batches):
    rates = np.array([0.01, 0.03])
    settings = SETTINGS | {"dropout": 0.2}
    both = LinearHeads(FEATURES, CLASSES, heads=2, **settings | {"learning_rate": rates})
    both.learn(batches, epoch=0)
    features = batches[0][0]
    for place, rate in enumerate(rates):
        alone = LinearHeads(FEATURES, CLASSES, **settings | {"learning_rate": rate})
        alone.learn(batches, epoch=0)
        asked = both.logits(features, slice(place, place + 1))
        # The products of two heads at once may add up in another order than those of one: in all
        # twelve steps, and below in one product.
        np.testing.assert_allclose(asked, alone.logits(features), atol=1e-5)
        np.testing.assert_allclose(asked[:, 0], both.logits(features)[:, place], atol=1e-6)


def test_dropout_keeps_the_sum_and_follows_from_the_seed_and_the_epoch(batches):
    def kernel(epoch, seed=3):
        heads = LinearHeads(FEATURES, CLASSES, dropout=0.5, **SETTINGS | {"seed": seed})
        heads.learn(batches, epoch)
        return heads.weights[0]

    np.testing.assert_array_equal(kernel(epoch=1), kernel(epoch=1))
    assert not np.array_equal(kernel(epoch=1), kernel(epoch=2))
    assert not np.array_equal(kernel(epoch=1), kernel(epoch=1, seed=4))

    # With one step from zeros, Adam moves each weight by the rate towards its gradient's sign:
    # a feature that was dropped in all examples does not move at all.
    heads = LinearHeads(FEATURES, CLASSES, dropout=0.5, **SETTINGS)
    features, one_hot, _ = batches[0]
    heads.learn([(features[:1], one_hot[:1])], epoch=0)
    moved = (heads.weights[0] != 0).any(axis=1)
    assert 0 < moved.sum() < FEATURES


def test_learning_goes_on_where_it_was(batches):
    def heads():
        return LinearHeads(FEATURES, CLASSES, dropout=0.2, **SETTINGS | {"steps": 2 * STEPS})

    whole, first, second = heads(), heads(), heads()
    whole.learn(batches, epoch=0)
    whole.learn(batches, epoch=1)
    first.learn(batches, epoch=0)
    second.restore(first.state())
    second.learn(batches, epoch=1)
    for one, other in zip(whole.state(), second.state(), strict=True):
        np.testing.assert_array_equal(one, other)
