"""The backbone: its weights, and where it is cut for fine-tuning."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edgebee.errors import WeightsError
from edgebee.train.backbone import (
    BACKBONES,
    DEFAULT_BACKBONE,
    NeitherBranch,
    build_backbone,
    build_classifier,
    cut_below,
    layers_above,
)

SIDE_PX = 96


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(SIDE_PX, 1.0, "imagenet")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(-1, 1, (3, SIDE_PX, SIDE_PX, 3)).astype(np.float32)


def test_the_bundled_weights_are_the_published_ones():
    import edgebee.train

    path = Path(edgebee.train.__file__).parent / "weights/mobilenet_v2_1.0_224_no_top.weights.h5"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "67f237619be09c65ee1b7bc5aba641fe2eedae49d43e46c286c0ba55480122dc"


@pytest.mark.parametrize(
    ("fine_tune_at", "layer"),
    [
        (0, "input_layer"),
        (100, "block_10_project_BN"),  # 98 and 99 lie inside block 11, which is residual
        (117, "block_13_expand"),
        (153, "Conv_1_bn"),
        (154, "out_relu"),  # nothing released
        (999, "out_relu"),
    ],
)
def test_the_cut_is_the_last_single_tensor_below_the_released_layers(backbone, fine_tune_at, layer):
    assert cut_below(backbone, fine_tune_at).name.startswith(layer)


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != DEFAULT_BACKBONE])
def test_any_backbone_can_be_cut(name, pictures):
    import keras

    backbone = build_backbone(SIDE_PX, 1.0, "none", name)
    cut = cut_below(backbone, BACKBONES[name].fine_tune_at)
    assert 0 < backbone.operations.index(cut) < len(backbone.operations) - 1
    boundary = keras.Model(backbone.input, cut.output)(pictures, training=False)
    above = layers_above(backbone, cut)
    np.testing.assert_array_equal(
        np.asarray(above(boundary, training=False)), np.asarray(backbone(pictures, training=False))
    )
    released = backbone.layers[BACKBONES[name].fine_tune_at :]
    assert {id(one) for layer in released for one in layer.trainable_variables} <= {
        id(one) for one in above.trainable_variables
    }


@pytest.mark.parametrize("fine_tune_at", [1, 50, 100, 117, 140, 153])
def test_below_and_above_the_cut_together_are_the_backbone(backbone, pictures, fine_tune_at):
    import keras

    cut = cut_below(backbone, fine_tune_at)
    below = keras.Model(backbone.input, cut.output)
    above = layers_above(backbone, cut)
    boundary = below(pictures, training=False)
    whole = np.asarray(backbone(pictures, training=False))
    np.testing.assert_array_equal(np.asarray(above(boundary, training=False)), whole)


def random_head(labels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (1280, labels)).astype(np.float32), np.zeros(labels, np.float32)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, SIDE_PX, SIDE_PX, 3)).astype(np.float32)


def test_a_classifier_takes_pixels_and_gives_scores_that_add_up(backbone, pixels):
    model = build_classifier(backbone, *random_head(3))
    scores = np.asarray(model(pixels))
    assert scores.shape == (2, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)  # float32 rounding


@pytest.mark.parametrize("bounds", [(-90.0, 90.0), (-0.1, 0.1)])
def test_the_last_label_loses_by_nearness_to_a_prototype(backbone, pixels, bounds):
    import keras

    maps = np.asarray(backbone(pixels / 127.5 - 1, training=False))
    features = maps.mean((1, 2))
    prototype = features[:1] / np.linalg.norm(features[0])
    kernel, bias = random_head(2)
    row, _ = random_head(1)
    model = build_classifier(
        backbone, kernel, bias, NeitherBranch(row, 0.3, prototype, 5.0, bounds)
    )
    last = (features @ row)[:, 0] + 0.3 - 5.0 * features @ prototype[0]
    logits = np.column_stack([features @ kernel + bias, last.clip(*bounds)])
    expected = np.asarray(keras.ops.softmax(logits))
    np.testing.assert_allclose(np.asarray(model(pixels)), expected, atol=1e-5)  # float32 rounding


@pytest.mark.parametrize(
    ("alpha", "weights", "message"),
    [
        (0.35, "field", "made for mobilenet_v2 of width 1.0, not mobilenet_v2 of 0.35"),
        (0.9, "imagenet", "widths 0.35, 0.5, 0.75, 1.0, 1.3, 1.4"),
        (1.0, "nowhere.h5", "nowhere.h5: no such weights file"),
        (1.0, __file__, "not weights of MobileNetV2"),
    ],
)
def test_weights_that_cannot_be_had_are_refused(alpha, weights, message):
    with pytest.raises(WeightsError, match=message):
        build_backbone(SIDE_PX, alpha, weights)


def test_weights_that_cannot_be_fetched_name_the_ways_on(monkeypatch, tmp_path):
    # A proxy nobody listens to: what a machine without network sees, wherever this runs.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    with pytest.raises(WeightsError, match=r"--alpha 1\.0"):
        build_backbone(SIDE_PX, 0.35, "imagenet")


@pytest.mark.slow
def test_random_weights_differ_and_local_ones_load(tmp_path):
    random = build_backbone(SIDE_PX, 0.35, "none")
    random.save_weights(tmp_path / "mine.weights.h5")
    again = build_backbone(SIDE_PX, 0.35, str(tmp_path / "mine.weights.h5"))
    np.testing.assert_array_equal(random.get_weights()[0], again.get_weights()[0])
    assert not np.array_equal(
        random.get_weights()[0], build_backbone(SIDE_PX, 0.35, "none").get_weights()[0]
    )
