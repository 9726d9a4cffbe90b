"""Rounds: who is timed when, what is left out, what is kept when something fails."""

from __future__ import annotations

import itertools
import sys
from contextlib import ExitStack

import pytest

from edgebee.benchmarks.measure import timing
from edgebee.benchmarks.measure.timing import Timing, first_choice, measure_device
from edgebee.benchmarks.measure.workers import Worker

# A probe that notes what it is asked for, each invoke of which takes as long as it is told;
# after `last` rounds it dies.
PROBE = """
import json, os, sys
name, ms, log, last = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
print(json.dumps({"runtime": "x 1", "threads": 1, "load_ms": 1.0, "cold_start_ms": 2.0}),
      flush=True)
rounds = 0
for line in sys.stdin:
    asked = json.loads(line)
    with open(log, "a") as notes:
        notes.write(f"{asked['do']} {name}\\n")
    if asked["do"] == "round":
        rounds += 1
        if rounds > last:
            os._exit(3)
        n = len(asked["photos"])
        answer = {"decode": [1.0] * n, "resize": [0.5] * n, "invoke": [ms] * n}
        answer["predictions"] = [0] * n
    else:
        answer = {"peak_memory_mb": 50.0}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Measure probes given as name -> (milliseconds, rounds that it lives); result and notes."""
    log = tmp_path / "notes"
    loads = itertools.count()
    empty = {"frequency_mhz": None, "temperature_c": None, "throttled": []}
    monkeypatch.setattr(timing, "read_state", lambda: {"load": float(next(loads)), **empty})

    def run(probes, *, rounds=3, home=None, keep=lambda device: None):
        with ExitStack() as running:
            timings = []
            for name, (ms, last) in probes.items():
                command = [sys.executable, "-c", PROBE, name, str(ms), str(log), str(last)]
                worker = running.enter_context(Worker(command, name))
                timings.append(Timing(name, worker))
            device = measure_device(
                "this machine", None, timings, ["1.jpg", "2.jpg"],
                rounds=rounds, reference="a", home=home, keep=keep,
            )  # fmt: skip
        return device, log.read_text().split("\n")[:-1]

    return run


ALL = 99


def test_every_round_begins_with_another_model(measure):
    _, notes = measure({"a": (4, ALL), "b": (1, ALL), "c": (2, ALL)})
    asked = [note.split()[1] for note in notes if note.startswith("round")]
    assert "".join(asked) == "abc" + "bca" + "cab"


def test_the_state_is_read_before_and_after_every_round(measure):
    device, _ = measure({"a": (4, ALL)})
    assert [reading.load for reading in device.conditions.readings] == [0, 1, 2, 3]
    assert device.conditions.readings[0].throttled == ()


def test_what_is_said_of_a_run(measure):
    device, _ = measure({"a": (4, ALL), "b": (1, ALL)})
    a, b = device.runs
    assert device.reference == "a"
    assert (a.ratio, b.ratio.median) == (None, 0.25)
    assert a.latency.whole.p50 == 5.5
    assert a.peak_memory_mb == 50.0
    assert (a.compared, a.same_predictions) == (None, None)
    assert device.failure is None


def test_what_is_measured_is_handed_over_after_every_round(measure):
    kept = []
    device, _ = measure({"a": (4, ALL), "b": (1, 1)}, keep=kept.append)
    assert [[len(run.rounds) for run in one.runs] for one in kept] == [[1, 1], [2, 1], [3, 1]]
    assert [len(one.conditions.readings) for one in kept] == [2, 3, 4]
    assert kept[0].failure is None
    assert kept[1].failure == kept[2].failure == device.failure


def test_a_model_that_dies_leaves_the_others_alone(measure):
    device, _ = measure({"a": (4, ALL), "b": (1, 1)})
    assert [(run.variant, len(run.rounds)) for run in device.runs] == [("a", 3), ("b", 1)]
    assert device.failure == "b: ended (exit status 3)"
    assert device.runs[1].peak_memory_mb is None


def test_one_that_dies_at_once_is_only_in_the_failure(measure):
    device, _ = measure({"a": (4, 0), "b": (1, ALL)})
    assert [run.variant for run in device.runs] == ["b"]
    assert device.failure == "a: ended (exit status 3)"
    assert (device.reference, device.runs[0].ratio) == (None, None)


def test_a_devices_answers_are_held_to_those_at_home(measure):
    device, _ = measure({"a": (4, ALL), "b": (1, ALL)}, home={"a": [0, 1]})
    a, b = device.runs
    assert (a.compared, a.same_predictions) == (2, 1)
    assert (b.compared, b.same_predictions) == (None, None)  # it had failed there


def test_without_keras_times_are_held_to_float32_else_to_the_first():
    assert first_choice(["model_int8.tflite", "model_float32.tflite"]) == "model_float32.tflite"
    assert first_choice(["b.tflite", "a.tflite"]) == "b.tflite"
    assert first_choice([]) is None
