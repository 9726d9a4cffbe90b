"""Fine-tuning learns as Keras' own layers and optimizer would, and goes on where it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgebee.train.backbone import build_backbone, cut_below, layers_above
from edgebee.train.fine_tuning import FineTuning

FINE_TUNE_AT, CLASSES, STEPS, RATE = 140, 3, 12, 1e-3


class Start:
    """Always the same backbone, cut and partly released, and the same head."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self.backbone = build_backbone(32, 0.35, "none")
        for place, layer in enumerate(self.backbone.layers):
            layer.trainable = place >= FINE_TUNE_AT
        self.above = layers_above(self.backbone, cut_below(self.backbone, FINE_TUNE_AT))
        kernel = np.random.default_rng(0).normal(0, 0.05, (self.above.output_shape[-1], CLASSES))
        self.head = [kernel.astype(np.float32), np.zeros(CLASSES, np.float32)]

    def fine_tuning(self, **settings) -> FineTuning:
        defaults = {"steps": STEPS, "dropout": 0.0, "anchor_weight": 0.0, "seed": 3}
        return FineTuning(self.above, self.head, learning_rate=RATE, **defaults | settings)


@pytest.fixture(scope="module")
def batches():
    start, rng = Start(), np.random.default_rng(1)
    boundary = rng.uniform(-1, 1, (STEPS, 8, *start.above.input_shape[1:])).astype(np.float32)
    anchor = rng.uniform(0, 1, (STEPS, 8, len(start.head[0]))).astype(np.float32)
    one_hot = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, (STEPS, 8))]
    weight = rng.uniform(0.5, 2, (STEPS, 8)).astype(np.float32)
    return [((b, a), y, w) for b, a, y, w in zip(boundary, anchor, one_hot, weight, strict=True)]


def learn_with_keras(start, batches, anchor_weight):
    """The same loss, learned by Keras' Adam from Keras' layers; the mean cross-entropy."""
    kernel, bias = (tf.Variable(one) for one in start.head)
    variables = [*(one.value for one in start.above.trainable_variables), kernel, bias]
    rising = round(0.1 * STEPS)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - rising, warmup_target=RATE, warmup_steps=rising
    )
    optimizer = keras.optimizers.Adam(rate)
    said = []
    for (boundary, anchor), one_hot, *weighted in batches:
        weight = weighted[0] if weighted else 1
        with tf.GradientTape() as tape:
            features = tf.reduce_mean(start.above(boundary, training=False), axis=(1, 2))
            scores = tf.nn.softmax(features @ kernel + bias)
            loss = tf.reduce_mean(weight * keras.losses.categorical_crossentropy(one_hot, scores))
            apart = tf.reduce_mean(tf.reduce_sum((features - anchor) ** 2, axis=1))
            objective = loss + anchor_weight * apart
        optimizer.apply(tape.gradient(objective, variables), variables)
        said.append(float(loss))
    return np.mean(said), [one.numpy() for one in variables]


@pytest.mark.parametrize("anchor_weight", [0.0, 0.05])
@pytest.mark.parametrize("weighted", [True, False])
def test_steps_are_those_of_keras_and_the_anchor_is_not_in_the_loss(
    batches, weighted, anchor_weight
):
    shown = batches if weighted else [batch[:2] for batch in batches]
    ours, theirs = Start(), Start()
    tuning = ours.fine_tuning(anchor_weight=anchor_weight)
    learned = tuning.learn(shown, epoch=0)
    loss, variables = learn_with_keras(theirs, shown, anchor_weight)
    assert learned.loss == pytest.approx(loss, rel=1e-4)
    assert 0 <= learned.accuracy <= 1
    before = Start().fine_tuning().state()[1:]
    for one, other, start in zip(tuning.state()[1:], variables, before, strict=False):
        # Adam divides by the gradient's own size: where that is next to nothing, float32's
        # rounding decides the sign of a step. On the whole they part by little of their way.
        assert np.abs(one - other).mean() < 0.02 * np.abs(other - start).mean()


def test_the_backbones_own_released_variables_learn_and_no_others(batches):
    start, before = Start(), Start()
    tuning = start.fine_tuning()
    tuning.learn(batches, epoch=0)
    for layer, same in zip(start.backbone.layers, before.backbone.layers, strict=True):
        for now, then in zip(layer.variables, same.variables, strict=True):
            moved = not np.array_equal(now, then)
            assert moved == (now.trainable and layer.trainable), now.path
    assert not np.array_equal(tuning.weights[0], start.head[0])


def test_features_are_those_of_the_layers_as_they_are(batches):
    start = Start()
    tuning = start.fine_tuning(bfloat16=True)
    tuning.learn(batches, epoch=0)
    (boundary, _), *_ = batches[0]
    expected = np.asarray(start.above(boundary, training=False)).mean(axis=(1, 2))
    # Never rounded; fused kernels add up in another order.
    np.testing.assert_allclose(tuning.features(boundary), expected, atol=2e-5)


def test_dropout_follows_from_the_seed_and_the_epoch(batches):
    def kernel(epoch, seed=3):
        tuning = Start().fine_tuning(dropout=0.5, seed=seed)
        tuning.learn(batches[:2], epoch)
        return tuning.weights[0]

    np.testing.assert_array_equal(kernel(epoch=1), kernel(epoch=1))
    assert not np.array_equal(kernel(epoch=1), kernel(epoch=2))
    assert not np.array_equal(kernel(epoch=1), kernel(epoch=1, seed=4))


def test_learning_goes_on_where_it_was(batches):
    settings = {"steps": 2 * STEPS, "dropout": 0.2, "anchor_weight": 0.05}
    whole = Start().fine_tuning(**settings)
    whole.learn(batches, epoch=0)
    whole.learn(batches, epoch=1)
    first, second = Start().fine_tuning(**settings), Start().fine_tuning(**settings)
    first.learn(batches, epoch=0)
    second.restore(first.state())
    second.learn(batches, epoch=1)
    for one, other in zip(whole.state(), second.state(), strict=True):
        np.testing.assert_array_equal(one, other)
