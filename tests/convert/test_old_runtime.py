"""All four formats on tflite-runtime 2.14, the two files alone in an empty folder.

That runtime needs a Python of 3.11 or older and NumPy 1, so it cannot live beside TensorFlow:
the environment variable EDGEBEE_TFLITE_RUNTIME_PYTHON names an interpreter that has both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import edgebee.edge.classify
from edgebee.edge.classify import invoke, read_labels, read_photo

VARIABLE = "EDGEBEE_TFLITE_RUNTIME_PYTHON"
OLD_PYTHON = os.environ.get(VARIABLE)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        OLD_PYTHON is None, reason=f"{VARIABLE} names no Python with tflite-runtime"
    ),
]


def answers(python, folder, model, photos):
    """What the lone `classify.py` says, run from a folder with nothing but it and a model."""
    folder.mkdir()
    shutil.copy(edgebee.edge.classify.__file__, folder)
    shutil.copy(model, folder)
    done = subprocess.run(
        [python, "classify.py", "-m", model.name, "--json", *photos],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},  # no PYTHONPATH that would lend it our packages
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def photos(artifacts):
    from edgebee.photos.dataset import load_dataset

    # Every twelfth: the old runtime takes up to half a second a photo.
    return load_dataset("sample").validation.paths[::12]


def test_it_is_the_old_runtime():
    code = "import tflite_runtime, numpy; print(tflite_runtime.__version__, numpy.__version__)"
    done = subprocess.run([OLD_PYTHON, "-c", code], capture_output=True, text=True, check=True)
    runtime, numpy_version = done.stdout.split()
    assert runtime.startswith("2.14")
    assert numpy_version.startswith("1.")
    litert = subprocess.run(
        [OLD_PYTHON, "-c", "import ai_edge_litert"], capture_output=True, check=False
    )
    assert litert.returncode != 0  # the runner would prefer it


@pytest.mark.parametrize(
    ("format_", "tolerance"),
    [
        # Other kernels add up in another order: float32 rounding through 60 layers.
        ("float32", 1e-3),
        ("float16", 1e-3),
        # Activations are quantized on the way, so that a rounding can become a whole step.
        ("dynamic", 0.05),
        # XNNPACK, which the current runtime uses, rounds integers otherwise than the old
        # runtime's kernels do: a step here and there, which the layers above make more.
        ("int8", 0.15),
    ],
)
def test_answers_are_those_of_the_current_runtime(artifacts, photos, tmp_path, format_, tolerance):
    model = artifacts / f"model_{format_}.tflite"
    old = answers(OLD_PYTHON, tmp_path / "old", model, photos)
    new = answers(sys.executable, tmp_path / "new", model, photos)
    assert [one["path"] for one in old] == [str(path) for path in photos]
    labels = sorted(old[0]["scores"])
    scores = [[[one["scores"][label] for label in labels] for one in side] for side in (old, new)]
    assert np.abs(np.subtract(*scores)).max() <= tolerance


def test_the_same_kernels_give_the_same_integers(artifacts, photos, tmp_path):
    # XNNPACK switched off, the current runtime computes int8 bit for bit as the old one does.
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model = artifacts / "model_int8.tflite"
    interpreter = Interpreter(
        str(model), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    old = answers(OLD_PYTHON, tmp_path / "old", model, photos)
    side_px = interpreter.get_input_details()[0]["shape"][1]
    for path, answer in zip(photos, old, strict=True):
        scores = invoke(interpreter, read_photo(path, (side_px, side_px)))
        expected = dict(zip(read_labels(model), scores.round(6).tolist(), strict=True))
        assert answer["scores"] == pytest.approx(expected, abs=1e-6)  # JSON has six digits
