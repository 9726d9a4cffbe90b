"""What becomes of photos of none of the classes: folders, pictures, the checks of a model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("edgebee.edge.station.sources", reason="needs edgebee")
from edgebee.edge.classify import Prediction
from edgebee.edge.station.annotation import caption

MODEL = Path(__file__).parents[1] / "dark_light_neither.tflite"
COLOURS = {"dark": (30,) * 3, "neither": (60, 190, 60), "unknown": (128,) * 3}


@pytest.fixture
def arriving(tmp_path):
    folder = tmp_path / "arriving"
    folder.mkdir()
    for label, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(folder / f"{label}.png")
    return folder


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "edgebee", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("how", ["named", "watch"])
def test_each_photo_moves_to_the_folder_of_what_it_is(arriving, tmp_path, how):
    moved = tmp_path / "sorted"
    source = [arriving]
    if how == "watch":
        source = ["--watch", arriving, "--state", tmp_path / "state", "--count", 3]
    run("classify", "-m", MODEL, *source, "--move-to", moved)
    found = sorted(path.relative_to(moved).as_posix() for path in moved.rglob("*.png"))
    assert found == [f"{label}/{label}.png" for label in COLOURS]


def test_sorted_results_end_with_neither_and_unknown(arriving):
    out = run("classify", "-m", MODEL, arriving, "--sort", "--json")
    assert [json.loads(line)["label"] for line in out] == ["dark", "neither", "unknown"]


def test_it_is_written_on_the_picture(arriving, tmp_path):
    run("classify", "-m", MODEL, arriving / "neither.png", "--annotate", tmp_path / "drawn")
    assert len(list((tmp_path / "drawn").iterdir())) == 1
    scores = {"neither": 0.9, "dark": 0.1, "light": 0.0}
    assert caption(Prediction("neither", 0.9, scores, 1.0, 1.0)) == "neither 0.900"


def test_doctor_says_that_the_model_knows_it():
    assert any("sound, knows neither" in line for line in run("doctor", MODEL))
