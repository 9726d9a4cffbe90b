"""Grad-CAM: the published formula, on every way a Keras classifier can be built."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.report.gradcam import GradCam
from edgebee.errors import BenchmarkError

keras = pytest.importorskip("keras", reason="needs edgebee[train]")
layers = keras.layers

SIDE = 32


def photos(count: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def convolutions() -> list:
    return [
        layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(6, 3, activation="relu", name="last"),
    ]


def sequential(*end) -> keras.Model:
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), *convolutions(), *end])


def whole_classifier() -> keras.Model:
    """Convolutions, pooling and scores in one graph of layers."""
    entry = keras.Input((SIDE, SIDE, 3))
    maps = entry
    for layer in convolutions():
        maps = layer(maps)
    scores = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(maps))
    return keras.Model(entry, scores, name="whole")


def nested(inner: keras.Model, *end) -> keras.Model:
    """A model inside a model."""
    entry = keras.Input((SIDE, SIDE, 3))
    outcome = inner(entry, training=False)
    for layer in end:
        outcome = layer(outcome)
    return keras.Model(entry, outcome)


def pooled_backbone() -> keras.Model:
    """A backbone that keeps its maps to itself: pooling is inside."""
    return sequential(layers.GlobalAveragePooling2D())


BUILT = {
    "sequential": lambda: sequential(layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")),
    "activation apart": lambda: sequential(
        layers.GlobalAveragePooling2D(), layers.Dense(2), layers.Activation("softmax")
    ),
    "no softmax": lambda: sequential(layers.Flatten(), layers.Dense(2, "sigmoid")),
    "graph": whole_classifier,
    "maps from an inner model": lambda: nested(
        sequential(), layers.GlobalAveragePooling2D(), layers.Dense(2), layers.Softmax()
    ),
    "pooling in an inner model": lambda: nested(pooled_backbone(), layers.Dense(2, "softmax")),
    "all in an inner model": lambda: nested(whole_classifier()),
    "inner model in a sequential one": lambda: keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), whole_classifier()]
    ),
    "maps of one place after the last": lambda: sequential(
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Conv2D(2, 1),
        layers.Flatten(),
        layers.Softmax(),
    ),
}


@pytest.mark.parametrize("built", BUILT)
def test_every_way_of_building_shows_the_last_convolution(built):
    model = BUILT[built]()
    for weight in model.weights:  # then everything in a photo speaks for either class
        weight.assign(keras.ops.abs(weight))
    heat = GradCam(model)(photos(3), [0, 1, 0])
    assert heat.shape == (3, 13, 13)  # 32 - 2, halved, - 2
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max(axis=(1, 2)).tolist() == [1, 1, 1]


def test_it_leaves_the_model_as_it_was():
    model = BUILT["pooling in an inner model"]()
    before = model.predict(photos(2).astype(np.float32), verbose=0)
    GradCam(model)(photos(2), [0, 1])
    assert model.predict(photos(2).astype(np.float32), verbose=0) == pytest.approx(before)


def test_for_our_classifier_it_is_the_class_activation_map():
    # Behind pooling and one dense layer the gradient is that layer's weight over the number of
    # places (Selvaraju et al., section 3.1), so that the map can be worked out by hand.
    from edgebee.train.backbone import build_backbone, build_classifier

    backbone = build_backbone(96, alpha=0.35, weights="none")
    head = layers.Dense(2)
    head.build((None, backbone.output_shape[-1]))
    rng = np.random.default_rng(0)  # mean above 0: something in each photo speaks for a class
    head.set_weights([rng.normal(0.5, 1, head.kernel.shape), np.zeros(2)])
    pixels = photos(2, 96)
    maps = backbone.predict(pixels / np.float32(127.5) - 1, verbose=0)
    by_hand = np.maximum(maps @ head.kernel.numpy()[:, 1], 0)
    heat = GradCam(build_classifier(backbone, head))(pixels, [1, 1])
    scaled = by_hand / by_hand.max(axis=(1, 2), keepdims=True)
    # float32 over some sixty layers, in another order of operations
    assert heat == pytest.approx(scaled, abs=1e-3)


def red_finder(strength: float = 1.0) -> keras.Model:
    """Calls a photo 1 for what is red in it and green not, as strongly as it is told."""
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(1, 1, use_bias=False),
            layers.AveragePooling2D(4),
            layers.Conv2D(1, 1, use_bias=False),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, "softmax"),
        ]
    )
    red = np.array([1, -1, 0], np.float32).reshape(1, 1, 3, 1)
    one = np.ones((1, 1, 1, 1), np.float32)
    head = np.array([[-strength, strength]], np.float32)
    model.set_weights([red, one, head, np.zeros(2, np.float32)])
    return model


def red_spot() -> np.ndarray:
    pixels = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    pixels[0, 8:12, 20:24, 0] = 200
    return pixels


# A score of exactly 1 has no gradient: the maps are asked through what comes before the softmax.
@pytest.mark.parametrize("strength", [0.01, 1.0, 1000.0])
def test_the_evidence_is_found_where_it_is(strength):
    heat = GradCam(red_finder(strength))(red_spot(), [1])[0]
    expected = np.zeros((8, 8), np.float32)
    expected[2, 5] = 1  # pixels 8-11 and 20-23, in squares of 4
    assert heat.tolist() == expected.tolist()


def test_where_nothing_speaks_for_a_class_nothing_is_lit():
    heat = GradCam(red_finder())(red_spot(), [0])
    assert not heat.any()
    assert np.isfinite(heat).all()


def test_photos_together_come_out_as_one_by_one():
    explain, pixels = GradCam(BUILT["sequential"]()), photos(4)
    classes = [number % 2 for number in range(len(pixels))]
    alone = [explain(pixels[n : n + 1], classes[n : n + 1])[0] for n in range(len(pixels))]
    # Convolutions of a batch add up in another order than those of one photo.
    assert explain(pixels, classes) == pytest.approx(np.stack(alone), abs=1e-4)


class OwnCode(keras.Model):
    """Layers that only its own code connects."""

    def __init__(self):
        super().__init__()
        self.convolution, self.scores = layers.Conv2D(4, 3), layers.Dense(2)

    def call(self, pixels):
        return self.scores(keras.ops.mean(self.convolution(pixels), axis=(1, 2)))


def built_by_own_code() -> keras.Model:
    model = OwnCode()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return model


@pytest.mark.parametrize(
    "build",
    [
        lambda: keras.Sequential(
            [keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(2, "softmax")]
        ),
        built_by_own_code,
    ],
    ids=["no convolution", "code of its own"],
)
def test_a_model_without_maps_is_told(build):
    model = build()
    with pytest.raises(BenchmarkError, match=f"{model.name}: .*cannot be shown"):
        GradCam(model)
