"""`edgebee inspect`: everything inside a model, for people and for programs."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import edgebee.edge
from edgebee.edge.tflite.model_file import read_model_file

MODEL = Path(edgebee.edge.__file__).resolve().parent / "models" / "hymenoptera_int8.tflite"


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copy(MODEL, tmp_path / "model.tflite"))


def test_it_shows_all_that_decides_whether_a_model_fits(edgebee, model):
    done = edgebee("inspect", model)
    assert (done.status, done.err) == (0, "")
    for part in (
        "uint8 [1, 224, 224, 3], value = 1 * stored", "uint8 [1, 3]", "ants, bees, neither",
        "tflite-runtime==2.14.0: yes", "(Keras ",
    ):  # fmt: skip
        assert part in done.out
    # It fits a terminal; the rest is shown when asked for.
    assert len(done.out.splitlines()) <= 12
    assert max(map(len, done.out.splitlines()[1:])) <= 80
    assert "sha256" not in done.out


@pytest.mark.parametrize("option", ["--all", "--json"])
def test_all_is_json(edgebee, model, option):
    done = edgebee("inspect", option, model)
    described = json.loads(done.out)
    assert described["inputs"][0]["shape"] == [1, 224, 224, 3]
    assert described["labels"] == ["ants", "bees", "neither"]
    assert {"name": "SOFTMAX", "version": 2, "count": 1} in described["operators"]
    assert described["runtimes"]["ai-edge-litert==2.3.0"] == []
    assert "content" not in described
    assert described["manifest"]["provenance"]["format"] == "int8"
    assert described["metadata"]["colour"] == "RGB"
    assert "edgebee.json" in described["members"]


def test_the_manifest_of_a_newer_edgebee_is_one_line(edgebee, model):
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("edgebee.json", json.dumps({"format_version": 99}))
    done = edgebee("inspect", model)
    assert done.status == 1
    (line,) = done.errors
    assert "format version 99" in line
    assert "update edgebee" in line


def test_what_does_not_fit_together_is_status_1(edgebee, model):
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("edgebee.json", "{")
    done = edgebee("inspect", model)
    assert done.status == 1
    assert done.out.startswith(str(model))
    (line,) = done.errors
    assert line.startswith(f"warning: {model}: edgebee.json in it is damaged")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"no model", "not a TFLite model"), (MODEL.read_bytes()[:90_000], "damaged")],
)
def test_what_is_no_model_is_one_line(edgebee, tmp_path, content, complaint):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    done = edgebee("inspect", path)
    assert (done.status, done.out) == (1, "")
    (line,) = done.errors
    assert f"{path}: {complaint}" in line


def test_no_file_is_one_line(edgebee, tmp_path):
    done = edgebee("inspect", tmp_path / "missing.tflite")
    assert done.status == 1
    assert "missing.tflite: cannot be opened" in done.errors[0]


def test_a_foreign_float_model_is_told_what_it_cannot_do(edgebee, tmp_path, tensorflow_started):
    # A dense layer by TensorFlow's own defaults: the version that the old runtime refuses.
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 64), tf.float32)])
    def dense(values):
        return tf.matmul(values, tf.constant(weights))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([dense.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path = tmp_path / "foreign.tflite"
    path.write_bytes(converter.convert())
    done = edgebee("inspect", path)
    assert done.status == 0
    assert "none inside" in done.out
    assert "not stated: 0..255 is assumed" in done.out
    assert "tflite-runtime==2.14.0: no: FULLY_CONNECTED version 12" in done.out
    assert "ai-edge-litert==2.3.0: yes" in done.out


def test_what_classify_finds_elsewhere_is_shown(edgebee, model):
    whole = model.read_bytes()
    length = read_model_file(model).manifest.network.bytes
    model.write_bytes(whole[:length])
    model.with_name("labels.txt").write_text("0 wasps\n1 bees\n")
    assert "labels        wasps, bees\n" in edgebee("inspect", model).out
    about = {"author": "Ultralytics", "names": {0: "hornets", 1: "bees"}}
    model.with_name("labels.txt").unlink()
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("metadata.json", json.dumps(about))
    assert "labels        hornets, bees\n" in edgebee("inspect", model).out
