"""Probes as processes: what they answer, and what is said when they do not."""

from __future__ import annotations

import sys
import time

import pytest

from edgebee.benchmarks.measure.workers import Worker, WorkerError

READY = 'import sys, json, os, signal; print("{}", flush=True)\n'


def start(code: str, **settings) -> Worker:
    return Worker([sys.executable, "-c", code], "the model", **settings)


def test_commands_are_answered_in_turn():
    code = READY + "for line in sys.stdin: print(json.dumps({'got': json.loads(line)}), flush=True)"
    with start(code) as worker:
        for number in (1, 2):
            assert worker.ask("count", number=number) == {"got": {"do": "count", "number": number}}


def test_what_it_says_first_is_kept():
    with start('print(\'{"runtime": "x 1.0"}\')') as worker:
        assert worker.ready == {"runtime": "x 1.0"}


def test_an_error_is_told_in_its_own_words():
    code = READY + 'sys.stdin.readline(); print(\'{"error": "model.tflite: damaged"}\')'
    with start(code) as worker, pytest.raises(WorkerError, match=r"^model\.tflite: damaged$"):
        worker.ask("round")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit('no memory left')", ["exit status 1", "no memory left"]),
        ("os.kill(os.getpid(), signal.SIGSEGV)", ["killed by signal 11"]),
        ("1 / 0", ["exit status 1", "ZeroDivisionError"]),
        ("sys.exit(0)", ["exit status 0"]),
    ],
)
def test_an_end_is_told_with_its_cause(code, words):
    with start(READY + "sys.stdin.readline()\n" + code) as worker:
        with pytest.raises(WorkerError) as caught:
            worker.ask("round")
        for word in ["the model", *words]:
            assert word in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(WorkerError, match="ended"):  # nor later
            worker.ask("round")


def test_silence_is_taken_for_death():
    code = READY + "import time; time.sleep(60)"
    with (
        start(code, answer_seconds=1.0) as worker,
        pytest.raises(WorkerError, match="no answer for 1 s"),
    ):
        worker.ask("round")


def test_one_that_never_gets_ready_is_ended():
    started = time.monotonic()
    with pytest.raises(WorkerError, match="no answer"):
        start("import time; time.sleep(60)", answer_seconds=0.5)
    assert time.monotonic() - started < 30  # not the minute that it wanted


def test_chatter_on_standard_error_does_not_block():
    # Far more than a pipe holds.
    code = "import sys; sys.stderr.write('x' * 1_000_000)\n" + READY
    with start(code) as worker:
        assert worker.ready == {}
