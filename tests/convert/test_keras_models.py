"""Keras models as other people's programs leave them: other heads, precisions and versions."""

from __future__ import annotations

import pytest

pytest.importorskip("keras", reason="needs edgebee[train]")
import h5py
import keras
import numpy as np
from small_models import SIZE, sequential

from edgebee.convert.conversion import convert_model
from edgebee.convert.keras_file import check_keras_file
from edgebee.convert.keras_model import load_keras
from edgebee.edge.classify import Classifier
from edgebee.errors import ConversionError
from edgebee.photos.dataset import load_dataset

layers = keras.layers


@pytest.fixture
def dataset(photos):
    return load_dataset(str(photos), val_fraction=0.25, seed=3)


def brightness(*, units, activation, rescale=True):
    """A classifier of dark and light photos whose head has so many units."""
    head = layers.Dense(units, activation=activation)
    front = [layers.Rescaling(1 / 255)] if rescale else []
    model = sequential(SIZE, *front, layers.GlobalAveragePooling2D(), head)
    weight = 20.0 * np.array([[1.0]] if units == 1 else [[-0.5, 0.5]])
    head.set_weights([np.tile(weight / 3, (3, 1)), -0.5 * weight[0]])
    return model


HEADS = {
    "softmax": {"units": 2, "activation": "softmax"},
    "logits": {"units": 2, "activation": None},
    "one sigmoid": {"units": 1, "activation": "sigmoid"},
    "one logit": {"units": 1, "activation": None},
}


@pytest.mark.parametrize("head", HEADS)
def test_every_usual_head_gives_one_probability_per_label(folder, dataset, photos, head):
    model = brightness(**HEADS[head])
    model.save(folder / "model.keras")
    (converted,) = convert_model(folder / "model.keras", dataset, formats=["int8"])
    assert converted.verification.comparison.correct == 8
    prediction = Classifier(converted.path)(photos / "light" / "0.png")
    assert prediction.label == "light"
    # In steps of 1/256, and the other score is what is left.
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1 / 128)
    pixels = dataset.validation.paths[-1]
    assert Classifier(converted.path)(pixels).scores["light"] > 0.9


def test_one_sigmoid_per_class_is_refused_with_the_reason(folder, dataset):
    brightness(units=2, activation="sigmoid").save(folder / "model.keras")
    scores = load_keras(folder / "model.keras").layers[-1]
    kernel, bias = scores.get_weights()
    model = brightness(units=2, activation="sigmoid")
    model.layers[-1].set_weights([kernel, bias + 3])  # now both are high at once
    model.save(folder / "model.keras")
    with pytest.raises(ConversionError, match="one sigmoid per class"):
        convert_model(folder / "model.keras", dataset, formats=["float32"])


def test_preprocessing_left_outside_is_warned_of(folder, dataset, warnings):
    # The model takes 0-1 and is fed 0-255: every photo is light to it.
    brightness(units=2, activation="softmax", rescale=False).save(folder / "model.keras")
    convert_model(folder / "model.keras", dataset, formats=["float32"])
    (warning,) = warnings
    assert "not better than chance: 4 of 8" in warning
    assert "Rescaling" in warning


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_converted_in_float32(folder, dataset, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inner = sequential(SIZE, layers.Rescaling(1 / 255), layers.Conv2D(3, 1))
        inner.layers[-1].set_weights([np.eye(3)[None, None], np.zeros(3)])
        head = layers.Dense(2)
        model = sequential(SIZE, inner, layers.GlobalAveragePooling2D(), head,
                           layers.Activation("softmax", dtype="float32"))  # fmt: skip
        head.set_weights([np.tile([[-10.0, 10.0]], (3, 1)) / 3, np.array([5.0, -5.0])])
        model.save(folder / "model.keras")
    finally:
        keras.config.set_dtype_policy(before)
    made = convert_model(folder / "model.keras", dataset, formats=["float32", "int8"])
    assert [one.verification.comparison.correct for one in made] == [8, 8]


def as_keras_2(path, groups=None):
    """Rewrite an `.h5` file's version, and give its depthwise layer Keras 2's `groups`."""
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.12.0"
        config = file.attrs["model_config"]
        if groups is not None:
            old = '"depth_multiplier": 1'
            assert old in config
            file.attrs["model_config"] = config.replace(old, f'{old}, "groups": {groups}')


@pytest.fixture
def depthwise(folder):
    """`.h5`, as Teachable Machine leaves it."""
    model = brightness(units=2, activation="softmax")
    blur = layers.DepthwiseConv2D(1, use_bias=False)
    model = sequential(SIZE, blur, *model.layers)
    blur.set_weights([np.ones((1, 1, 3, 1))])
    path = folder / "model.h5"
    model.save(path)
    return path


def test_a_depthwise_layer_of_keras_2_is_loaded(depthwise, dataset):
    as_keras_2(depthwise, groups=1)
    (converted,) = convert_model(depthwise, dataset)
    assert converted.verification.comparison.correct == 8


def test_a_file_of_keras_2_that_cannot_be_loaded_names_its_version_and_the_way_out(depthwise):
    as_keras_2(depthwise, groups=3)
    with pytest.raises(ConversionError, match=r"saved by Keras 2\.12\.0") as refusal:
        load_keras(depthwise)
    assert "load_weights" in str(refusal.value)
    assert "pip install keras==2" not in str(refusal.value)


def test_a_model_for_one_photo_at_a_time(folder, dataset):
    inner = brightness(units=2, activation="softmax")
    pixels = keras.Input(batch_shape=(1, *SIZE))
    keras.Model(pixels, inner(pixels)).save(folder / "model.keras")
    (int8,) = convert_model(folder / "model.keras", dataset)
    assert int8.verification.comparison.correct == 8


def test_augmentation_and_resizing_inside_the_model_do_no_harm(folder, dataset):
    inner = brightness(units=2, activation="softmax")
    model = sequential(
        (40, 60, 3), layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomZoom(0.1),
        layers.Resizing(*SIZE[:2]), *inner.layers,
    )  # fmt: skip
    model.save(folder / "model.keras")
    (int8,) = convert_model(folder / "model.keras", dataset)
    assert int8.verification.comparison.correct == 8


def test_weights_alone_and_folders_are_named_with_the_way_out(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    weights = tmp_path / "m.weights.h5"
    model.save_weights(weights)
    with pytest.raises(ConversionError, match=r"has weights alone; save the whole model with "):
        load_keras(weights)
    with pytest.raises(ConversionError, match=r"a folder, perhaps a SavedModel; save the Keras "):
        check_keras_file(tmp_path)
