"""Rounds: who is timed when, and what is said of a run."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from edgebee.benchmarks.measure.timing import measure_device
from edgebee.benchmarks.measure.workers import Worker, WorkerError

# A probe that notes what it is asked for, each invoke of which takes as long as it is told;
# after `last` rounds it dies.
PROBE = """
import json, os, sys
name, ms, log, last = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
print(json.dumps({"runtime": "x 1", "threads": 1, "load_ms": 1.0, "cold_start_ms": 2.0,
                  "peak_memory_mb": 50.0}), flush=True)
rounds = 0
for line in sys.stdin:
    asked = json.loads(line)
    with open(log, "a") as notes:
        notes.write(name)
    rounds += 1
    if rounds > last:
        os._exit(3)
    n = len(asked["photos"])
    answer = {"decode": [1.0] * n, "resize": [0.5] * n, "invoke": [ms] * n}
    print(json.dumps(answer | {"predictions": [0] * n}), flush=True)
"""
ALL = 99


@pytest.fixture
def measure(tmp_path):
    """Measure probes given as name -> (milliseconds, rounds that it lives); result and notes."""
    log = tmp_path / "notes"

    def run(probes, *, home=None):
        with ExitStack() as running:
            workers = {}
            for name, (ms, last) in probes.items():
                command = [sys.executable, "-c", PROBE, name, str(ms), str(log), str(last)]
                workers[name] = running.enter_context(Worker(command, name))
            photos = ["1.jpg", "2.jpg"]
            device = measure_device("this machine", None, workers, photos, rounds=3, home=home)
        return device, log.read_text()

    return run


def test_every_round_begins_with_another_model(measure):
    _, notes = measure({"a": (4, ALL), "b": (1, ALL), "c": (2, ALL)})
    assert notes == "abc" + "bca" + "cab"


def test_what_is_said_of_a_run(measure):
    device, _ = measure({"a": (4, ALL), "b": (1, ALL)})
    a, b = device.runs
    assert device.reference == "a"
    assert (a.ratio, b.ratio) == (None, 0.25)
    assert a.latency.whole.p50 == 5.5
    assert a.peak_memory_mb == 50.0
    assert (a.same_predictions, device.failure) == (None, None)


def test_a_model_that_dies_is_an_error(measure):
    with pytest.raises(WorkerError, match=r"b: ended \(exit status 3\)"):
        measure({"a": (4, ALL), "b": (1, 1)})


def test_a_devices_answers_are_held_to_those_at_home(measure):
    device, _ = measure({"a": (4, ALL)}, home={"a": [0, 1]})
    assert device.runs[0].same_predictions == 1


@pytest.mark.parametrize(
    ("names", "reference"),
    [
        (["m_int8.tflite", "m_float32.tflite"], "m_float32.tflite"),
        (["b.tflite", "a.tflite"], "b.tflite"),
        (["m_float32.tflite", "model.keras"], "model.keras"),
    ],
)
def test_times_are_held_to_keras_else_to_float32_else_to_the_first(measure, names, reference):
    assert measure(dict.fromkeys(names, (1, ALL)))[0].reference == reference
