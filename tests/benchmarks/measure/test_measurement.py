"""A whole measurement on this machine."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgebee
import edgebee.edge
from edgebee.benchmarks.measure.measurement import measure
from edgebee.benchmarks.measure.plan import Plan
from edgebee.benchmarks.measure.results import Data
from edgebee.benchmarks.measure.subject import Subject, first_readable, spread_evenly
from edgebee.benchmarks.measure.workers import WorkerError
from edgebee.errors import BenchmarkError
from edgebee.photos.dataset import Dataset, Photos

LABELS = ("ants", "bees")
MODEL = Path(edgebee.edge.__path__[0]) / "models" / "hymenoptera_int8.tflite"
PLAN = Plan(threads=1, rounds=2, photos=2)


@pytest.fixture
def subject(tmp_path):
    """The model that ships, under two names, and four photos of nothing."""
    files = tuple(tmp_path / name for name in ("model_int8.tflite", "model_other.tflite"))
    for file in files:
        shutil.copy(MODEL, file)
    rng = np.random.default_rng(0)
    paths = tuple(tmp_path / f"{number}.png" for number in range(4))
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    data = Data("photos", str(tmp_path), False, LABELS, (), ())
    return Subject(tmp_path, files, data, paths, (0, 0, 1, 1))


def kill_probe(file):
    """Kill the process that has a model loaded, as the system does when memory is short."""
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:  # it has ended
            continue
        if str(file) in words and "--first" in words:
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
    assert killed == 1


def test_two_models_alike_get_the_same_figures(subject):
    results = measure(subject, PLAN)
    one, other = results.variants
    assert one.scores == other.scores
    assert one.accuracy == other.accuracy
    assert [photo.name for photo in results.data.photos] == [path.name for path in subject.paths]
    (here,) = results.devices
    assert here.reference == "model_int8.tflite"
    assert [run.ratio is None for run in here.runs] == [True, False]
    assert (results.reference, here.failure) == (None, None)


def test_what_cannot_be_read_is_named_and_left_out(subject):
    for place in (0, 2):
        subject.paths[place].write_text("no photo")
    assert first_readable(subject) == subject.paths[1]
    data = measure(subject, PLAN).data
    assert [(photo.name, photo.label) for photo in data.photos] == [("1.png", 0), ("3.png", 1)]
    assert ["0.png" in data.skipped[0], "2.png" in data.skipped[1]] == [True, True]


def test_without_a_readable_photo_there_is_no_result(subject):
    for path in subject.paths:
        path.write_text("no photo")
    with pytest.raises(BenchmarkError, match="--data"):
        measure(subject, PLAN)


def test_the_public_function_returns_results_and_writes_only_where_it_is_told(subject, tmp_path):
    pytest.importorskip("jinja2", reason="needs edgebee[train]")
    photos = Photos(subject.paths, subject.classes)
    dataset = Dataset("photos", str(tmp_path), tmp_path, LABELS, Photos((), ()), photos, False)
    before = set(tmp_path.iterdir())
    steps = []
    results = edgebee.benchmark(tmp_path, dataset, PLAN, progress=steps.append)
    assert set(tmp_path.iterdir()) == before
    assert [one.done for one in steps] == list(range(len(steps)))
    assert {one.total for one in steps} == {len(steps) - 1}
    assert f"{results.variants[0].accuracy.correct}/4" in results.to_markdown()
    page = results.write_report(tmp_path / "out.html")
    assert "<h1>" in page.read_text()


@pytest.mark.parametrize("when", ["model_other.tflite: round 2", "model_other.tflite: accuracy"])
def test_a_model_that_is_killed_is_named_and_nothing_is_left_behind(subject, when, tmp_path):
    def kill(text):
        if text == when:
            kill_probe(subject.files[1])

    with pytest.raises(WorkerError, match=r"model_other\.tflite: ended \(killed by signal 9"):
        measure(subject, PLAN, progress=kill)
    with pytest.raises(AssertionError):
        kill_probe(subject.files[0])  # it does not run any more


@pytest.mark.parametrize(
    ("total", "wanted", "places"),
    [
        (5, 3, [0, 2, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (3, 24, [0, 1, 2]),
        (1, 1, [0]),
        (153, 2, [0, 152]),
    ],
)
def test_timed_photos_are_spread_over_all(total, wanted, places):
    assert spread_evenly(total, wanted) == places


def test_a_model_that_knows_neither_is_asked_about_strangers(subject):
    file = subject.folder / "model_neither.tflite"
    shutil.copy(Path(__file__).parents[2] / "edge" / "dark_light_neither.tflite", file)
    other = subject.folder / "other.png"
    shutil.copy(subject.paths[0], other)
    data = replace(subject.data, labels=("dark", "light"))
    results = measure(replace(subject, files=(file,), data=data, others=(other,)), PLAN)
    (variant,) = results.variants
    assert [one.name for one in results.data.strangers[:2]] == ["other.png", "dark 1"]
    assert len(variant.stranger_scores) == len(results.data.strangers) > 10
    assert variant.stranger_scores[0] == variant.scores[0]
    assert [one.source for one in variant.rejections] == ["other photos", "blank frames"]
