"""What runs on every system does without the modules that only some of them have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Put before everything else: as on a system that has no such module.
BLOCK = """
import sys
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
"""

IMPORT_ALL = (
    BLOCK
    + """
import importlib, pkgutil
import edgebee

def failed(name):
    raise

rooms = [importlib.import_module(f"edgebee{room}") for room in ("", ".train", ".convert",
         ".edge", ".benchmarks")]
names = {
    module.name
    for room in rooms
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + ".", onerror=failed)
    if not module.name.endswith("__main__") and "studies" not in module.name
}
for name in names:
    importlib.import_module(name)
print(len(names))
"""
)

# A few drawings, one epoch a phase, small pictures: whether it runs, not how well.
DRAWN = (
    BLOCK
    + """
from pathlib import Path
import edgebee
from edgebee.photos import sample

sample.TRAINING_PER_CLASS, sample.VALIDATION_PER_CLASS = 4, 2
sample.draw_sample(Path("photos"))
from edgebee.cli import edgebee as command

def run(*words):
    try:
        command(list(words), prog_name="edgebee")
    except SystemExit as end:
        assert not end.code, (words, end.code)

"""
)

CHECK_AND_CLASSIFY = """
run("data", "check", "photos")
run("classify", "-m", sys.argv[1], "photos/val/bees/bee_000.jpg")
"""

TRAIN_AND_CONVERT = """
run("train", "--data", "photos", "--image-size", "96", "--epochs", "1", "--fine-tune-epochs", "1",
    "--augmentations", "1")
run("convert", "--samples", "8", "--max-drop", "100")
run("classify", "-m", "artifacts/model_int8.tflite", "photos/val/bees/bee_000.jpg")
"""


MODEL = Path(__file__).parents[1] / "edge/models/hymenoptera_int8.tflite"


def in_a_child(code: str, folder: os.PathLike[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, MODEL],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_module_is_imported_without_them(tmp_path):
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    assert int(in_a_child(IMPORT_ALL, tmp_path)) > 80


def test_photos_are_checked_and_classified_without_them(tmp_path):
    lines = in_a_child(DRAWN + CHECK_AND_CLASSIFY, tmp_path).splitlines()
    assert "no problems" in lines
    assert lines[-1].startswith("photos/val/bees/bee_000.jpg: ")


@pytest.mark.slow
def test_a_model_is_trained_converted_and_run_without_them(tmp_path):
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    lines = in_a_child(DRAWN + TRAIN_AND_CONVERT, tmp_path).splitlines()
    assert any(line.startswith("artifacts/model.keras: ") for line in lines)
    assert lines[-1].startswith("photos/val/bees/bee_000.jpg: ")
