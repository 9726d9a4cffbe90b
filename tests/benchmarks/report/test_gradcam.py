"""Grad-CAM: the published formula, by gradients, gives the same maps."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.report.gradcam import GradCam, can_be_explained

keras = pytest.importorskip("keras", reason="needs edgebee[train]")
layers = keras.layers


def make_model(*end) -> keras.Model:
    """A backbone as a model of its own inside, as in what edgebee trains."""
    backbone = keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Conv2D(6, 3, strides=2)]
    )
    entry = keras.Input((32, 32, 3))
    outcome = backbone(entry)
    for layer in end:
        outcome = layer(outcome)
    return keras.Model(entry, outcome)


def test_it_is_the_published_formula():
    import tensorflow as tf

    pooling, dense = layers.GlobalAveragePooling2D(), layers.Dense(3)
    model = make_model(pooling, dense, layers.Softmax())
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=one.shape) for one in model.get_weights()])
    photo = rng.integers(0, 256, (32, 32, 3), np.uint8)
    maps = keras.Model(model.inputs[0], pooling.input)(photo[np.newaxis].astype(np.float32))
    for label in range(3):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logit = dense(pooling(maps))[0, label]
        weights = tf.reduce_mean(tape.gradient(logit, maps), axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=3))[0].numpy()
        assert heat.max() > 0
        # float32 sums of six channels in another order.
        np.testing.assert_allclose(GradCam(model)(photo, label), heat / heat.max(), atol=1e-5)


def test_without_evidence_it_is_dark():
    dense = layers.Dense(2)
    model = make_model(layers.GlobalAveragePooling2D(), dense)
    dense.set_weights([np.zeros((6, 2)), np.zeros(2)])
    assert GradCam(model)(np.full((32, 32, 3), 9, np.uint8), 0).tolist() == [[0] * 15] * 15


@pytest.mark.parametrize(
    ("end", "can"),
    [
        ((layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(2, "softmax")), True),
        ((layers.Flatten(), layers.Dense(2)), False),
        ((layers.GlobalAveragePooling2D(), layers.Dense(4, "relu"), layers.Dense(2)), False),
    ],
)
def test_what_can_be_explained_is_pooling_and_one_dense_layer(end, can):
    assert can_be_explained(make_model(*end)) == can


def test_of_a_model_with_a_branch_for_neither_the_head_is_explained():
    entry = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(entry))
    head, halves = layers.Dense(2), layers.Dense(2, name="neither")
    nearness = layers.Dense(1, use_bias=False)
    cosines = layers.Dense(4, use_bias=False)(layers.UnitNormalization()(pooled))
    nearest = keras.ops.max(cosines, axis=-1, keepdims=True)
    row = keras.ops.sum(halves(pooled), axis=-1, keepdims=True)
    last = layers.Add()([row, nearness(nearest)])
    scores = layers.Softmax()(layers.Concatenate()([head(pooled), last]))
    model = keras.Model(entry, scores)
    assert can_be_explained(model)
    maps = keras.Model(entry, model.layers[1].output)
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    drawn = np.asarray(maps(photo[np.newaxis].astype(np.float32)))[0]
    kernel = np.column_stack([head.kernel, np.asarray(halves.kernel).sum(axis=1)])
    for label in range(3):
        expected = np.maximum(drawn @ kernel[:, label], 0)
        heat = GradCam(model)(photo, label)
        assert heat == pytest.approx(expected / max(expected.max(), 1e-9), abs=1e-5)
