"""The verdict and its figures: what is said, and what is not said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_pages import NASTY, make_big  # beside this file
from examples import make_device, make_results, make_run

from edgebee.benchmarks.report.summary import choose, clip, details, short_names, times, verdict


def here_only(**settings):
    results = make_results(**settings)
    return replace(results, devices=results.devices[:1])


def test_the_verdict_is_one_sentence_on_speed_and_loss():
    assert verdict(here_only()) == (
        "On this computer int8 answers 4.0 times faster than Keras and loses nothing that these "
        "40 photos could show."
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # Of 40 photos 1 is wrong with Keras. One more is no loss that could be shown, nor are
        # five more (p = 2 / 2**5 = 0.06); six are (p = 0.03).
        ({"int8_wrong": 1}, "gives the same label for all of these 40 photos"),
        ({"int8_wrong": 6}, "loses nothing that these 40 photos could show"),
        ({"int8_wrong": 7}, "gets 6 fewer of these 40 photos right"),
        ({"int8_ms": 24.0}, "answers 2.0 times slower than Keras"),
        ({"int8_ms": 12.1}, "answers as fast as Keras"),
        # Where rounds differ by as much as they do here, a second digit would be made up.
        ({"drift": 0.4, "int8_ms": 1.37}, "answers 9 times faster"),
    ],
)
def test_a_difference_is_only_called_one_where_it_could_be_shown(settings, words):
    assert words in verdict(here_only(**settings))


def test_the_device_it_is_for_has_the_word():
    assert verdict(make_results()).startswith(
        "On pi@bee int8 answers in 12.00 ms a photo and loses"
    )
    (_, _, here, *rest) = details(make_results())
    assert here.startswith("On this computer a photo takes 6.00 ms from file to scores")
    assert here.endswith("4.0 times faster than Keras.")
    assert rest[0].startswith("On pi@bee a photo takes")


def test_without_keras_it_says_what_is_known(tmp_path):
    results = make_big(tmp_path, variants=1, keras=False)
    said = verdict(replace(results, devices=(make_device("this machine", (
        make_run(results.variants[0].name, 3.0, None),)),)))  # fmt: skip
    accuracy = results.variants[0].accuracy
    assert said == (
        f"On this computer float32 answers in 3.00 ms a photo and gets {accuracy.correct} of "
        "60 photos right."
    )


def test_drawings_are_never_called_photos():
    results = here_only()
    results = replace(results, data=replace(results.data, drawn=True))
    assert "40 drawings" in verdict(results)
    assert details(results)[-1] == "These are drawings: the times hold, the accuracy is no result."


def test_uncertainty_and_noise_are_said():
    first, changed, *rest = details(here_only(drift=0.4, int8_wrong=3))
    # Wilson's interval of 37 of 40.
    assert first == (
        "int8 got 37 of 40 right, 92.5 %; with so many photos the true share lies between 80.1 % "
        "and 97.4 %, nineteen times in twenty."
    )
    assert changed == (
        "It answers 2 of them otherwise than Keras: 0 for the better, 2 for the worse."
    )
    assert "rounds differ by up to 57 %" in rest[-1]  # 0.8 of a median of 1.4


def test_the_fastest_is_taken_of_those_that_lose_nothing(tmp_path):
    results = make_big(tmp_path, photos=60, variants=4)
    chosen = choose(results)
    assert chosen is results.variants[-1]  # each is faster than the one before it
    shown_to_lose = replace(chosen.accuracy.against, gained=0, lost=9, p=0.004)
    worse = replace(chosen, accuracy=replace(chosen.accuracy, against=shown_to_lose))
    assert choose(replace(results, variants=(*results.variants[:-1], worse))).name == (
        results.variants[-2].name
    )


def test_other_engines_are_not_taken_before_the_runner(tmp_path):
    results = make_big(tmp_path, variants=3)
    fast = replace(results.variants[2], engine="keras-predict")
    assert choose(replace(results, variants=(*results.variants[:2], fast))).engine == "tflite"


def test_keras_alone_is_described_and_not_compared(tmp_path):
    results = make_big(tmp_path, variants=1)
    assert choose(results) is None
    assert verdict(results).startswith("On this computer Keras answers in 12.2 ms a photo and gets")


def test_names_are_short_where_that_is_plain(tmp_path):
    keras, int8, other, *_ = make_big(tmp_path, variants=3).variants
    predict = replace(keras, name="model.keras (predict)", engine="keras-predict")
    assert list(short_names([keras, predict, int8, other]).values()) == [
        "Keras", "Keras predict", int8.format, other.format,
    ]  # fmt: skip
    twin = replace(int8, name="model_float16.tflite (again)")
    assert list(short_names([int8, twin]).values()) == [int8.name, twin.name]


@pytest.mark.parametrize(
    ("factor", "noisy", "text"),
    [(8.84, False, "8.8"), (8.84, True, "9"), (1.44, True, "1.4"), (12.3, False, "12"),
     (123.4, False, "120"), (9.96, False, "10"), (0.512, False, "0.51")],
)  # fmt: skip
def test_a_factor_has_the_digits_that_it_deserves(factor, noisy, text):
    assert times(factor, noisy) == text


def test_long_names_are_cut_in_the_middle():
    assert clip("a\n b", 9) == "a b"
    assert clip("0123456789", 10) == "0123456789"
    assert clip("0123456789a", 10) == "01234…789a"
    assert len(clip(NASTY, 12)) == 12
