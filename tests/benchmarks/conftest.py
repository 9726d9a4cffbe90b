"""What the tests of the benchmark share."""

from __future__ import annotations

import shutil

import pytest
from examples import make_results  # beside this file

from edgebee.benchmarks.measure.results import Results


@pytest.fixture
def example() -> Results:
    """Two photos wrong with int8, one with Keras; four times as fast."""
    return make_results()


@pytest.fixture
def folder(artifacts, tmp_path):
    """The trained folder with nothing but the Keras model and int8, to change at will."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    for name in ("model.keras", "model_int8.tflite", "labels.txt", "history.json"):
        shutil.copy2(artifacts / name, folder)
    return folder


@pytest.fixture
def int8_folder(folder):
    """Without Keras: no TensorFlow is started, which takes most of the time."""
    (folder / "model.keras").unlink()
    return folder
