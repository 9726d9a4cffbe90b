"""`edgebee benchmark` refused: one line that names the file, before anything is written."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs edgebee[train]")

from refusals import assert_refused
from short_run import SHORT  # beside this file


def test_an_empty_folder(edgebee, tmp_path):
    assert_refused(edgebee("benchmark", tmp_path), tmp_path, "edgebee train")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_not_made(edgebee, tmp_path):
    assert_refused(edgebee("benchmark", tmp_path / "nothing"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_an_empty_validation_set(edgebee, int8_folder, tmp_path):
    for half in ("train", "val"):
        for label in ("ants", "bees"):
            (tmp_path / "photos" / half / label).mkdir(parents=True)
    done = edgebee("benchmark", int8_folder, "--data", tmp_path / "photos")
    assert_refused(done, tmp_path / "photos", "no photos in")


def test_photos_of_other_classes(edgebee, folder, tmp_path):
    from edgebee.photos.dataset import load_dataset

    other = tmp_path / "photos"
    shutil.copytree(load_dataset("sample").root / "val", other)
    (other / "ants").rename(other / "wasps")
    assert_refused(edgebee("benchmark", folder, "--data", other), "wasps", "ants", "--data")
    (folder / "labels.txt").unlink()
    (folder / "model.keras").unlink()
    done = edgebee("benchmark", folder, "--data", other)
    assert_refused(done, "model_int8.tflite", "knows ants, bees", "bees, wasps", "--data")
    assert not (folder / "benchmark.json").exists()


@pytest.mark.slow  # Keras tells of its scores once TensorFlow has started
def test_a_keras_model_of_more_classes(edgebee, folder, tmp_path):
    from edgebee.photos.dataset import load_dataset

    more = tmp_path / "photos"
    shutil.copytree(load_dataset("sample").root / "val", more)
    shutil.copytree(more / "ants", more / "wasps")
    (folder / "labels.txt").unlink()
    done = edgebee("benchmark", folder, "--data", more)
    assert_refused(done, "model.keras", "gives 2 scores", "3 classes", "--data")


DAMAGE = {
    "text": lambda content: b"this is no model",
    "empty": lambda content: b"",
    "the first half": lambda content: content[: len(content) // 2],
}


@pytest.mark.parametrize("name", ["model.keras", "model_int8.tflite"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_named(edgebee, folder, name, damage):
    if name != "model.keras":
        (folder / "model.keras").unlink()
    path = folder / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert_refused(edgebee("benchmark", folder), path)
    assert not (folder / "benchmark.json").exists()


def flip_a_weight(content):
    """A bit of the network, which is still a model then, and not the one that was packed."""
    place = content.index(b"edgebee.json") // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [*DAMAGE.values(), flip_a_weight], ids=[*DAMAGE, "a weight"])
def test_damage_is_found_before_any_model_is_loaded(edgebee_process, folder, damage):
    # The sound Keras model beside it would be loaded first, for seconds.
    path = folder / "model_int8.tflite"
    path.write_bytes(damage(path.read_bytes()))
    done = edgebee_process("benchmark", folder)
    assert_refused(done, path)
    assert done.cpu_seconds < 4, "TensorFlow alone takes more, twice"
    assert not (folder / "benchmark.json").exists()


def test_a_model_whose_scores_are_no_numbers_is_refused(edgebee, int8_folder, artifacts):
    content = (artifacts / "model_float32.tflite").read_bytes()
    network = content[: content.index(b"PK\x03\x04")]  # without the zip, and so without a hash
    middle = len(network) // 2 // 4 * 4  # among the weights
    nan = np.full(4096, np.nan, "<f4").tobytes()
    broken = int8_folder / "model_float32.tflite"
    broken.write_bytes(network[:middle] + nan + network[middle + len(nan) :])
    with zipfile.ZipFile(broken, "a") as archive:
        archive.write(int8_folder / "labels.txt", "labels.txt")
    assert_refused(
        edgebee("benchmark", int8_folder, *SHORT), broken, "its scores are NaN or infinite"
    )


@pytest.mark.slow  # TensorFlow starts once more
def test_a_keras_model_whose_scores_are_no_numbers_is_refused(edgebee, folder):
    import keras

    broken = folder / "model.keras"
    model = keras.models.load_model(broken)
    model.set_weights([np.full_like(weight, 1e30) for weight in model.get_weights()])
    model.save(broken)
    done = edgebee("benchmark", folder, *SHORT)
    assert_refused(done, f"{broken}: gives scores that are NaN or infinite; train it again")
