"""From samples to figures: quantiles, spread, ratios, and how many digits are printed."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.measure.devices import Latency
from edgebee.benchmarks.measure.latency import (
    Round,
    compare_rounds,
    is_noisy,
    spell_ms,
    summarise,
    summarise_rounds,
)


def even(decode: float, resize: float, invoke: float, photos: int = 4) -> Round:
    return Round((decode,) * photos, (resize,) * photos, (invoke,) * photos)


def test_quantiles_are_over_all_rounds():
    latency = summarise([range(1, 51), range(51, 101)])
    assert (latency.p50, latency.p95) == pytest.approx((50.5, 95.05))


def test_spread_is_that_of_the_rounds_own_medians():
    # Medians 10, 12 and 11: two apart, of eleven. Single outliers do not count.
    latency = summarise([[10, 10, 90], [12, 12, 12], [5, 11, 11]])
    assert latency.spread == pytest.approx(2 / 11)


def test_one_round_has_no_spread():
    assert summarise([[1.0, 2.0]]).spread is None


def test_stages_add_up_photo_by_photo():
    stages = summarise_rounds([Round((1, 5), (2, 1), (3, 9)), even(2, 2, 2, photos=2)])
    assert stages.whole.p50 == 6
    assert stages.invoke.p50 == 2.5


def test_a_drifting_machine_leaves_the_ratio_alone():
    # Everything takes twice as long from round to round.
    reference = [even(1, 1, 8 * slow) for slow in (1, 2, 4)]
    variant = [even(1, 1, 2 * slow) for slow in (1, 2, 4)]
    assert compare_rounds(variant, reference) == 0.25


@pytest.mark.parametrize(
    ("p50", "spread", "text"),
    [
        (2.4349, 0.001, "2.43"),  # rounds differ by microseconds: two decimals, no more
        (2.4349, 0.02, "2.43"),
        (2.4349, 0.2, "2.4"),  # by half a millisecond: tenths
        (24.349, 0.2, "24"),  # by five milliseconds: whole ones
        (243.49, 0.001, "243.5"),
        (2.4349, None, "2.4"),  # one round tells nothing of the next
        (2.4349, 0.0, "2.43"),
    ],
)
def test_no_digit_is_printed_that_the_rounds_do_not_agree_on(p50, spread, text):
    assert spell_ms(Latency(p50, 2 * p50, spread)) == text


def test_noise_is_a_matter_of_rounds_not_of_single_samples():
    quiet = summarise([np.array([1, 1, 1, 50.0])] * 3)
    shaken = summarise([[1.0, 1.0], [1.3, 1.3], [1.1, 1.1]])
    assert not is_noisy([quiet])
    assert is_noisy([quiet, shaken])
    assert not is_noisy([summarise([[1.0]])])
