"""`edgebee benchmark`: Keras and every `.tflite` over the same validation photos."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

import edgebee.edge.classify
from edgebee.edge.classify import usable_cores

pytest.importorskip("tensorflow", reason="needs edgebee[train]")

NAMES = ["model.keras"] + [f"model_{format_}.tflite" for format_ in
                           ("float32", "float16", "dynamic", "int8")]  # fmt: skip


@pytest.fixture(scope="module")
def measured(artifacts, edgebee_process, tmp_path_factory):
    """One whole benchmark by the command line; results, JSON."""
    folder = tmp_path_factory.mktemp("measured") / "artifacts"
    shutil.copytree(artifacts, folder)
    done = edgebee_process("benchmark", "--threads", "1000", cwd=folder.parent)
    assert done.status == 0, done.err
    return done, json.loads((folder / "benchmark.json").read_text()), folder


@pytest.fixture
def folder(artifacts, tmp_path):
    """The trained folder with nothing but the Keras model and int8, to change at will."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    for name in ("model.keras", "model_int8.tflite", "labels.txt", "history.json"):
        shutil.copy2(artifacts / name, folder)
    return folder


def assert_refused(done, *words):
    assert done.status == 1
    assert done.out == ""
    (line,) = done.errors
    assert line.startswith("Error: ")
    for word in words:
        assert str(word) in line


# ------------------------------------------------------------------ benchmark.json

NUMBER = (int, float)
LATENCY = {"p50": NUMBER, "p95": NUMBER}
MODEL = {
    "name": str, "format": str, "path": str, "size_bytes": int, "correct": int, "total": int,
    "agreement": NUMBER, "latency_ms": {"decode": LATENCY, "invoke": LATENCY},
}  # fmt: skip


def assert_shape(value, shape):
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        assert value.keys() == shape.keys()
        for key, inner in shape.items():
            assert_shape(value[key], inner)
    else:
        assert isinstance(value, shape)
        assert not isinstance(value, bool)


def test_json_has_exactly_the_promised_fields(measured):
    _, content, _ = measured
    assert content.keys() == {"machine", "data", "models"}
    for model in content["models"]:
        assert_shape(model, MODEL)


def test_every_model_of_the_folder_is_in_it(measured):
    _, content, folder = measured
    models = content["models"]
    assert sorted(model["path"] for model in models) == sorted(NAMES)
    assert models[0]["format"] == "keras"
    for model in models:
        assert model["name"] == model["path"].rsplit(".", 1)[0]
        assert model["format"] in {"keras", model["name"].rsplit("_", 1)[-1]}
        assert model["size_bytes"] == (folder / model["path"]).stat().st_size


def test_numbers_are_possible_ones(measured):
    _, content, _ = measured
    for model in content["models"]:
        assert 0 <= model["correct"] <= model["total"] == content["data"]["photos"] == 60
        assert 0 <= model["agreement"] <= 1
        for latency in model["latency_ms"].values():
            assert 0 < latency["p50"] <= latency["p95"]


def test_conditions_are_stated(measured):
    _, content, _ = measured
    machine, data = content["machine"], content["data"]
    assert machine["cores"] == usable_cores()
    assert {"processor", "architecture", "system", "python", "memory_mb"} <= machine.keys()
    assert {"edgebee", "tensorflow", "keras", "numpy", "pillow"} <= machine["versions"].keys()
    assert (data["name"], data["drawn"], data["labels"]) == ("sample", True, ["ants", "bees"])


def test_more_threads_than_cores_are_never_used(measured):
    # Four threads on two cores were once measured at over a second a photo.
    done, content, _ = measured
    assert content["machine"]["threads"] == usable_cores()
    assert f"{usable_cores()} thread" in done.err


def test_keras_agrees_with_itself_and_gets_right_what_training_said(measured, artifacts):
    _, content, _ = measured
    keras = content["models"][0]
    assert keras["agreement"] == 1.0
    history = json.loads((artifacts / "history.json").read_text())
    # One photo may lie on the edge: training asks in batches, the benchmark one by one.
    assert abs(keras["correct"] - history["validation"]["correct"]) <= 1
    assert keras["total"] == history["validation"]["total"]


def test_int8_count_is_that_of_the_lone_runner(measured, tmp_path):
    from edgebee.train.dataset import load_dataset

    _, content, folder = measured
    shutil.copy(edgebee.edge.classify.__file__, tmp_path)
    shutil.copy(folder / "model_int8.tflite", tmp_path)
    photos = load_dataset("sample").root / "val"
    done = subprocess.run(
        [sys.executable, "classify.py", "-m", "model_int8.tflite", "--json", photos],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    right = sum(os.sep + answer["label"] + os.sep in answer["path"] for answer in answers)
    (int8,) = (model for model in content["models"] if model["format"] == "int8")
    assert (right, len(answers)) == (int8["correct"], int8["total"])


# ------------------------------------------------------------------ what it says


def test_the_table_is_all_that_goes_to_stdout(measured):
    done, content, _ = measured
    heading, *rows = done.out.splitlines()
    assert heading.split()[:3] == ["model", "MB", "correct"]
    assert [row.split()[0] for row in rows] == [model["path"] for model in content["models"]]
    for row, model in zip(rows, content["models"], strict=True):
        assert f" {model['correct']}/{model['total']} " in row
        assert f" {model['agreement']:.1%} " in row
        assert f" {model['size_bytes'] / 1e6:.2f} " in row


def test_talk_is_two_lines_and_names_the_next_command(measured):
    done, _, _ = measured
    conditions, next_line = done.errors
    assert "60 validation drawings (no result) of sample" in conditions
    assert "benchmark.json" in conditions
    assert next_line == "Next: edgebee classify -m artifacts/model_int8.tflite PHOTO"


def test_keras_alone_leads_to_convert(edgebee, folder):
    (folder / "model_int8.tflite").unlink()
    done = edgebee("benchmark", folder)
    assert done.status == 0
    assert len(done.out.splitlines()) == 2
    assert done.errors[-1] == f"Next: edgebee convert {folder / 'model.keras'} --quantize all"


def test_without_keras_nothing_is_said_of_agreement(edgebee, folder):
    (folder / "model.keras").unlink()
    done = edgebee("benchmark", folder)
    assert done.status == 0
    (model,) = json.loads((folder / "benchmark.json").read_text())["models"]
    assert model["agreement"] is None
    assert model["total"] == 60


def test_files_of_an_earlier_training_are_pointed_at(edgebee, folder):
    old = (folder / "model.keras").stat().st_mtime - 3600
    os.utime(folder / "model_int8.tflite", (old, old))
    done = edgebee("benchmark", folder)
    assert done.status == 0
    (warning,) = [line for line in done.errors if line.startswith("warning: ")]
    assert "model_int8.tflite" in warning
    assert "edgebee convert" in warning


def test_photos_are_those_held_back_in_training(edgebee, folder, tmp_path):
    # The same drawings in one folder, split with the seed that the history has: were another
    # split taken, other photos would be asked.
    from edgebee.train.dataset import load_dataset

    drawings = tmp_path / "drawings"
    shutil.copytree(load_dataset("sample").root / "val", drawings)
    history = json.loads((folder / "history.json").read_text())
    history["data"] |= {"source": str(drawings), "val_fraction": 0.1, "seed": 7, "exclude": []}
    (folder / "history.json").write_text(json.dumps(history))
    asked = load_dataset(str(drawings), val_fraction=0.1, seed=7).validation.paths
    for path in asked:
        path.write_text("no photo")
    assert len(asked) == 6
    done = edgebee("benchmark", folder, "--data", os.path.relpath(drawings))
    assert done.status == 1
    assert "no validation photo could be read" in done.err


# ------------------------------------------------------------------ what it refuses


def test_an_empty_folder(edgebee, tmp_path):
    assert_refused(edgebee("benchmark", tmp_path), tmp_path, "edgebee train")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_not_made(edgebee, tmp_path):
    assert_refused(edgebee("benchmark", tmp_path / "nothing"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_photos_of_other_classes(edgebee, folder, tmp_path):
    from edgebee.train.dataset import load_dataset

    other = tmp_path / "photos"
    shutil.copytree(load_dataset("sample").root / "val", other)
    (other / "ants").rename(other / "wasps")
    assert_refused(edgebee("benchmark", folder, "--data", other), "wasps", "ants", "--data")
    (folder / "labels.txt").unlink()
    (folder / "model.keras").unlink()
    done = edgebee("benchmark", folder, "--data", other)
    assert_refused(done, "model_int8.tflite", "knows ants, bees", "bees, wasps", "--data")
    assert not (folder / "benchmark.json").exists()


DAMAGE = {
    "text": lambda content: b"this is no model",
    "empty": lambda content: b"",
    "the first half": lambda content: content[: len(content) // 2],
}


@pytest.mark.parametrize("name", ["model.keras", "model_int8.tflite"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_named(edgebee, folder, name, damage):
    path = folder / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert_refused(edgebee("benchmark", folder), path)
    assert not (folder / "benchmark.json").exists()
