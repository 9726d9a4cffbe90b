"""`edgebee data check`: exit status and output; which problems is tested with `check_dataset`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edgebee.cli import edgebee


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label in ("daisy", "poppy"):
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(4):
                noise = Image.fromarray(rng.integers(0, 256, (15, 20, 3), np.uint8))
                noise.resize((400, 300)).save(tmp_path / part / label / f"{number}.jpg")
    return tmp_path


def check(*arguments: str):
    return CliRunner().invoke(edgebee, ["data", "check", *arguments])


def test_a_clean_folder_is_fine(folder):
    result = check(str(folder))
    assert result.exit_code == 0
    assert "no problems" in result.stdout


def test_a_leak_is_named_and_fails(folder):
    shutil.copy(folder / "train/daisy/0.jpg", folder / "val/daisy/copy.jpg")
    result = check(str(folder))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "train: 8 photos (4 daisy, 4 poppy)",
        "validation: 9 photos (5 daisy, 4 poppy)",
        "error: leak: train/daisy/0.jpg, val/daisy/copy.jpg: the same file in both halves, "
        "which inflates the measured accuracy; keep one",
        "1 error, 0 warnings",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_problem_stays_one_line_whatever_a_photo_is_called(folder, encoding):
    odd = "\x1b[2J\n\u202e\udce9.jpg"
    (folder / "train/daisy" / odd).write_bytes(b"no photo")
    command = [sys.executable, "-m", "edgebee", "data", "check", str(folder)]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0
    lines = done.stdout.decode(encoding).splitlines()
    assert all(line.isprintable() for line in lines)
    shown = r"error: unreadable: train/daisy/\x1b[2J\n\u202e\udce9.jpg: "
    assert sum(shown in line for line in lines) == 1


def test_what_is_excluded_leaks_nothing(folder):
    shutil.copy(folder / "train/daisy/0.jpg", folder / "val/daisy/copy.jpg")
    assert check(str(folder), "--exclude", "copy.jpg").exit_code == 0
