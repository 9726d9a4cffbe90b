"""The default training on the real photos, all the way to the answer on both runtimes.

Minutes; `pytest -m slow` with EDGEBEE_DATA set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

import edgebee.edge.classify

pytestmark = [pytest.mark.slow, pytest.mark.hymenoptera]


@pytest.fixture(scope="module")
def trained(hymenoptera, edgebee_process, tmp_path_factory):
    """`edgebee train`, `edgebee convert --quantize all`, `edgebee benchmark`, as a person types."""
    folder = tmp_path_factory.mktemp("whole_way")
    for command in (["train"], ["convert", "--quantize", "all"], ["benchmark"]):
        done = edgebee_process(*command, cwd=folder)
        assert done.status == 0, done.err
    return folder / "artifacts"


@pytest.fixture(scope="module")
def models(trained):
    content = json.loads((trained / "benchmark.json").read_text())
    assert content["data"]["name"] == "hymenoptera"
    return {model["format"]: model for model in content["models"]}


def test_fifteen_epochs_in_two_phases(trained):
    epochs = json.loads((trained / "history.json").read_text())["epochs"]
    phases = ["feature_extraction"] * 10 + ["fine_tuning"] * 5
    assert [(epoch["epoch"], epoch["phase"]) for epoch in epochs] == list(enumerate(phases, 1))


def test_as_good_as_the_starting_recipe_at_its_best(models):
    assert models["keras"]["total"] == 153
    assert models["keras"]["correct"] >= 146


@pytest.mark.parametrize("format_", ["float32", "float16", "dynamic", "int8"])
def test_nothing_is_lost_in_conversion(models, format_):
    assert models[format_]["total"] == 153
    assert abs(models[format_]["correct"] - models["keras"]["correct"]) <= 2


def test_int8_is_small(models):
    assert models["int8"]["size_bytes"] <= 2_800_000


def runtimes():
    old = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")
    reason = "EDGEBEE_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime"
    return [
        pytest.param(sys.executable, id="LiteRT"),
        pytest.param(old, id="tflite-runtime", marks=pytest.mark.skipif(not old, reason=reason)),
    ]


@pytest.mark.parametrize("python", runtimes())
def test_two_files_in_an_empty_folder_give_the_same_count(
    trained, models, hymenoptera, python, tmp_path
):
    shutil.copy(edgebee.edge.classify.__file__, tmp_path)
    shutil.copy(trained / "model_int8.tflite", tmp_path)
    done = subprocess.run(
        [python, "classify.py", "-m", "model_int8.tflite", "--json", hymenoptera / "val"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    right = sum(f"/{answer['label']}/" in answer["path"] for answer in answers)
    assert (right, len(answers)) == (models["int8"]["correct"], 153)
