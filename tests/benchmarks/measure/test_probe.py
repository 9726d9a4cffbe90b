"""The probe: a process that loads a model and executes commands, here as on a device."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgebee.edge
from edgebee.benchmarks.measure.workers import WorkerError, start_probe
from edgebee.edge.classify import Classifier

MODEL = Path(edgebee.edge.__path__[0]) / "models" / "hymenoptera_int8.tflite"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Large photos, whose decoding and scaling take milliseconds; the last is transparent."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(3):
        noise = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).resize((1600, 1200))
        paths.append(folder / f"{number}.jpg")
        noise.save(paths[-1])
    paths.append(folder / "clear.png")
    noise.convert("RGBA").save(paths[-1])
    with zipfile.ZipFile(MODEL) as members, members.open("golden/4.png") as file:
        Image.open(file).convert("RGB").resize((1600, 1200)).save(paths[0])
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def probe(photos):
    with start_probe("int8", str(MODEL), first=photos[0], threads=1) as one:
        yield one


def test_it_says_what_it_loaded(probe):
    assert probe.ready["labels"] == ["ants", "bees", "neither"]
    assert probe.ready["threads"] == 1
    assert probe.ready["runtime"].split()[0] in {"ai-edge-litert", "tflite-runtime"}


def test_a_cold_start_is_longer_than_loading_and_counts_the_interpreter(probe):
    # Python itself takes over 10 ms, NumPy and Pillow another 50.
    assert probe.ready["load_ms"] > 0
    assert probe.ready["cold_start_ms"] > probe.ready["load_ms"] + 10


def test_a_round_times_every_photo_and_every_stage(probe, photos):
    answer = probe.ask("round", photos=photos, warm_up=2)
    assert {len(answer[part]) for part in ("decode", "resize", "invoke", "predictions")} == {4}
    for part in ("decode", "resize", "invoke"):
        assert all(0 < ms < 10_000 for ms in answer[part])
    # Of a PNG of two megapixels, decoding is most; were scaling not told apart, it would be 0.
    assert answer["decode"][-1] > answer["resize"][-1]


def test_its_answers_are_those_of_the_runner(probe, photos, tmp_path):
    classify = Classifier(MODEL, threads=1)
    (tmp_path / "broken.jpg").write_text("no photo")
    *asked, broken = probe.ask("score", photos=[*photos, str(tmp_path / "broken.jpg")])["scores"]
    assert broken.startswith(str(tmp_path / "broken.jpg"))
    assert len(set(asked[0])) == 3  # so that their order shows
    timed = probe.ask("round", photos=photos, warm_up=0)["predictions"]
    for photo, scores, answer in zip(photos, asked, timed, strict=True):
        expected = classify(photo).scores
        assert scores == pytest.approx([expected[label] for label in classify.labels], abs=1e-6)
        assert answer == int(np.argmax(scores))


def test_memory_is_that_of_the_process_alone(probe):
    # NumPy, Pillow, the runtime and a model of 3 MB: neither 10 MB nor pytest's hundreds.
    assert 20 < probe.ready["peak_memory_mb"] < 250


def test_it_goes_on_after_a_photo_that_cannot_be_read(probe, photos, tmp_path):
    (tmp_path / "broken.jpg").write_text("no photo")
    with pytest.raises(WorkerError, match=r"broken\.jpg"):
        probe.ask("round", photos=[str(tmp_path / "broken.jpg")], warm_up=0)
    assert len(probe.ask("round", photos=photos[:1], warm_up=0)["invoke"]) == 1


@pytest.mark.parametrize("name", ["nothing.tflite", "text.tflite"])
def test_a_model_that_cannot_be_used_is_named(photos, tmp_path, name):
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(WorkerError, match=name):
        start_probe("x", str(tmp_path / name), first=photos[0], threads=None)


def test_what_a_library_prints_does_not_come_between(photos):
    # A runtime that prints while it loads a model, as some do.
    code = (
        "import os, sys; from edgebee.benchmarks.measure import probe; load = probe.load_tflite\n"
        "def loud(*given):\n    os.write(1, b'hello'); print('hello'); return load(*given)\n"
        "probe.load_tflite = loud; sys.exit(probe.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, MODEL, "--first", photos[0]],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hello" in done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith('{"runtime"')


def test_nothing_is_run_from_the_working_folder(photos, tmp_path, monkeypatch):
    for name in ("json", "numpy", "random", "runpy", "os", "tempfile", "PIL"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('run from the working folder')\n")
    monkeypatch.chdir(tmp_path)
    with start_probe("int8", str(MODEL), first=photos[0], threads=1) as one:
        assert one.ready["labels"] == ["ants", "bees", "neither"]
