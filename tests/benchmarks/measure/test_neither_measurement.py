"""A benchmark of a model that knows `neither`, on photos of its classes and of other things."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from edgebee.benchmarks.measure.measurement import benchmark
from edgebee.benchmarks.measure.plan import Plan

MODEL = Path(__file__).parents[2] / "edge" / "dark_light_neither.tflite"
COLOURS = {"dark": (30,) * 3, "light": (200,) * 3, "green": (60, 190, 60)}
PLAN = Plan(rounds=1, photos=1)


def write_photos(folder: Path, **classes: str) -> Path:
    """Ten photos a folder, of these colours."""
    for name, colour in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (64, 48), COLOURS[colour]).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def artifacts(tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir()
    shutil.copy(MODEL, folder / "model_int8.tflite")
    return folder


def test_strangers_are_other_photos_and_blank_frames(artifacts, tmp_path):
    photos = write_photos(tmp_path / "photos", dark="dark", light="light", other="green")
    results = benchmark(artifacts, str(photos), PLAN, output=artifacts)
    recorded = json.loads((artifacts / "benchmark.json").read_text())
    assert len(recorded["variants"][0]["stranger_scores"]) == len(results.data.strangers) == 62
    (variant,) = results.variants
    assert variant.accuracy.correct == variant.accuracy.total == 4
    assert variant.accuracy.as_seen.correct == 4
    others, blank = variant.rejections
    assert (others.source, others.count, others.accepted) == ("other photos", 2, 0)
    assert (blank.source, blank.count) == ("blank frames", 60)
    assert blank.accepted > 40  # dark and light is all that this model knows of the world
    page = (artifacts / "report.html").read_text()
    assert "What it does not know" in page
    assert "Strangers: pictures of none of the classes" in results.to_markdown()


def test_a_friend_that_is_called_neither_is_correct_by_the_best_class_alone(artifacts, tmp_path):
    photos = write_photos(tmp_path / "photos", dark="green", light="light")
    (variant,) = benchmark(artifacts, str(photos), PLAN).variants
    seen = variant.accuracy.as_seen
    assert (variant.accuracy.total, seen.neither, seen.correct) == (4, 2, 2)
    assert variant.accuracy.correct in (2, 4)  # as 8 bits have it of what is left to the classes


def test_other_photos_for_models_without_it_are_a_line(artifacts, tmp_path, caplog):
    content = MODEL.read_bytes()
    (artifacts / "model_int8.tflite").write_bytes(content[: content.index(b"PK\x03\x04")])
    with zipfile.ZipFile(artifacts / "model_int8.tflite", "a") as archive:
        archive.writestr("labels.txt", "dark\nlight\nmoss\n")
    photos = write_photos(
        tmp_path / "photos", dark="dark", light="light", moss="green", other="green"
    )
    with caplog.at_level(logging.WARNING, "edgebee"):
        results = benchmark(artifacts, str(photos), PLAN)
    assert results.variants[0].accuracy.as_seen is None
    assert results.data.strangers == ()
    (line,) = [one for one in caplog.messages if "neither" in one]
    assert "no model there knows neither, so the 2 photos of none of the classes are not" in line
