"""Statistics against published figures, hand-made examples and their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgebee.stats import (
    auroc,
    auroc_interval,
    binomial_p,
    compare_paired,
    confusion_matrix,
    expected_calibration_error,
    fpr95,
    mcnemar_p,
    newcombe_interval,
    wilson_interval,
)


# ------------------------------------------------------------------ intervals and paired tests
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion" (Statistics in
        # Medicine 17, 1998), table I, method 3: 81/263, 15/148, 0/20, 1/29. Four digits there.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_as_published(correct, total, low, high):
    interval = wilson_interval(correct, total)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 3, 153, 10_000])
def test_wilson_holds_the_share_and_stays_within_0_and_1(total):
    for correct in {0, 1, total // 2, total}:
        interval = wilson_interval(correct, total)
        assert 0 <= interval.low <= correct / total <= interval.high <= 1
    assert wilson_interval(0, total).low == 0
    assert wilson_interval(total, total).high == 1
    assert wilson_interval(total, total).low == pytest.approx(1 - wilson_interval(0, total).high)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1.0),
        (0, 1, 1.0),  # a single photo is never a difference
        (1, 0, 1.0),
        (0, 5, 2 / 2**5),
        (0, 6, 2 / 2**6),
        (3, 3, 1.0),
        (2, 8, 2 * (1 + 10 + 45) / 2**10),
        (0, 2000, 0.0),  # too small for a float, and no error
    ],
)
def test_mcnemar_is_the_binomial_tail(gained, lost, p):
    assert mcnemar_p(gained, lost) == pytest.approx(p)
    assert mcnemar_p(lost, gained) == mcnemar_p(gained, lost)


@pytest.mark.parametrize("changed", range(1, 11))
def test_mcnemar_is_the_share_of_coin_tosses_that_are_as_uneven(changed):
    heads = [toss.bit_count() for toss in range(2**changed)]  # of every way they may fall
    for lost in range(changed + 1):
        uneven = [abs(2 * one - changed) >= abs(2 * lost - changed) for one in heads]
        assert mcnemar_p(changed - lost, lost) == pytest.approx(sum(uneven) / len(heads))


def test_newcombe_is_as_published():
    # Newcombe, Statistics in Medicine 17 (1998), table: 36 both, 12 and 2 in one alone, of 50.
    interval = newcombe_interval(36, 12, 2, 0)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0569, 0.3404)


@pytest.mark.parametrize("both", [0, 3, 140])
@pytest.mark.parametrize("lost", [0, 1, 9])
@pytest.mark.parametrize("gained", [0, 2])
@pytest.mark.parametrize("neither", [0, 5])
def test_the_interval_holds_the_difference_and_turns_with_it(both, lost, gained, neither):
    if both + lost + gained + neither == 0:
        return
    total = both + lost + gained + neither
    there = newcombe_interval(both, lost, gained, neither)
    # 1e-9: rounding where the interval touches an end.
    assert -1 - 1e-9 <= there.low <= (lost - gained) / total <= there.high <= 1 + 1e-9
    back = newcombe_interval(both, gained, lost, neither)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-12)


def test_the_interval_keeps_its_promise():
    # 40 photos, of which 10 % are lost and 5 % gained: the true difference is 5 points.
    rng = np.random.default_rng(0)
    counts = rng.multinomial(40, [0.75, 0.10, 0.05, 0.10], size=2000)
    intervals = [newcombe_interval(*map(int, row)) for row in counts]
    covered = np.mean([one.low <= 0.05 <= one.high for one in intervals])
    # 2000 draws know a share of 95 % to within 1 %; the method is known to be a little wide.
    assert 0.94 <= covered <= 0.985


def test_what_is_counted():
    reference = np.array([True] * 6 + [False] * 4)
    other = np.array([True] * 3 + [False] * 3 + [True] * 1 + [False] * 3)
    seen = compare_paired(reference, other)
    assert (seen.total, seen.reference_correct, seen.correct) == (10, 6, 4)
    assert (seen.lost, seen.gained) == (3, 1)
    assert seen.drop == pytest.approx(20)
    assert seen.p == pytest.approx(2 * (1 + 4) / 2**4)
    assert seen.interval.low < 20 < seen.interval.high


def test_a_thousand_photos_do_not_overflow():
    assert 0 <= mcnemar_p(700, 300) < 1e-30
    assert math.isfinite(newcombe_interval(100_000, 700, 300, 5).low)


# ------------------------------------------------------------------ calibration
def test_a_score_of_one_is_in_the_last_bin():
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_calibrated_scores_have_no_error():
    # Correct as often as the score says: 0.75 of those with 0.75, which binary fractions hold.
    scores = np.tile([0.75, 0.25], (400, 1))
    assert expected_calibration_error(scores, np.array([0] * 300 + [1] * 100)) == 0


def test_calibration_error_by_hand():
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    classes = np.array([0, 1, 1, 1])
    # Bin of 0.9: scores 1.8, correct 1. Bin of 0.6: scores 1.2, correct 2. (0.8 + 0.8) / 4.
    assert expected_calibration_error(scores, classes) == pytest.approx(0.4)


# ------------------------------------------------------------------ confusion
def test_confusion_has_the_class_in_its_row_and_the_prediction_in_its_column():
    matrix = confusion_matrix(np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("correct", "total", "share", "expected"),
    [
        (0, 10, 0.5, 1.0),
        (10, 10, 0.5, 2**-10),
        (8, 10, 0.5, 56 / 1024),  # 45 + 10 + 1 of the 1024 outcomes
        (2, 2, 0.25, 1 / 16),
        (5, 5, 1.0, 1.0),  # one class only: always right, whoever guesses
    ],
)
def test_binomial_test_against_chance(correct, total, share, expected):
    assert binomial_p(correct, total, share) == pytest.approx(expected)


# ------------------------------------------------------------------------ known and strange
def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    known, strange = rng.integers(0, 9, 40) / 8, rng.integers(2, 12, 30) / 8  # with ties
    pairs = [(a < b) + (a == b) / 2 for a in known for b in strange]
    assert auroc(known, strange) == pytest.approx(np.mean(pairs), abs=1e-12)  # float64 sums
    assert auroc(known, strange) == pytest.approx(1 - auroc(strange, known), abs=1e-12)


@pytest.mark.parametrize(
    ("known", "strange", "share"),
    [
        (np.arange(100) / 100, np.array([0.5, 0.94, 0.95, 0.99]), 0.5),  # 95 of them pass at 0.94
        (np.arange(20) / 20, np.array([0.91, 1.0]), 0.0),
        (np.zeros(20), np.array([0.0, 0.0, 1.0]), 2 / 3),  # what seems the same passes, too
    ],
)
def test_fpr95_counts_what_passes_where_95_percent_of_the_known_do(known, strange, share):
    assert fpr95(known, strange) == pytest.approx(share)


@pytest.mark.parametrize("area", [0.0, 0.5, 0.9, 1.0])
def test_the_interval_of_an_auroc_holds_it_and_narrows_with_more_pictures(area):
    few, many = auroc_interval(area, 20, 10), auroc_interval(area, 2000, 1000)
    for one in (few, many):
        assert 0 <= one.low <= area <= one.high <= 1
    assert 0 < many.high - many.low < few.high - few.low


def test_the_interval_of_an_auroc_is_that_of_a_simulation():
    # Normal scores a mean apart have this AUROC; 95 % of the intervals should hold it.
    rng = np.random.default_rng(0)
    truth = 0.5 * math.erfc(-1.5 / 2)
    held = 0
    for _ in range(400):
        found = auroc(rng.normal(0, 1, 60), rng.normal(1.5, 1, 40))
        interval = auroc_interval(found, 60, 40)
        held += interval.low <= truth <= interval.high
    assert 0.92 <= held / 400 <= 0.98  # 95 % of 400 draws, three standard errors to either side
