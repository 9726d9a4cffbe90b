"""A model that knows `neither`: its formats keep it, say so, and are refused where they lose it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras", reason="needs edgebee[train]")
from fragile_models import smooth_picture
from small_models import dark_light_neither

from edgebee.convert import golden
from edgebee.convert.conversion import FormatsRefusedError, convert_model
from edgebee.convert.verification import NeitherVerification, Verification
from edgebee.edge.classify import Classifier, read_labels, read_manifest, selftest
from edgebee.stats import compare_paired

FORMATS = ("float32", "float16", "dynamic", "int8")
GREEN = (60, 190, 60)


@pytest.fixture
def others(photos):
    """Green pictures, in the folder for what is none of the classes."""
    rng = np.random.default_rng(1)
    (photos / "neither").mkdir()
    for number in range(10):
        Image.fromarray(smooth_picture(rng, GREEN)).save(photos / "neither" / f"{number}.png")
    return photos / "neither"


@pytest.fixture
def trained(folder, others):
    """What a training leaves that has learned to say it."""
    dark_light_neither().save(folder / "model.keras")
    (folder / "labels.txt").write_text("dark\nlight\nneither\n")
    return folder


def test_every_format_says_neither(trained):
    for made in convert_model(trained / "model.keras", formats=FORMATS):
        assert made.verification.short.startswith("8 of 8 correct (Keras 8), neither ")
        assert read_labels(made.path) == ("dark", "light", "neither")
        classifier = Classifier(made.path)
        assert classifier(np.full((32, 48, 3), GREEN, np.uint8)).label == "neither"
        assert classifier(np.full((32, 48, 3), 30, np.uint8)).label == "dark"


def test_the_file_records_what_was_compared_and_two_golden_samples_of_neither(trained):
    (made,) = convert_model(trained / "model.keras")
    manifest = read_manifest(made.path)
    seen = manifest["verification"]["neither"]
    assert (seen["correct_as_seen"], seen["keras_correct_as_seen"]) == (8, 8)
    assert seen["strangers"] == 24 + 3  # blank frames, and a quarter of the ten
    assert seen["refused"] == seen["keras_refused"] >= 2
    said = [np.argmax(one["scores"]["xnnpack"]) for one in manifest["golden"]["samples"]]
    assert (len(said), said.count(2)) == (6, 2)
    assert selftest(made.path).passed


def test_a_format_that_loses_it_is_not_written(trained):
    dark_light_neither(quiet=1000).save(trained / "model.keras")
    with pytest.raises(FormatsRefusedError, match="takes strangers for a class where Keras says"):
        convert_model(trained / "model.keras", formats=["float32", "int8"])
    assert (trained / "model_float32.tflite").exists()
    assert not (trained / "model_int8.tflite").exists()


SAME = np.ones(100, bool)


def seen(*, friends_lost=0, strangers_lost=0, difference=0.01):
    """A verification in which the classes are as Keras'."""
    refused = NeitherVerification(
        as_seen=compare_paired(SAME, np.arange(100) >= friends_lost),
        strangers=40,
        refused=38 - strangers_lost,
        reference_refused=38,
        mean_difference=difference,
    )
    return Verification(compare_paired(SAME, SAME), 100, 0.2, refused)


@pytest.mark.parametrize(
    ("verification", "problem"),
    [
        (seen(), None),
        (seen(friends_lost=2), None),  # points that may be lost
        (seen(friends_lost=3), "calls more validation photos `neither`"),
        (seen(strangers_lost=4), None),  # a tenth
        (seen(strangers_lost=5), "takes strangers for a class"),
        (seen(strangers_lost=-2), None),
        (seen(difference=0.11), "scores of `neither` differ by 0.11"),
    ],
)
def test_what_may_be_lost_of_neither(verification, problem):
    said = verification.problem(2.0)
    assert said is None if problem is None else problem in said


def test_a_model_without_it_has_the_manifest_that_it_had(folder):
    (made,) = convert_model(folder / "model.keras")
    assert "neither" not in json.dumps(read_manifest(made.path))
    assert len(read_manifest(made.path)["golden"]["samples"]) == 4


def test_other_photos_for_a_model_without_it_are_a_line(folder, others, warnings):
    (made,) = convert_model(folder / "model.keras")
    assert made.verification.neither is None
    assert [one for one in warnings if "does not know neither" in one]


def test_golden_samples_are_of_the_classes_and_of_neither_as_far_as_there_are_any():
    pictures = golden.draw_pictures()
    scores = np.tile(np.float32([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]), (12, 1))
    assert len(golden.choose_pictures(pictures, scores, neither=True)) == 4
    scores[::3] = 0.2, 0.1, 0.7
    assert len(golden.choose_pictures(pictures, scores, neither=True)) == 6


def test_features_are_the_heads_where_neither_has_a_branch_beside_it(tmp_path):
    import keras

    from edgebee.convert.model_builder import ModelBuilder

    entry = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(entry))
    cosines = keras.layers.Dense(4, use_bias=False)(keras.layers.UnitNormalization()(features))
    nearest = keras.ops.max(cosines, axis=-1, keepdims=True)
    logits = [keras.layers.Dense(3)(features), keras.layers.Dense(3, use_bias=False)(nearest)]
    scores = keras.layers.Softmax()(keras.layers.Add()(logits))
    path = tmp_path / "model_float32.tflite"
    path.write_bytes(ModelBuilder(keras.Model(entry, scores), None).build("float32"))
    (tmp_path / "labels.txt").write_text("dark\nlight\nneither\n")
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    expected = np.asarray(keras.Model(entry, features)(photo[np.newaxis].astype(np.float32)))[0]
    # Sums in another order.
    assert Classifier(path).embed(photo) == pytest.approx(expected, rel=1e-4, abs=1e-3)
