"""`edgebee data check`: exit status and output; what is found is the audit's own test."""

from __future__ import annotations

import json
import shutil

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
    assert "nothing found" in result.stdout


def test_a_leak_is_named_and_fails(folder):
    shutil.copy(folder / "train/daisy/0.jpg", folder / "val/daisy/copy.jpg")
    result = check(str(folder), "--json")
    assert result.exit_code == 1
    (leak,) = [one for one in json.loads(result.stdout)["findings"] if one["kind"] == "leak"]
    assert set(leak["paths"]) == {"train/daisy/0.jpg", "val/daisy/copy.jpg"}


def test_what_is_excluded_leaks_nothing(folder):
    shutil.copy(folder / "train/daisy/0.jpg", folder / "val/daisy/copy.jpg")
    assert check(str(folder), "--exclude", "copy.jpg").exit_code == 0
