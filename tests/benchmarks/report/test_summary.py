"""The verdict and its figures: what is reported, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_pages import NASTY, make_big  # beside this file
from examples import make_results

from edgebee.benchmarks.report.summary import (
    choose,
    clip,
    details,
    machine_name,
    percent,
    short_names,
    times,
    verdict,
)


def here_only(**settings):
    results = make_results(**settings)
    return replace(results, devices=results.devices[:1])


def test_the_verdict_names_the_model_for_the_pi_its_accuracy_and_its_loss():
    assert verdict(here_only()) == (
        "int8 on the Raspberry Pi: 95.0 % of photos correct "
        "(95 % confidence interval 83.5 % to 98.6 %), no loss against Keras."
    )


@pytest.mark.parametrize(
    ("int8_wrong", "words"),
    [
        # Of 40 photos 1 is incorrect with Keras. One more is no significant loss, nor are five
        # more (p = 2 / 2**5 = 0.06); six are (p = 0.03).
        (1, ", the same predictions as Keras."),
        (6, ", no loss against Keras."),
        (7, ", 6 fewer than Keras."),
    ],
)
def test_a_difference_is_only_reported_where_it_is_significant(int8_wrong, words):
    assert verdict(here_only(int8_wrong=int8_wrong)).endswith(words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "4.0 times faster than Keras."),
        ({"int8_ms": 24.0}, "2.0 times slower than Keras."),
        ({"int8_ms": 12.1}, "as fast as Keras."),
        # Where rounds differ by as much as they do here, a second digit would be made up.
        ({"drift": 0.4, "int8_ms": 1.37}, "9 times faster than Keras."),
    ],
)
def test_times_are_those_of_a_workstation(settings, words):
    (line,) = [one for one in details(here_only(**settings)) if "from file to scores" in one]
    assert line.startswith("On this x86 workstation a photo takes ")
    assert line.endswith(words)


def test_each_device_has_its_times():
    here, there = [one for one in details(make_results()) if "from file to scores" in one]
    assert here.startswith("On this x86 workstation a photo takes 6.00 ms from file to scores")
    assert there.startswith("On pi@bee a photo takes 15.00 ms")


def test_a_board_is_called_by_its_name():
    (device,) = here_only().devices
    board = replace(device, conditions=replace(device.conditions, board="Raspberry Pi 5"))
    assert machine_name(board) == "Raspberry Pi 5"
    mac = replace(device, conditions=replace(device.conditions, architecture="arm64"))
    assert machine_name(mac) == "arm64 workstation"


def test_without_keras_it_says_what_is_known(tmp_path):
    results = make_big(tmp_path, variants=1, keras=False)
    accuracy = results.variants[0].accuracy
    share = percent(accuracy.correct / accuracy.total)
    assert verdict(results).startswith(f"float32 on the Raspberry Pi: {share} of photos correct")
    assert verdict(results).endswith(" %).")


def test_drawings_are_never_called_photos():
    results = here_only()
    results = replace(results, data=replace(results.data, drawn=True))
    assert "95.0 % of drawings correct" in verdict(results)
    assert details(results)[-1] == "These are drawings: the times hold, the accuracy is no result."


def test_changes_and_noise_are_reported():
    count, changed, *rest = details(here_only(drift=0.4, int8_wrong=3))
    assert count == "int8 has 37 of 40 photos correct."
    assert changed == (
        "Its prediction differs from Keras on 2: 0 gained, 2 lost (exact McNemar p = 0.5). "
        "Differences that are not statistically significant are reported as none."
    )
    assert "rounds differ by up to 57 %" in rest[-1]  # 0.8 of a median of 1.4


def test_int8_is_taken_and_where_it_loses_the_fastest_of_those_that_do_not(tmp_path):
    results = make_big(tmp_path, photos=60, variants=5)
    chosen = choose(results)
    assert chosen.format == "int8"
    shown_to_lose = replace(chosen.accuracy.against, gained=0, lost=9, p=0.004)
    worse = replace(chosen, accuracy=replace(chosen.accuracy, against=shown_to_lose))
    others = [one for one in results.variants if one is not chosen]
    # Each is faster than the one before it.
    assert choose(replace(results, variants=(*others, worse))) is others[-1]


def test_keras_alone_is_described_and_not_compared(tmp_path):
    results = make_big(tmp_path, variants=1)
    assert choose(results) is None
    share = percent(results.variants[0].accuracy.correct / results.variants[0].accuracy.total)
    assert verdict(results).startswith(f"Keras: {share} of photos correct")


def test_names_are_short_where_that_is_plain(tmp_path):
    keras, int8, other, *_ = make_big(tmp_path, variants=3).variants
    names = short_names([keras, int8, other])
    assert list(names.values()) == ["Keras", int8.format, other.format]
    twin = replace(int8, name=int8.name.removeprefix("model_"))
    assert list(short_names([int8, twin]).values()) == [int8.name, twin.name]


@pytest.mark.parametrize(
    ("factor", "noisy", "text"),
    [(8.84, False, "8.8"), (8.84, True, "9"), (1.44, True, "1.4"), (12.3, False, "12"),
     (123.4, False, "123"), (9.96, False, "10"), (0.512, False, "0.51")],
)  # fmt: skip
def test_a_factor_has_the_digits_that_it_deserves(factor, noisy, text):
    assert times(factor, noisy) == text


def test_long_names_are_cut_in_the_middle():
    assert clip("a\n b", 9) == "a b"
    assert clip("0123456789", 10) == "0123456789"
    assert clip("0123456789a", 10) == "01234…789a"
    assert len(clip(NASTY, 12)) == 12
