"""Studies: the arithmetic of its tables, and its studies on drawings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgebee.benchmarks.studies.__main__ import studies
from edgebee.benchmarks.studies.neither import share_taken
from edgebee.benchmarks.studies.seeds import describe_counts, student_t_975

MORE_PICTURES = str(Path(__file__).resolve().parents[3] / "docs" / "pictures")
"""Four."""
TINY_MODEL = str(Path(__file__).resolve().parents[2] / "edge" / "dark_light_neither.tflite")


def test_mean_spread_and_interval_by_hand():
    # Mean 150, deviation 1 (squares 1, 1, 0 over 2), half-width 4.303 / sqrt(3) = 2.48.
    assert describe_counts([149, 151, 150], 153) == (
        "mean 150.0 of 153 (98.0%), standard deviation 1.00, "
        "95 % interval of the mean 147.5 to 152.5"
    )


@pytest.mark.parametrize(("degrees", "expected"), [(1, 12.706), (4, 2.776), (10, 2.228)])
def test_student_t(degrees, expected):
    assert student_t_975(degrees) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["settings", "--data", "sample", "--folds", "2", "--try", "--epochs 1 --augmentations 2 "
          "--fine-tune-epochs 0 --image-size 96"], "`--epochs 1"),
        (["distill", "--data", "sample", "--part", "validation", "--more", MORE_PICTURES,
          "--epochs", "1", "--output", "OUTPUT"], ""),
        (["archive", "--photos", "30000", "--model", TINY_MODEL],
         "run again: 938 of 30,000 photos, 0 errors"),
    ],
    ids=["settings", "distill", "archive"],
)  # fmt: skip
def test_a_study_prints_its_figures(arguments, expected, tmp_path):
    output = str(tmp_path / "distilled.weights.h5")
    arguments = [output if one == "OUTPUT" else one for one in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "edgebee.benchmarks.studies", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    if output in arguments:
        assert f"{output}: distilled on 64 photos" in done.stderr  # 60 of them drawn
        assert [file.name for file in tmp_path.iterdir()] == ["distilled.weights.h5"]


def test_distilled_weights_need_the_ending_that_keras_asks_for():
    done = CliRunner().invoke(studies, ["distill", "--output", "distilled.keras"])
    assert done.exit_code == 2
    assert "distilled.keras: the name must end in .weights.h5" in done.output


def test_a_folder_without_pictures_to_distill_on_is_refused(tmp_path):
    done = CliRunner().invoke(studies, ["distill", "--data", "sample", "--more", str(tmp_path)])
    assert done.exit_code == 2
    assert f"--more {tmp_path}: no pictures" in done.output


def test_an_expected_failure_is_one_line(tmp_path):
    done = CliRunner().invoke(studies, ["distill", "--data", str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {tmp_path / 'nowhere'}: ")
    assert done.output.count("\n") == 1


def test_strangers_are_counted_where_95_percent_of_the_known_are_kept():
    known = np.linspace(0.01, 0.4, 100)
    strange = np.array([0.1, 0.39, 0.45, 0.9])
    shares = share_taken(
        *(np.column_stack([(1 - one) / 2, (1 - one) / 2, one]) for one in (known, strange))
    )
    # 95 of 100 known ones are at 0.38 or below. As it is, the other half of the rest has more
    # than 0.1 alone: (1 - 0.39) / 2 is less than 0.39.
    assert shares == (0.25, 0.25)
