"""Damaged models: a small, seeded part of the attack in `models.py`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import edgebee.edge

ATTACK = Path(__file__).with_name("models.py")
MODEL = Path(edgebee.edge.__path__[0]) / "models" / "hymenoptera_int8.tflite"


def attacked(*arguments):
    # In a process of its own: a child that is forked when a runtime has threads would hang.
    done = subprocess.run(
        [sys.executable, ATTACK, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.mark.slow
def test_damaged_models_end_in_an_answer_or_a_line(tmp_path):
    for name in ("out", "photos/ants"):
        (tmp_path / "start" / name).mkdir(parents=True)
    shutil.copy(MODEL, tmp_path / "start" / "out" / "model_int8.tflite")
    Image.new("RGB", (64, 48), "gold").save(tmp_path / "start" / "photos" / "ants" / "0.jpg")
    only = [word for name in ("classify", "lone", "inspect") for word in ("--only", name)]
    said = attacked("--count", 100, *only, "--start", tmp_path / "start")
    for outcome in ("classify refused", "classify answered", "lone refused", "inspect refused"):
        assert outcome in said, "damages that spoil nothing, or all, would prove nothing"


@pytest.mark.slow
def test_damaged_models_through_every_command():
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    attacked("--count", 100, "--seed", 5)
