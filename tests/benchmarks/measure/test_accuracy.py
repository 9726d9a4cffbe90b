"""What is reported of a model's predictions."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.measure.accuracy import compare, measure_accuracy, measure_rejections

LABELS = ("ants", "bees", "wasps")


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


# ------------------------------------------------------------------ neither
# Ants, bees, neither; by the best class the first five are correct.
KNOWING = np.array(
    [
        [0.80, 0.10, 0.10],
        [0.10, 0.80, 0.10],
        [0.30, 0.10, 0.60],  # called neither
        [0.40, 0.35, 0.25],  # unknown below a share of 0.6
        [0.35, 0.45, 0.20],  # likewise
        [0.00, 0.20, 0.80],
    ]
)
TRUTH = np.array([0, 1, 0, 0, 1, 0])


def test_accuracy_is_given_by_the_best_class_and_as_the_user_sees_it():
    accuracy = measure_accuracy(KNOWING, TRUTH, ("ants", "bees"), None, threshold=0.6)
    assert accuracy.correct == 5
    assert accuracy.confusion == ((3, 1), (0, 2))
    seen = accuracy.as_seen
    assert (seen.correct, seen.neither, seen.unknown) == (2, 2, 2)
    assert seen.confusion == ((1, 0, 2, 1), (0, 1, 0, 1))
    assert seen.kept_interval.low < 2 / 5 < seen.kept_interval.high


def test_scores_of_the_best_class_are_its_share_among_the_classes():
    accuracy = measure_accuracy(KNOWING, TRUTH, ("ants", "bees"), None)
    shares = KNOWING[:, :2] / KNOWING[:, :2].sum(axis=1, keepdims=True)
    plain = measure_accuracy(shares, TRUTH, ("ants", "bees"), None)
    assert accuracy.calibration_error == plain.calibration_error
    assert plain.as_seen is None


def test_a_photo_that_int8_gives_to_neither_alone_is_no_division_by_zero():
    accuracy = measure_accuracy(np.array([[0.0, 0.0, 1.0]]), np.array([0]), ("ants", "bees"), None)
    assert (accuracy.correct, accuracy.as_seen.correct) == (1, 0)  # a tie is the first class's


def test_a_reference_that_knows_neither_is_compared_by_the_best_class():
    against = measure_accuracy(KNOWING, TRUTH, ("ants", "bees"), KNOWING[:, [0, 1, 2]]).against
    assert (against.agreement, against.gained, against.lost) == (1.0, 0, 0)


def test_strangers_are_counted_by_where_they_come_from():
    strange = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.40, 0.35, 0.25], [0.0, 0.0, 1.0]])
    sources = ("blank frames", "other photos", "other photos", "blank frames")
    blank, other = measure_rejections(KNOWING, strange, sources)
    assert (blank.source, blank.count, blank.accepted) == ("blank frames", 2, 0)
    # Of 6 known scores of neither all are below 1; five below 0.8, and one as large.
    assert blank.auroc == pytest.approx((5.5 + 6) / 12)
    assert (other.count, other.accepted) == (2, 2)  # a class, and unknown, which is one of them
    assert other.fpr95 == 1.0
    assert blank.fpr95 == 0.5
    assert blank.accepted_interval.low == 0 < blank.accepted_interval.high
