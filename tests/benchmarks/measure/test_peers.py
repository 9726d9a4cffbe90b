"""`--peers`: measured where they are installed, and said where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgebee.edge
from edgebee.benchmarks.measure.hosts import SystemInfo
from edgebee.benchmarks.measure.peer_files import PEER_ENGINES, Peer, files_for_peers, find_peers
from edgebee.benchmarks.measure.results import Skipped
from edgebee.benchmarks.measure.results_file import read_results
from edgebee.benchmarks.measure.workers import WorkerError

MODEL = Path(edgebee.edge.__path__[0]) / "models" / "hymenoptera_int8.tflite"
PYTHONS = [one for one in os.environ.get("EDGEBEE_PEER_PYTHONS", "").split(os.pathsep) if one]
"""Pythons with openvino, onnxruntime and mediapipe, and one with tf2onnx and TensorFlow."""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Photos of nothing, two for each class."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for place in ("train/ants", "train/bees", "val/ants", "val/bees"):
        (folder / place).mkdir(parents=True)
        for number in range(2):
            noise = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
            noise.resize((320, 240)).save(folder / place / f"{number}.jpg")
    return folder


def test_a_peer_that_is_not_installed_is_said_with_its_remedy(bare_python, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", bare_python)
    found = find_peers([MODEL], tmp_path, [])
    assert [(one.name, type(one)) for one in found] == [(name, Skipped) for name in PEER_ENGINES]
    for one in found:
        assert f"pip install {one.name}" in one.reason


def test_a_python_that_is_none_is_passed_over(bare_python, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", bare_python)
    text = tmp_path / "text"
    text.write_text("no program")
    found = find_peers([MODEL], tmp_path, [str(text), str(tmp_path / "nothing")])
    assert all(isinstance(one, Skipped) for one in found)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["model_float32", "model_float16", "model_int8"], ["model_float32", "model_int8"]),
        (["flowers", "weeds"], ["flowers"]),
        ([], []),
    ],
)
def test_peers_get_int8_and_float32(names, chosen):
    assert [path.stem for path in files_for_peers([Path(f"{n}.tflite") for n in names])] == chosen


def test_an_uninstalled_peer_fails_in_one_line(data):
    (photo, *_) = sorted((data / "val" / "ants").iterdir())
    with SystemInfo() as here:
        # As if the package were found and could not be imported.
        (here.folder / "openvino.py").write_text("import nothing_of_the_kind\n")
        with pytest.raises(WorkerError, match=r"^No module named 'nothing_of_the_kind'$"):
            here.start("x", ["openvino", str(MODEL), "--first", str(photo)])


@pytest.mark.slow
@pytest.mark.skipif(not PYTHONS, reason="EDGEBEE_PEER_PYTHONS names no Python with peers")
def test_peers_answer_as_the_runner_does(edgebee, data, tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir()
    shutil.copy(MODEL, folder / "model_int8.tflite")
    options = [word for python in PYTHONS for word in ("--peer-python", python)]
    done = edgebee(
        "benchmark", folder, "--data", data, "--rounds", 2, "--photos", 2, "--peers", *options
    )
    assert done.status == 0, done.err
    results = read_results(folder / "benchmark.json")
    assert results.absent == ()
    own, *peers = results.variants
    assert [one.engine for one in peers] == list(PEER_ENGINES)
    for one in peers:
        assert one.file == own.file
        # Integers are rounded in other places: over sixty layers a few steps of 1/256 on noise
        # that is neither, where scores are least sure. Wrong input or scale would be far off.
        assert np.abs(np.array(one.scores) - np.array(own.scores)).max() < 0.2
    runtimes = {run.variant: run.runtime.split()[0] for run in results.devices[0].runs}
    assert runtimes == {own.name: "ai-edge-litert"} | {one.name: one.engine for one in peers}


@pytest.fixture(scope="module")
def pythons(tmp_path_factory):
    """The Python of each peer."""
    found = find_peers([MODEL], tmp_path_factory.mktemp("made"), PYTHONS)
    return {one.engine: one.python for one in found if isinstance(one, Peer)}


@pytest.mark.slow
@pytest.mark.skipif(not PYTHONS, reason="EDGEBEE_PEER_PYTHONS names no Python with peers")
@pytest.mark.parametrize("engine", ["openvino", "mediapipe", "onnxruntime"])
def test_a_file_that_a_peer_does_not_take_is_its_failure(data, tmp_path, engine, pythons):
    (photo, *_) = sorted((data / "val" / "ants").iterdir())
    broken = tmp_path / "model_int8.tflite"
    broken.write_bytes(b"no model")
    with SystemInfo() as here, pytest.raises(WorkerError) as caught:
        here.start(engine, [engine, str(broken), "--first", str(photo)], python=pythons[engine])
    assert "\n" not in str(caught.value)
