"""`edgebee convert` refused: a line that says why and how to go on, and nothing half written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs edgebee[train]")
import keras
from refusals import assert_refused
from small_models import SIZE, classifier, sequential


def contents(folder):
    """Every file below a folder with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------ models, labels, photos


def two_inputs():
    first, second = keras.Input(SIZE), keras.Input(SIZE)
    pooled = keras.layers.GlobalAveragePooling2D()(first + second)
    return keras.Model([first, second], keras.layers.Dense(2)(pooled))


def two_outputs():
    pixels = keras.Input(SIZE)
    pooled = keras.layers.GlobalAveragePooling2D()(pixels)
    return keras.Model(pixels, [keras.layers.Dense(2)(pooled), keras.layers.Dense(2)(pooled)])


def not_numbers():
    model = classifier()
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    return model


class Unknown(keras.layers.Layer):
    """A layer that no other program knows."""

    def call(self, pixels):
        return pixels


WRONG_MODELS = {
    "numbers in, not a picture": lambda: sequential((10,), keras.layers.Dense(2)),
    "grey": lambda: sequential(
        (32, 32, 1), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)
    ),
    "any size": lambda: sequential(
        (None, None, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)
    ),
    "a picture out, not scores": lambda: sequential(SIZE, keras.layers.Conv2D(2, 3)),
    "two inputs": two_inputs,
    "two outputs": two_outputs,
    "more scores than labels": lambda: classifier(3),
    "fewer scores than labels": lambda: classifier(1),
    "a layer of one's own": lambda: sequential(
        SIZE, Unknown(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)
    ),
    "weights that are no numbers": not_numbers,
}


@pytest.mark.parametrize("case", WRONG_MODELS)
@pytest.mark.parametrize("format_", ["float32", "int8"])
def test_a_model_that_is_no_such_classifier(edgebee, folder, tmp_path, case, format_):
    path = folder / "model.keras"
    WRONG_MODELS[case]().save(path)
    before = contents(tmp_path)
    output = tmp_path / "new" / "output"
    done = edgebee("convert", path, "--quantize", format_, "--output", output)
    if done.errors[0].startswith("int8 is calibrated"):
        pytest.fail("the photos were read before the model was looked at")
    assert_refused(done, path)
    assert contents(tmp_path) == before
    assert not output.parent.exists()


NO_MODELS = {
    "text": b"this is no model\n",
    "empty": b"",
    "a photo": b"\xff\xd8\xff\xe0" + bytes(2000),
    "the start of a model": None,
}


@pytest.mark.parametrize("case", NO_MODELS)
def test_a_file_that_is_no_keras_model(edgebee, folder, tmp_path, case):
    path = folder / "model.keras"
    path.write_bytes(NO_MODELS[case] or path.read_bytes()[:-100])
    before = contents(tmp_path)
    assert_refused(edgebee("convert", path), path, "edgebee train")
    assert contents(tmp_path) == before


def test_a_zip_that_is_no_keras_model(edgebee, folder):
    assert edgebee("convert", folder / "model.keras").status == 0
    assert_refused(edgebee("convert", folder / "model_int8.tflite"), folder / "model_int8.tflite")


def test_a_missing_model_names_the_command_that_makes_one(edgebee, tmp_path):
    path = tmp_path / "nothing.keras"
    assert_refused(edgebee("convert", path), path, "edgebee train")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\xff\xfed", "UTF-16"),
        (b"dark\n\xff\n", "has dark, ÿ;"),
        (b"dark\n", "has dark;"),
        (b"dark\nlight\nmiddling\n", "middling"),
        (b"light\ndark\n", "light, dark are swapped"),
    ],
)
def test_labels_that_do_not_fit(edgebee, folder, content, word):
    (folder / "labels.txt").write_bytes(content)
    before = contents(folder)
    assert_refused(edgebee("convert", folder / "model.keras", "--quantize", "float32"), word)
    assert contents(folder) == before


def test_without_labels_and_photos_the_scores_have_no_names(edgebee, folder):
    (folder / "history.json").unlink()
    (folder / "labels.txt").unlink()
    before = contents(folder)
    assert_refused(edgebee("convert", folder / "model.keras", "--quantize", "float32"), "missing")
    assert contents(folder) == before


def test_a_folder_without_photos(edgebee, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    done = edgebee("convert", folder / "model.keras", "--data", tmp_path / "empty")
    assert_refused(done, tmp_path / "empty")
    assert not list(folder.glob("*.tflite"))


def test_a_model_saved_by_another_keras_names_it(edgebee, folder):
    # As a newer Keras would leave it: its version, and a layer that this one does not have.
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["metadata.json"] = b'{"keras_version": "3.99.0", "date_saved": "2031-01-01@00:00:00"}'
    files["config.json"] = files["config.json"].replace(b"Rescaling", b"Requantizing")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert_refused(edgebee("convert", path), path, "3.99.0", keras.__version__)


def test_photos_of_other_classes_are_not_for_this_model(edgebee, folder, photos):
    (photos / "dark").rename(photos / "dim")
    done = edgebee("convert", folder / "model.keras")
    assert_refused(done, folder / "labels.txt", "dim, light", "dark, light", "--data")


def test_unknown_photos_are_not_guessed(edgebee, folder):
    (folder / "history.json").unlink()
    assert_refused(edgebee("convert", folder / "model.keras"), "history.json", "--data")


@pytest.mark.parametrize("content", ['{"data": {"sour', "{}"], ids=["cut off", "no data"])
def test_a_damaged_history_can_be_done_without(edgebee, folder, photos, content):
    path = folder / "history.json"
    path.write_text(content)
    before = contents(folder)
    assert_refused(edgebee("convert", folder / "model.keras"), path, "--data")
    assert contents(folder) == before
    assert edgebee("convert", folder / "model.keras", "--data", photos).status == 0


# ------------------------------------------------------------------ where it cannot write


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc"])
def test_a_place_where_nothing_can_be_written(edgebee, folder, tmp_path, place):
    occupied = tmp_path / "occupied"
    occupied.write_text("mine")
    outputs = {"a file": occupied, "below a file": occupied / "x", "/proc": Path("/proc/edgebee")}
    done = edgebee("convert", folder / "model.keras", "--output", outputs[place])
    if place == "a file":
        assert done.status == 2  # seen by the command line itself
    else:
        assert_refused(done, outputs[place], "--output")
    assert occupied.read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path):
    """A really small file system, 2 MB."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small file system to fill")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_gets_nothing_half_written(edgebee, folder, small_disk):
    layers = keras.layers
    # 1.2 million weights: int8 (1.2 MB) fits, once; float32 (4.7 MB) never does.
    # All it does is to take the mean of them.
    model = folder / "model.keras"
    wide, scores = layers.Dense(256), layers.Dense(2, activation="softmax")
    large = sequential(SIZE, layers.Rescaling(1 / 255), layers.Flatten(), wide, scores)
    wide.set_weights([np.full(wide.kernel.shape, 1 / wide.kernel.shape[0]), np.zeros(256)])
    scores.set_weights([np.tile([-6 / 256, 6 / 256], (256, 1)), np.array([3.0, -3.0])])
    large.save(model)
    done = edgebee("convert", model, "--quantize", "float32", "--output", small_disk)
    assert_refused(done, small_disk / "model_float32.tflite", "No space left", "MB free")
    assert list(small_disk.iterdir()) == []

    int8 = small_disk / "model_int8.tflite"
    done = edgebee("convert", model, "--quantize", "int8", "--output", small_disk, "--samples", 8)
    assert done.status == 0
    before = contents(small_disk)
    assert set(before) == {int8, small_disk / "SHA256SUMS"}

    # There is no room for a second one beside the first: the first stays as it was.
    done = edgebee("convert", model, "--quantize", "int8", "--output", small_disk, "--samples", 9)
    assert done.status == 1
    assert "No space left" in done.err
    assert contents(small_disk) == before


def test_no_room_for_temporary_files(edgebee, folder, small_disk, monkeypatch):
    (small_disk / "full").write_bytes(bytes(2_000_000))
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    layers = keras.layers
    scores = layers.Dense(2, activation="softmax")
    model = sequential(SIZE, layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(99), scores)
    model.save(folder / "model.keras")  # 1.8 MB as float32
    done = edgebee("convert", folder / "model.keras", "--quantize", "float32")
    assert done.status == 1
    assert "TMPDIR" in done.errors[-1]
    assert not list(folder.glob("*.tflite"))
