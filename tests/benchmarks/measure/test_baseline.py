"""The gate: what is a regression, what is not, what cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_neither import make_knowing  # beside this file's folder
from examples import make_results

from edgebee.benchmarks.measure.baseline import find_regressions
from edgebee.benchmarks.measure.results import Results
from edgebee.commands import benchmark as page
from edgebee.errors import BenchmarkError


def regressions(now, baseline, max_slowdown=1.2):
    return find_regressions(now, baseline, max_slowdown=max_slowdown)


def test_the_same_again_is_no_regression(example):
    assert regressions(example, example) == ()


def test_a_machine_ten_times_as_slow_is_no_regression(example):
    slow = make_results(int8_ms=30.0, keras_ms=120.0)
    assert regressions(slow, example) == regressions(example, slow) == ()


def test_a_model_that_falls_behind_the_reference_is_one(example):
    # 3.9 of 12 is 0.325, 1.3 times the 0.25 of 3 of 12.
    assert regressions(make_results(int8_ms=3.9), example) == (
        "this machine: model_int8.tflite takes 0.33 times as long as model.keras, the baseline's "
        "0.25; --max-slowdown 1.2 allows less",
    )
    assert regressions(make_results(int8_ms=3.9), example, 1.4) == ()


@pytest.mark.parametrize(("wrong", "worse"), [(6, False), (7, True)])
def test_fewer_correct_are_a_regression_where_chance_does_not_explain_it(example, wrong, worse):
    # 2 of the same 40 photos were incorrect. The 95 % interval of what 4 more lose starts at -1.2
    # points, that of 5 more at 0.7.
    found = regressions(make_results(int8_wrong=wrong), example)
    assert bool(found) == worse
    for line in found:
        assert line.startswith(
            "model_int8.tflite: 33 of 40 correct, the baseline's 38: 12.5 points less (95 % "
            "interval 0.7 to "
        )


def test_getting_better_is_no_regression(example):
    assert regressions(make_results(int8_wrong=0, int8_ms=1.0), example) == ()


def test_a_model_that_is_gone_is_one_and_a_new_one_is_not(example):
    fewer = replace(example, variants=example.variants[:1])
    assert regressions(fewer, example) == ("model_int8.tflite: in the baseline, not measured now",)
    assert regressions(example, fewer) == ()


def test_a_device_that_was_not_asked_is_not(example):
    assert regressions(replace(example, devices=example.devices[:1]), example) == ()


def test_other_photos_cannot_be_compared(example):
    data = replace(example.data, photos=example.data.photos[1:])
    with pytest.raises(BenchmarkError, match=r"40 photos of insects, not of these 39 of insects"):
        regressions(replace(example, data=data), example)


def test_another_reference_cannot_be_compared(example):
    here, there = example.devices
    now = replace(example, devices=(replace(here, reference="model_float32.tflite"), there))
    with pytest.raises(BenchmarkError, match=r"with model\.keras, these with model_float32"):
        regressions(now, example)


@pytest.mark.parametrize(
    ("int8", "words"),
    [
        ({}, ""),
        ({"refused": 5}, ""),  # 33 of 40; the interval of 36 ends at 30.8
        ({"refused": 8}, "30 of 40 correct with neither and unknown counted as incorrect"),
        ({"passing": 6}, ""),  # the interval of 3 of 10 ends at 6.03
        ({"passing": 7}, "takes 7 of 10 other photos for a class, above the 95 % interval"),
        ({"passing": 0, "refused": 0}, ""),
    ],
)
def test_what_is_kept_and_what_strangers_pass_are_held_to_the_baseline(int8, words):
    found = regressions(make_knowing(**int8), make_knowing())
    assert len(found) == bool(words)
    for line in found:
        assert line.startswith(f"model_int8.tflite: {words}")


def test_a_model_that_does_not_know_neither_any_more_is_a_regression():
    known, plain = make_knowing(), make_results()
    assert "does not know neither any more" in regressions(plain, known)[0]
    assert regressions(known, plain) == ()


def test_other_strangers_than_the_baselines_show_nothing():
    known, worse = make_knowing(), make_knowing(passing=9)
    int8 = worse.variants[1]
    fewer = tuple(replace(one, count=one.count - 1) for one in int8.rejections)
    changed = replace(worse, variants=(worse.variants[0], replace(int8, rejections=fewer)))
    assert regressions(changed, known) == ()


# ------------------------------------------------------------------ the command


@pytest.fixture
def gate(edgebee, example, tmp_path, monkeypatch):
    """`edgebee benchmark --baseline`, of results that are given; the baseline is the example."""
    baseline = tmp_path / "earlier.json"
    example.write(baseline)

    def run(results: Results, *options: str):
        monkeypatch.setattr(page, "measure_folder", lambda *args, **kwargs: results)
        return edgebee("benchmark", tmp_path, "--baseline", baseline, *options)

    return run


def test_no_regression_is_a_line_and_status_0(gate, example, tmp_path):
    done = gate(example)
    assert done.status == 0
    assert done.errors[0] == f"no worse than {tmp_path / 'earlier.json'}"


def test_a_regression_is_a_line_and_status_1(gate):
    done = gate(make_results(int8_ms=6.5))
    assert done.status == 1
    (line,) = done.errors
    assert line.startswith("regression: this machine: model_int8.tflite takes 0.54 times as long")
    assert gate(make_results(int8_ms=6.5), "--max-slowdown", "3").status == 0


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"format_version": 4}', b"\xff\xfe"], ids=str)
def test_a_baseline_that_is_none_is_refused_before_anything_is_measured(edgebee, tmp_path, content):
    baseline = tmp_path / "earlier.json"
    baseline.write_bytes(content)
    done = edgebee("benchmark", tmp_path / "no artifacts", "--baseline", baseline)
    assert done.status == 1
    (line,) = done.errors
    assert line.startswith(f"Error: {baseline}: not a benchmark.json of format 3 (")
    assert line.endswith("measure again with: edgebee benchmark")
