"""How right a model is, and how sure that is: intervals, tests and calibration from scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgebee.benchmarks.measure.results import Accuracy, Bin, ClassFigures, Interval, PairedTest

__all__ = ["SIGNIFICANT_P", "compare", "mcnemar", "measure_accuracy", "reliability", "wilson"]

Z_95 = 1.959963984540054
"""The standard normal's 97.5 % quantile, for two-sided 95 %."""

BINS = 15
"""As in Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017)."""

SIGNIFICANT_P = 0.05
"""A difference that chance alone makes more often than this is not called one."""

Scores = npt.NDArray[np.floating]
Classes = npt.NDArray[np.int64]


def wilson(correct: int, total: int) -> Interval:
    """Wilson's 95 % score interval of a share (E. B. Wilson, JASA 22, 1927).

    Unlike the textbook's `p ± 1.96 s`, it stays within 0-1 and is sound for few photos and for
    shares near 1.

    Args:
        correct: 0 to `total`.
        total: 1 or more.
    """
    share = correct / total
    centre = share + Z_95**2 / (2 * total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + Z_95**2 / (4 * total**2))
    scale = 1 + Z_95**2 / total
    # Rounding would leave 1e-17 where the interval touches an end.
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == total else (centre + half) / scale
    return Interval(low, high)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar p of a paired comparison (Q. McNemar, Psychometrika 12, 1947).

    Photos on which both are right or both wrong say nothing of who is better; were neither,
    each of the others would fall to one or the other side like a coin.

    Args:
        gained: photos that only the one has right.
        lost: photos that only the other has right.

    Returns:
        Twice the smaller tail of the binomial distribution with p = 1/2, at most 1.
    """
    differing = gained + lost
    tail = sum(math.comb(differing, count) for count in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**differing))


def compare(answers: Classes, reference: Classes, truth: Classes) -> PairedTest:
    """Hold a variant's answers against the reference's, photo by photo.

    Args:
        answers: `[n]`, class indices that the variant gave.
        reference: `[n]`, those of the reference.
        truth: `[n]`, the right ones.
    """
    right, reference_right = answers == truth, reference == truth
    gained = int((right & ~reference_right).sum())
    lost = int((~right & reference_right).sum())
    return PairedTest(float((answers == reference).mean()), gained, lost, mcnemar(gained, lost))


def reliability(scores: Scores, truth: Classes) -> tuple[Bin, ...]:
    """The reliability curve: of photos with a like best score, how many are right.

    Args:
        scores: `[n, labels]`, 0-1.
        truth: `[n]`, right class indices.

    Returns:
        Equally wide bins from 0 to 1; a score on an edge belongs to the upper one.
    """
    best = scores.max(axis=1)
    right = scores.argmax(axis=1) == truth
    places = np.minimum((best * BINS).astype(int), BINS - 1)
    bins = []
    for place in range(BINS):
        inside = places == place
        photos = int(inside.sum())
        bins.append(
            Bin(
                low=place / BINS,
                high=(place + 1) / BINS,
                photos=photos,
                score=float(best[inside].mean()) if photos else None,
                right=float(right[inside].mean()) if photos else None,
            )
        )
    return tuple(bins)


def measure_accuracy(
    scores: Scores, truth: Classes, labels: Sequence[str], reference: Scores | None
) -> Accuracy:
    """Everything that is said of a variant's answers.

    The answer is the best score's label, whatever the score: no threshold is applied.

    Args:
        scores: `[n, labels]`, 0-1, n >= 1.
        truth: `[n]`, right class indices.
        labels: their names.
        reference: the reference's scores, `[n, labels]`; None for the reference itself.
    """
    answers = scores.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, answers), 1)
    correct, total = int(confusion.trace()), len(truth)
    bins = reliability(scores, truth)
    return Accuracy(
        correct=correct,
        total=total,
        interval=wilson(correct, total),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        classes=tuple(_figures(confusion, index, label) for index, label in enumerate(labels)),
        calibration_error=_calibration_error(bins),
        bins=bins,
        against=None if reference is None else compare(answers, reference.argmax(axis=1), truth),
    )


def _figures(confusion: npt.NDArray[np.int64], index: int, label: str) -> ClassFigures:
    """Precision and recall of one class."""
    right = int(confusion[index, index])
    answered, photos = int(confusion[:, index].sum()), int(confusion[index].sum())
    return ClassFigures(
        label=label,
        photos=photos,
        precision=right / answered if answered else None,
        recall=right / photos if photos else None,
    )


def _calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of score and share right over the bins, weighted by photos (Guo et al.)."""
    total = sum(one.photos for one in bins)
    gaps = (
        one.photos * abs(one.score - one.right)
        for one in bins
        if one.score is not None and one.right is not None
    )
    return sum(gaps) / total
