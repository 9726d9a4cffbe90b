"""`edgebee benchmark`: Keras and every `.tflite` over the same validation photos."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgebee.edge.classify
from edgebee.edge.classify import available_cpus

pytest.importorskip("tensorflow", reason="needs edgebee[train]")

from short_run import SHORT  # beside this file

from edgebee.benchmarks.measure.results import Results
from edgebee.benchmarks.measure.subject import Subject, warn_of_stale_models
from edgebee.benchmarks.report.summary import short_names, verdict


@pytest.fixture(scope="module", params=["int8", pytest.param("all", marks=pytest.mark.slow)])
def measured(request, artifacts, edgebee_process, tmp_path_factory):
    """One whole benchmark by the command line; what it printed, its results, the folder."""
    folder = tmp_path_factory.mktemp("measured") / "artifacts"
    shutil.copytree(artifacts, folder)
    if request.param == "int8":
        for name in ("float32", "float16", "dynamic"):
            (folder / f"model_{name}.tflite").unlink()
    done = edgebee_process("benchmark", "--threads", "1000", *SHORT, cwd=folder.parent)
    assert done.status == 0, done.err
    return done, Results.read(folder / "benchmark.json"), folder


# ------------------------------------------------------------------ benchmark.json


def test_every_model_of_the_folder_is_in_it_keras_first(measured):
    _, results, folder = measured
    variants = results.variants
    models = [*folder.glob("*.keras"), *folder.glob("*.tflite")]
    assert sorted(variant.name for variant in variants) == sorted(one.name for one in models)
    assert results.reference == variants[0].name == "model.keras"
    for variant in variants:
        assert variant.size_bytes == (folder / variant.name).stat().st_size
        assert variant.format in {"keras", variant.name.removesuffix(".tflite").split("_")[-1]}


def test_numbers_are_possible_ones(measured):
    _, results, _ = measured
    for variant in results.variants:
        accuracy = variant.accuracy
        assert 0 <= accuracy.correct <= accuracy.total == len(results.data.photos) == 60
        assert accuracy.interval.low <= accuracy.correct / accuracy.total <= accuracy.interval.high
        assert sum(map(sum, accuracy.confusion)) == 60
        assert len(variant.scores) == 60
    (here,) = results.devices
    for run in here.runs:
        for stage in vars(run.latency).values():
            assert 0 < stage.p50 <= stage.p95
        assert 0 < run.load_ms < run.cold_start_ms


def test_a_process_for_each_tells_their_memory_apart(measured):
    # TensorFlow takes several hundred megabytes, the runner tens: were a process shared, or its
    # parent's peak reported, they would be alike.
    _, results, _ = measured
    peaks = {run.variant: run.peak_memory_mb for run in results.devices[0].runs}
    assert peaks["model_int8.tflite"] < 200
    assert peaks["model.keras"] > 300


def test_conditions_are_stated(measured):
    _, results, _ = measured
    conditions = results.devices[0].conditions
    assert conditions.cores == available_cpus()
    assert conditions.processor
    assert (results.data.name, results.data.drawn) == ("sample", True)
    assert results.data.labels == ("ants", "bees")


def test_more_threads_than_cores_are_never_used(measured):
    # Four threads on two cores were once measured at over a second a photo.
    done, results, _ = measured
    assert results.settings.threads == available_cpus()
    assert {run.threads for run in results.devices[0].runs} == {available_cpus()}
    assert f"{available_cpus()} thread" in done.err


def test_keras_gets_right_what_training_said(measured, artifacts):
    _, results, _ = measured
    history = json.loads((artifacts / "history.json").read_text())
    # One photo may lie on the edge: training asks in batches, the benchmark one by one.
    correct = results.variant("model.keras").accuracy.correct
    assert abs(correct - history["validation"]["correct"]) <= 1


def test_int8_count_is_that_of_the_lone_runner(measured, tmp_path):
    from edgebee.photos.dataset import load_dataset

    _, results, folder = measured
    shutil.copy(edgebee.edge.classify.__file__, tmp_path)
    shutil.copy(folder / "model_int8.tflite", tmp_path)
    photos = load_dataset("sample").root / "val"
    done = subprocess.run(
        [sys.executable, "classify.py", "-m", "model_int8.tflite", "-t", "0", "--json", photos],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    right = sum(os.sep + answer["label"] + os.sep in answer["path"] for answer in answers)
    accuracy = results.variant("model_int8.tflite").accuracy
    assert (right, len(answers)) == (accuracy.correct, accuracy.total)


# ------------------------------------------------------------------ the page


def test_the_page_lies_beside_the_results(measured):
    _, results, folder = measured
    page = (folder / "report.html").read_text()
    assert f"<h1>{verdict(results)}</h1>" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "Training curves" in page  # which train left


# ------------------------------------------------------------------ what it says


def test_tables_are_all_that_goes_to_stdout(measured):
    done, results, _ = measured
    names = short_names(results.variants)
    heading, *rows = done.out.splitlines()[: len(results.variants) + 1]
    assert heading.split()[:3] == ["model", "MB", "correct"]
    for row, variant in zip(rows, results.variants, strict=True):
        assert row.startswith(names[variant.name])
        assert f" {variant.accuracy.correct}/{variant.accuracy.total} " in row
        assert f" {variant.size_bytes / 1e6:.2f} " in row
    assert "warning" not in done.out


def test_talk_names_the_conditions_and_the_next_command(measured):
    done, _, _ = measured
    # A busy machine is told of, and that depends on the machine.
    conditions, *next_lines = [line for line in done.errors if not line.startswith("warning: ")]
    assert "60 validation drawings (no result) of sample" in conditions
    assert "benchmark.json" in conditions
    assert next_lines == [
        "Next: look at artifacts/report.html",
        "Next: edgebee classify -m artifacts/model_int8.tflite PHOTO",
        "Next: edgebee deploy -m artifacts/model_int8.tflite pi@raspberrypi",
    ]


@pytest.mark.slow  # TensorFlow is started twice for one line
def test_keras_alone_leads_to_convert(edgebee, folder):
    (folder / "model_int8.tflite").unlink()
    done = edgebee("benchmark", folder, *SHORT)
    assert done.status == 0
    assert done.errors[-1] == f"Next: edgebee convert {folder / 'model.keras'} --quantize all"


def test_files_of_another_training_are_pointed_at(measured, tmp_path, caplog):
    done, results, folder = measured
    assert "another training" not in done.err
    file = Path(shutil.copy(folder / "model_int8.tflite", tmp_path))
    (tmp_path / "model.keras").write_bytes(b"of another training")
    warn_of_stale_models(Subject(tmp_path, (file,), results.data, (), ()))
    remedy = f"edgebee convert {tmp_path / 'model.keras'}"
    (warning,) = caplog.messages
    assert warning.startswith(f"{file}: of another training than ")
    assert warning.endswith(remedy)


def test_int8_alone_on_photos_of_which_one_is_damaged(edgebee, int8_folder, tmp_path):
    from edgebee.photos.dataset import load_dataset

    drawings = tmp_path / "drawings"
    shutil.copytree(load_dataset("sample").root, drawings)
    broken = sorted((drawings / "val" / "ants").iterdir())[0]
    broken.write_text("no photo")
    done = edgebee("benchmark", int8_folder, *SHORT, "--data", drawings, "--markdown")
    assert done.status == 0
    (warning,) = [line for line in done.errors if "left out" in line]
    assert str(broken) in warning
    results = Results.read(int8_folder / "benchmark.json")
    assert len(results.data.skipped) == 1
    (variant,) = results.variants
    assert variant.accuracy.total == len(results.data.photos) == 59
    assert not [photo for photo in results.data.photos if photo.name == f"val/ants/{broken.name}"]
    # Without Keras nothing is said of agreement.
    assert (results.reference, variant.accuracy.against) == (None, None)
    # And Markdown is for a README.
    said, _, first, rule, row = done.out.splitlines()[:5]
    assert said.startswith("**")
    assert first.startswith("| model | MB | correct | 95 % interval |")
    assert set(rule) <= set("|- :")
    assert row.startswith("| `int8` | ")


def test_photos_are_those_held_back_in_training(edgebee, folder, tmp_path):
    # The same drawings in one folder, split with the seed that the history has: were another
    # split taken, other photos would be asked.
    from edgebee.photos.dataset import load_dataset

    drawings = tmp_path / "drawings"
    shutil.copytree(load_dataset("sample").root / "val", drawings)
    history = json.loads((folder / "history.json").read_text())
    history["data"] |= {"source": str(drawings), "val_fraction": 0.1, "seed": 7, "exclude": []}
    (folder / "history.json").write_text(json.dumps(history))
    asked = load_dataset(str(drawings), val_fraction=0.1, seed=7).validation.paths
    for path in asked:
        path.write_text("no photo")
    assert len(asked) == 6
    done = edgebee("benchmark", folder, "--data", os.path.relpath(drawings))
    assert done.status == 1
    assert "no validation photo could be read" in done.err
