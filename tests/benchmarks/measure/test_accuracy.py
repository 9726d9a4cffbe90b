"""What is said of right answers: intervals, tests, calibration; held to published figures."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.measure.accuracy import (
    compare,
    mcnemar,
    measure_accuracy,
    reliability,
    wilson,
)

LABELS = ("ants", "bees", "wasps")


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
    interval = wilson(correct, total)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 3, 153, 10_000])
def test_wilson_holds_the_share_and_stays_within_0_and_1(total):
    for correct in {0, 1, total // 2, total}:
        interval = wilson(correct, total)
        assert 0 <= interval.low <= correct / total <= interval.high <= 1
    assert wilson(0, total).low == 0
    assert wilson(total, total).high == 1
    assert wilson(total, total).low == pytest.approx(1 - wilson(0, total).high)


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
    assert mcnemar(gained, lost) == pytest.approx(p)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


@pytest.mark.parametrize("changed", range(1, 11))
def test_mcnemar_is_the_share_of_coin_tosses_that_are_as_uneven(changed):
    heads = [toss.bit_count() for toss in range(2**changed)]  # of every way they may fall
    for lost in range(changed + 1):
        uneven = [abs(2 * one - changed) >= abs(2 * lost - changed) for one in heads]
        assert mcnemar(changed - lost, lost) == pytest.approx(sum(uneven) / len(heads))


def test_a_pair_is_compared_photo_by_photo():
    truth = np.array([0, 0, 1, 1, 2, 2])
    variant = np.array([0, 1, 1, 1, 2, 0])
    reference = np.array([0, 0, 1, 0, 2, 1])
    against = compare(variant, reference, truth)
    assert (against.gained, against.lost) == (1, 1)
    assert against.agreement == pytest.approx(3 / 6)  # both wrong on the last, differently
    assert against.p == 1.0


@pytest.fixture
def scores():
    """Six photos of three classes; four right, one class never said."""
    said = [0, 0, 1, 0, 1, 1]
    best = [0.9, 0.8, 0.7, 0.6, 0.95, 0.5]
    rows = np.full((6, 3), 0.0)
    for row, (label, score) in enumerate(zip(said, best, strict=True)):
        rows[row] = (1 - score) / 2
        rows[row, label] = score
    return rows, np.array([0, 0, 0, 0, 1, 2])


def test_counts_precision_and_recall(scores):
    accuracy = measure_accuracy(*scores, LABELS, None)
    assert (accuracy.correct, accuracy.total) == (4, 6)
    assert accuracy.confusion == ((3, 1, 0), (0, 1, 0), (0, 1, 0))
    ants, bees, wasps = accuracy.classes
    assert (ants.label, ants.photos, ants.precision, ants.recall) == ("ants", 4, 1.0, 0.75)
    assert (bees.photos, bees.precision, bees.recall) == (1, 1 / 3, 1.0)
    assert (wasps.photos, wasps.precision, wasps.recall) == (1, None, 0.0)
    assert accuracy.against is None


def test_the_best_score_is_the_answer_however_low_it_is():
    # No threshold: a model that would rather say `unknown` is still asked for its best guess.
    scores = np.array([[0.34, 0.33, 0.33], [0.3, 0.36, 0.34]])
    assert measure_accuracy(scores, np.array([0, 1]), LABELS, None).correct == 2


def test_bins_cover_every_photo_once(scores):
    bins = reliability(*scores)
    assert bins[0].low == 0
    assert bins[-1].high == 1
    assert [one.high for one in bins[:-1]] == [one.low for one in bins[1:]]
    assert sum(one.photos for one in bins) == 6
    for one in bins:
        assert (one.score is None) == (one.right is None) == (one.photos == 0)
        if one.score is not None:
            assert one.low <= one.score <= one.high


def test_a_score_of_one_is_in_the_last_bin():
    (*others, last) = reliability(np.array([[1.0, 0.0]]), np.array([0]))
    assert (last.photos, last.right) == (1, 1.0)
    assert not any(one.photos for one in others)


def test_calibration_error_is_the_one_that_training_reports():
    # The formula stands in two places, since benchmarks may not import train.
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    from edgebee.train.calibration import expected_calibration_error

    rng = np.random.default_rng(3)
    scores = rng.dirichlet((0.5, 0.5, 0.5), 200)
    truth = rng.integers(0, 3, 200)
    ours = measure_accuracy(scores, truth, LABELS, None).calibration_error
    assert ours == pytest.approx(expected_calibration_error(scores, truth))


def test_calibrated_scores_have_next_to_no_error():
    # Right as often as the score says: 0.75 of those with 0.75.
    scores = np.tile([0.75, 0.25], (400, 1))
    truth = np.array([0] * 300 + [1] * 100)
    assert measure_accuracy(scores, truth, LABELS[:2], None).calibration_error == 0
