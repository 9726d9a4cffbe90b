"""The public API: which names there are, that they cost nothing until used, how results read."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import edgebee

SHIPPED_MODEL = Path(__file__).parents[1] / "edge" / "models" / "hymenoptera_int8.tflite"
HEAVY = ("numpy", "PIL", "tensorflow", "keras", "matplotlib", "ai_edge_litert", "tflite_runtime")

PUBLIC = [
    "Archive",
    "BenchmarkError",
    "Classifier",
    "ConversionError",
    "ConvertedModel",
    "DataError",
    "Dataset",
    "DownloadError",
    "EdgebeeError",
    "FormatsRefusedError",
    "ModelError",
    "OutputError",
    "PhotoError",
    "Prediction",
    "Problem",
    "Progress",
    "Recipe",
    "Results",
    "RuntimeMissingError",
    "Training",
    "TrainingError",
    "WeightsError",
    "__version__",
    "benchmark",
    "check_dataset",
    "classify_archive",
    "convert_model",
    "load_dataset",
    "read_photo",
    "train_classifier",
]
"""Other people's programs use these. A name that goes breaks them; one that comes is a promise."""


def in_a_fresh_python(code: str) -> object:
    """What `code` prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_the_names():
    assert sorted(edgebee.__all__) == sorted(PUBLIC)
    assert dir(edgebee) == sorted(PUBLIC)


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"__version__"}))
def test_every_name_is_there_and_described(name):
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    value = getattr(edgebee, name)
    assert value.__doc__
    assert value.__name__ == name


def test_errors_are_one_tree():
    errors = [getattr(edgebee, name) for name in PUBLIC if name.endswith("Error")]
    assert all(issubclass(error, edgebee.EdgebeeError) for error in errors)
    assert not issubclass(edgebee.EdgebeeError, (OSError, ValueError))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'train_clasifier'"):
        edgebee.train_clasifier  # noqa: B018


def test_importing_loads_nothing_heavy():
    code = (
        "import edgebee, sys, json; dir(edgebee); edgebee.__version__; "
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    assert in_a_fresh_python(code) == []


def test_help_loads_nothing_heavy():
    code = (
        "import sys, json, io, contextlib\n"
        "from edgebee.cli import edgebee\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    edgebee(['--help'], standalone_mode=False)\n"
        "assert 'train' in out.getvalue()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    assert in_a_fresh_python(code) == []


def test_photos_are_read_without_tensorflow():
    code = (
        "import edgebee, sys, json; edgebee.load_dataset; edgebee.check_dataset; "
        "edgebee.Classifier; edgebee.Recipe; "
        "print(json.dumps('tensorflow' in sys.modules))"
    )
    assert in_a_fresh_python(code) is False


def test_a_classifier_reads_well_and_can_be_pickled():
    classifier = edgebee.Classifier(SHIPPED_MODEL)
    assert "hymenoptera_int8.tflite" in repr(classifier)
    assert "ants" in repr(classifier)
    assert len(repr(classifier)) < 200
    assert repr(pickle.loads(pickle.dumps(classifier))) == repr(classifier)
