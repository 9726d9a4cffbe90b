"""The gate: what is a regression, what is not, what cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_neither import make_knowing  # beside this file
from examples import make_results

from edgebee.benchmarks.measure.baseline import Limits, regressions
from edgebee.benchmarks.measure.latency import compare_rounds
from edgebee.errors import BenchmarkError

LIMITS = Limits(max_slowdown=1.2, max_drop=3.0)
"""Of forty photos one is 2.5 points: one may go, two may not."""


def test_the_same_again_is_no_regression(example):
    assert regressions(example, example, LIMITS) == []


def test_a_machine_ten_times_as_slow_is_no_regression(example):
    slow = make_results(int8_ms=30.0, keras_ms=120.0)
    assert regressions(slow, example, LIMITS) == []
    assert regressions(example, slow, LIMITS) == []


def test_a_model_that_falls_behind_the_reference_is_one(example):
    (line,) = regressions(make_results(int8_ms=3.9), example, LIMITS)
    # 3.9 of 12 is 0.325, 1.3 times the 0.25 of 3 of 12.
    assert "model_int8.tflite takes 0.33 times as long as model.keras" in line
    assert "in every round 1.30 times the baseline's 0.25 or more" in line
    assert "--max-slowdown 1.2" in line


def test_within_the_limit_it_is_not(example):
    assert regressions(make_results(int8_ms=3.5), example, LIMITS) == []
    assert regressions(make_results(int8_ms=3.9), example, replace(LIMITS, max_slowdown=1.4)) == []


def test_a_machine_that_drifts_is_no_regression(example):
    # Each round half as slow again as the first, all models alike.
    assert regressions(make_results(drift=0.5), example, LIMITS) == []


@pytest.mark.parametrize(
    ("rounds_ms", "slower"),
    [
        pytest.param((9.0, 9.0, 3.0), False, id="disturbed in two rounds of three"),
        pytest.param((9.0, 3.9, 9.0), True, id="slow even in the best"),
    ],
)
def test_only_what_is_slow_in_every_round_is_one(example, rounds_ms, slower):
    here, there = example.devices
    reference, int8 = here.runs
    ratio = compare_rounds(
        [replace(one, invoke=(ms,) * 4) for one, ms in zip(int8.rounds, rounds_ms, strict=True)],
        reference.rounds,
    )
    disturbed = replace(here, runs=(reference, replace(int8, ratio=ratio)))
    found = regressions(replace(example, devices=(disturbed, there)), example, LIMITS)
    assert bool(found) == slower


@pytest.mark.parametrize(("wrong", "words"), [(2, None), (3, None), (4, "5.0 points below")])
def test_a_drop_is_counted_in_points(example, wrong, words):
    found = regressions(make_results(int8_wrong=wrong), example, LIMITS)
    assert bool(found) == bool(words)
    for line in found:
        assert "model_int8.tflite: 36 of 40 correct" in line
        assert words in line
        assert "38" in line
        assert "--max-drop 3" in line


def test_getting_better_is_no_regression(example):
    assert regressions(make_results(int8_wrong=0, int8_ms=1.0), example, LIMITS) == []


def test_a_model_that_is_gone_is_one(example):
    now = replace(example, variants=example.variants[:1])
    assert regressions(now, example, LIMITS) == [
        "model_int8.tflite: in the baseline, not measured now"
    ]


def test_a_model_that_is_new_is_not(example):
    assert regressions(example, replace(example, variants=example.variants[:1]), LIMITS) == []


def test_a_device_that_was_not_asked_is_not(example):
    assert regressions(replace(example, devices=example.devices[:1]), example, LIMITS) == []


def test_a_model_that_could_not_be_timed_is_one(example):
    here, there = example.devices
    now = replace(example, devices=(replace(here, runs=here.runs[:1]), there))
    (line,) = regressions(now, example, LIMITS)
    assert line == "this machine: model_int8.tflite: in the baseline, not timed now"


def test_other_photos_cannot_be_compared(example):
    data = replace(example.data, photos=example.data.photos[1:])
    with pytest.raises(BenchmarkError, match="40 photos of insects, not on these 39 of insects"):
        regressions(replace(example, data=data), example, LIMITS)


def test_another_reference_cannot_be_compared(example):
    here, there = example.devices
    now = replace(example, devices=(replace(here, reference="model_float32.tflite"), there))
    with pytest.raises(BenchmarkError, match=r"with model\.keras, these with model_float32"):
        regressions(now, example, LIMITS)


@pytest.mark.parametrize(
    ("int8", "said"),
    [
        ({}, ""),
        ({"refused": 3}, ""),  # one photo more is 2.5 points
        ({"refused": 4}, "34 of 40 correct with neither and unknown counted as incorrect"),
        ({"passing": 6}, "tells other photos from the classes with an AUROC of"),
        ({"passing": 0, "refused": 0}, ""),
    ],
)
def test_what_is_kept_and_what_strangers_pass_are_held_to_the_baseline(int8, said):
    found = regressions(make_knowing(**int8), make_knowing(), LIMITS)
    assert [line for line in found if said in line] == found
    assert bool(found) == bool(said)
    assert all("model_int8.tflite" in line for line in found)


def test_a_model_that_does_not_know_neither_any_more_is_a_regression():
    known, plain = make_knowing(), make_results()
    assert "does not know neither any more" in regressions(plain, known, LIMITS)[0]
    assert regressions(known, plain, LIMITS) == []


def test_other_strangers_than_the_baselines_say_nothing():
    known, worse = make_knowing(), make_knowing(passing=9)
    int8 = worse.variants[1]
    fewer = tuple(replace(one, count=one.count - 1) for one in int8.rejections)
    changed = replace(worse, variants=(worse.variants[0], replace(int8, rejections=fewer)))
    assert regressions(changed, known, LIMITS) == []
