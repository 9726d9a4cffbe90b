"""What is reported of a model's predictions."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.measure.accuracy import compare, measure_accuracy

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
