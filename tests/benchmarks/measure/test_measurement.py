"""A whole measurement on this machine: what is kept when a model's process dies under it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgebee
import edgebee.edge
from edgebee.benchmarks.measure.measurement import measure
from edgebee.benchmarks.measure.plan import Plan
from edgebee.benchmarks.measure.results import Data
from edgebee.benchmarks.measure.subject import Subject
from edgebee.benchmarks.measure.workers import WorkerError
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


def kill_probes(*files):
    """Kill the processes that have these models loaded, as the system does when memory is short."""
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
        except OSError:  # it has ended
            continue
        if {str(file) for file in files} & set(words) and "--first" in words:
            os.kill(int(process.name), signal.SIGKILL)
            killed += 1
    assert killed == len(files)


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
def test_a_model_that_is_killed_leaves_the_other_whole(subject, when):
    results = measure(
        subject, PLAN, progress=lambda text: kill_probes(subject.files[1]) if text == when else None
    )
    (here,) = results.devices
    assert [variant.name for variant in results.variants] == ["model_int8.tflite"]
    assert [(run.variant, len(run.rounds)) for run in here.runs] == [("model_int8.tflite", 2)]
    assert "model_other.tflite: ended (killed by signal 9" in here.failure


def test_when_all_are_killed_there_is_no_result(subject):
    def kill(text):
        if text == "model_int8.tflite: accuracy":
            kill_probes(*subject.files)

    with pytest.raises(WorkerError, match="killed by signal 9"):
        measure(subject, PLAN, progress=kill)


def test_nothing_is_left_behind(subject, monkeypatch, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    measure(subject, PLAN)
    assert list(scratch.iterdir()) == []
    with pytest.raises(AssertionError):
        kill_probes(*subject.files)  # none of them runs any more
