"""`edgebee data check`: exit status and output; which problems is tested with `check_dataset`."""

from __future__ import annotations

import json
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
    result = check(str(folder), "--json")
    assert result.exit_code == 1
    (leak,) = [one for one in json.loads(result.stdout)["problems"] if one["kind"] == "leak"]
    assert set(leak["paths"]) == {"train/daisy/0.jpg", "val/daisy/copy.jpg"}


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
    done = subprocess.run([*command, "--json"], capture_output=True, env=environment, check=False)
    (problem,) = (one for one in json.loads(done.stdout)["problems"] if one["kind"] == "unreadable")
    assert problem["paths"] == [f"train/daisy/{odd}"]


def test_what_is_excluded_leaks_nothing(folder):
    shutil.copy(folder / "train/daisy/0.jpg", folder / "val/daisy/copy.jpg")
    assert check(str(folder), "--exclude", "copy.jpg").exit_code == 0
