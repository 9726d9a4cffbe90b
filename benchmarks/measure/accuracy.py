"""What is reported of a model's predictions, from its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgebee import stats
from edgebee.benchmarks.measure.results import Accuracy, ClassFigures, PairedTest

__all__ = ["compare", "measure_accuracy"]

Scores = npt.NDArray[np.floating]
Classes = npt.NDArray[np.int64]


def compare(predicted: Classes, reference: Classes, truth: Classes) -> PairedTest:
    """Compare a variant's predictions with the reference's, photo by photo.

    Args:
        predicted: `[n]`, class indices that the variant gave.
        reference: `[n]`, those of the reference.
        truth: `[n]`, the correct ones.
    """
    counts = stats.compare_paired(reference == truth, predicted == truth)
    agreement = float((predicted == reference).mean())
    return PairedTest(agreement, counts.gained, counts.lost, counts.p)


def measure_accuracy(
    scores: Scores, truth: Classes, labels: Sequence[str], reference: Scores | None
) -> Accuracy:
    """Everything that is reported of a variant's predictions.

    The prediction is the best score's label, whatever the score: no threshold is applied.

    Args:
        scores: `[n, labels]`, 0-1, n >= 1.
        truth: `[n]`, correct class indices.
        labels: their names.
        reference: the reference's scores, `[n, labels]`; None for the reference itself.
    """
    predicted = scores.argmax(axis=1)
    confusion = stats.confusion_matrix(truth, predicted, len(labels))
    correct, total = int(confusion.trace()), len(truth)
    return Accuracy(
        correct=correct,
        total=total,
        interval=stats.wilson_interval(correct, total),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        classes=tuple(_figures(confusion, index, label) for index, label in enumerate(labels)),
        calibration_error=stats.expected_calibration_error(scores, truth),
        bins=stats.reliability_bins(scores, truth),
        against=None if reference is None else compare(predicted, reference.argmax(axis=1), truth),
    )


def _figures(confusion: npt.NDArray[np.int64], index: int, label: str) -> ClassFigures:
    """Precision and recall of one class."""
    correct = int(confusion[index, index])
    predicted, photos = int(confusion[:, index].sum()), int(confusion[index].sum())
    return ClassFigures(
        label=label,
        photos=photos,
        precision=correct / predicted if predicted else None,
        recall=correct / photos if photos else None,
    )
