"""A model whose last label is `neither`, through the runner alone.

`dark_light_neither.tflite` is `dark_light_neither()` of tests/convert/small_models.py, converted to
int8, with a threshold of 0.8: dark and light by the mean colour, and neither of what is green.
"""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import classify
import pytest
from PIL import Image

MODEL = Path(__file__).with_name("dark_light_neither.tflite")

COLOURS = {
    "dark": (30, 30, 30),
    "light": (200, 200, 200),
    "neither": (60, 190, 60),
    "unknown": (128, 128, 128),
}


@pytest.fixture(scope="module")
def classifier():
    return classify.Classifier(MODEL)


@pytest.fixture
def album(tmp_path):
    """Three photos of every label there is."""
    folder = tmp_path / "album"
    folder.mkdir()
    for label, colour in COLOURS.items():
        for number in range(3):
            Image.new("RGB", (64, 48), colour).save(folder / f"{label}{number}.png")
    return folder


def run(runner, *arguments):
    command = [sys.executable, runner, "-m", MODEL, *arguments]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("label", COLOURS)
def test_the_label_is_a_class_neither_or_unknown(classifier, label):
    prediction = classifier(Image.new("RGB", (64, 48), COLOURS[label]))
    assert prediction.label == label
    assert list(prediction.scores) == sorted(
        prediction.scores, key=prediction.scores.__getitem__, reverse=True
    )
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=3 / 256)  # steps of 8 bits
    assert prediction.score == max(prediction.scores.values())
    assert set(prediction.scores) == {"dark", "light", "neither"}


def test_it_is_one_score_of_those_that_are_listed(album, runner):
    out, _ = run(runner, album / "neither0.png", "-k", "2")
    assert ": neither 0." in out[0]
    assert out[0].count(", ") == 1
    out, _ = run(runner, album / "unknown0.png")
    assert ": unknown (" in out[0]


def test_no_threshold_changes_it(album, runner):
    (line,), _ = run(runner, album / "neither0.png", "-t", "1")
    assert ": neither 0." in line


def test_the_summary_counts_the_classes_first(album, runner):
    _, err = run(runner, album)
    assert err == ["12 photos: 3 dark, 3 light, 3 neither, 3 unknown"]


def test_json_and_csv_have_it_as_label_and_as_score(album, runner):
    out, _ = run(runner, album / "neither0.png", "--json")
    found = json.loads(out[0])
    assert (found["label"], next(iter(found["scores"]))) == ("neither", "neither")
    out, _ = run(runner, album / "dark0.png", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO("\n".join(out)))
    assert row["label"] == "dark"
    assert list(row)[-3:] == ["score_dark", "score_light", "score_neither"]


def test_the_golden_samples_show_it(runner):
    shown = {
        max(zip(one["scores"]["xnnpack"], ("dark", "light", "neither"), strict=True))[1]
        for one in classify.read_manifest(MODEL)["golden"]["samples"]
    }
    assert shown >= {"neither"}
    assert classify.selftest(MODEL).passed
