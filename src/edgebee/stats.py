"""Statistics of classifiers: intervals, paired tests, calibration, confusion.

Every formula stands once, here, with its source. Shares and scores are 0-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "SIGNIFICANT_P",
    "Interval",
    "PairedComparison",
    "auroc",
    "auroc_interval",
    "binomial_p",
    "compare_paired",
    "confusion_matrix",
    "expected_calibration_error",
    "fpr95",
    "mcnemar_p",
    "newcombe_interval",
    "wilson_interval",
]

SIGNIFICANT_P = 0.05
"""A difference with a higher p-value is reported as none."""

CALIBRATION_BINS = 15
"""As in Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017)."""

_Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution, for two-sided 95 %."""

Scores = npt.NDArray[np.floating]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval.

    Attributes:
        low: lower end.
        high: upper end.
    """

    low: float
    high: float


def wilson_interval(correct: int, total: int) -> Interval:
    """Wilson's 95 % score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Unlike the textbook's `p ± 1.96 s`, it stays within 0-1 and is sound for few photos and for
    shares near 1.

    Args:
        correct: 0 to `total`.
        total: 1 or more.
    """
    share = correct / total
    centre = share + _Z_95**2 / (2 * total)
    half = _Z_95 * math.sqrt(share * (1 - share) / total + _Z_95**2 / (4 * total**2))
    scale = 1 + _Z_95**2 / total
    # Rounding would leave 1e-17 where the interval touches an end.
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == total else (centre + half) / scale
    return Interval(low, high)


def binomial_p(correct: int, total: int, share: float) -> float:
    """Exact one-sided binomial test: how often guessing gets as many correct.

    Args:
        correct: photos predicted correctly.
        total: photos.
        share: how often guessing is correct, 0-1.
    """
    if share in (0.0, 1.0):
        return 1.0
    logs = (
        math.lgamma(total + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(total - hits + 1)
        + hits * math.log(share)
        + (total - hits) * math.log1p(-share)
        for hits in range(correct, total + 1)
    )
    return min(1.0, sum(map(math.exp, logs)))


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact two-sided McNemar test of a paired comparison.

    Q. McNemar, Psychometrika 12 (1947); the exact form as in Agresti, "Categorical Data
    Analysis", 10.1. Only the photos count on which one classifier is correct and the other is
    not: were both equally good, each of them would fall to either side with a chance of 1/2.

    Args:
        gained: photos that only the one has correct.
        lost: photos that only the other has correct.

    Returns:
        Twice the smaller tail of the binomial distribution with p = 1/2, at most 1.
    """
    differing = gained + lost
    tail = sum(math.comb(differing, count) for count in range(min(gained, lost) + 1))
    return min(1.0, float(2 * tail / 2**differing))


def newcombe_interval(both: int, lost: int, gained: int, neither: int) -> Interval:
    """95 % interval of a difference of paired proportions.

    Method 10 of Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998): Wilson's interval of
    either proportion, joined by their correlation. It keeps its 95 % with few photos too.

    Args:
        both: photos that both have correct.
        lost: correct in the first alone.
        gained: correct in the second alone.
        neither: correct in none.

    Returns:
        Of the first proportion less the second, -1 to 1.
    """
    total = both + lost + gained + neither
    first, second = (both + lost) / total, (both + gained) / total
    of_first = wilson_interval(both + lost, total)
    of_second = wilson_interval(both + gained, total)
    phi = _correlation(both, lost, gained, neither)

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))

    difference = (lost - gained) / total
    return Interval(
        difference - reach(first - of_first.low, of_second.high - second),
        difference + reach(of_first.high - first, second - of_second.low),
    )


def _correlation(both: int, lost: int, gained: int, neither: int) -> float:
    """The correlation of the two, made smaller for continuity as Newcombe's method 10 does."""
    total = both + lost + gained + neither
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    if margins == 0:
        return 0.0
    excess = float(both * neither - lost * gained)
    if excess > 0:
        excess = max(excess - total / 2, 0.0)
    return excess / math.sqrt(margins)


@dataclass(frozen=True)
class PairedComparison:
    """A reference and another classifier on the same photos.

    Attributes:
        total: photos.
        reference_correct: photos that the reference has correct.
        correct: photos that the other one has correct.
        lost: photos that only the reference has correct.
        gained: photos that only the other one has correct.
        p: exact two-sided McNemar test.
        interval: 95 % interval of the accuracy lost, in percentage points; negative is a gain.
    """

    total: int
    reference_correct: int
    correct: int
    lost: int
    gained: int
    p: float
    interval: Interval

    @property
    def drop(self) -> float:
        """Accuracy of the reference less that of the other one, in percentage points."""
        return 100 * (self.lost - self.gained) / self.total


def compare_paired(
    reference_correct: npt.NDArray[np.bool_], correct: npt.NDArray[np.bool_]
) -> PairedComparison:
    """Compare two classifiers by which photos each has correct.

    Args:
        reference_correct: `[photos]`, one at least.
        correct: `[photos]`, the same photos.
    """
    lost = int((reference_correct & ~correct).sum())
    gained = int((~reference_correct & correct).sum())
    both = int((reference_correct & correct).sum())
    neither = len(correct) - both - lost - gained
    interval = newcombe_interval(both, lost, gained, neither)
    return PairedComparison(
        total=len(correct),
        reference_correct=both + lost,
        correct=both + gained,
        lost=lost,
        gained=gained,
        p=mcnemar_p(gained, lost),
        interval=Interval(100 * interval.low, 100 * interval.high),
    )


def expected_calibration_error(scores: Scores, classes: Classes) -> float:
    """Mean distance of best score and share correct over the bins, weighted by photos.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).

    Args:
        scores: `[n, labels]`, 0-1, n >= 1.
        classes: `[n]`, correct class indices.

    Returns:
        0 (calibrated) to 1.
    """
    best, correct = scores.max(axis=1), scores.argmax(axis=1) == classes
    # Equally wide bins from 0 to 1; a score on an edge belongs to the upper one.
    places = np.minimum((best * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(places, weights=best - correct)  # photos of a bin times its gap
    return float(np.abs(gaps).sum() / len(classes))


def confusion_matrix(classes: Classes, predicted: Classes, labels: int) -> npt.NDArray[np.int64]:
    """Photos of each class that were given each label.

    Args:
        classes: `[n]`, correct class indices.
        predicted: `[n]`, predicted ones.
        labels: how many there are.

    Returns:
        `[labels, labels]`, rows the correct class, columns the prediction.
    """
    matrix = np.zeros((labels, labels), np.int64)
    np.add.at(matrix, (classes, predicted), 1)
    return matrix


KEPT_SHARE = 0.95
"""Share of the known that `fpr95` keeps, as is usual since Hendrycks and Gimpel (ICLR 2017)."""


def auroc(known: Scores, strange: Scores) -> float:
    """Area under the receiver operating characteristic, as the Mann-Whitney statistic.

    Args:
        known: `[n]`, how strange photos of the classes seem, one at least.
        strange: `[m]`, how strange photos of something else seem, one at least.

    Returns:
        How often a stranger seems stranger than a known photo, 0-1; a tie counts half.
    """
    ordered = np.sort(known)
    below = np.searchsorted(ordered, strange, "left") + np.searchsorted(ordered, strange, "right")
    return float(below.mean() / (2 * len(known)))


def auroc_interval(area: float, known: int, strange: int) -> Interval:
    """95 % interval of an AUROC.

    Method 5 of Newcombe, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic", part 2, Statistics in Medicine 25 (2006): Hanley and McNeil's variance
    (Radiology 143, 1982) at the ends of the interval instead of at the estimate, so that it
    stays within 0-1 and says something where not a single pair is out of order.

    Args:
        area: the AUROC, 0-1.
        known: photos of the classes, one at least.
        strange: photos of something else, one at least.
    """
    more = (known + strange) / 2 - 1

    def end(outside: float) -> float:
        inside = area
        for _ in range(50):  # halving
            middle = (inside + outside) / 2
            spread = middle * (1 - middle) / (known * strange)
            spread *= 1 + more * ((1 - middle) / (2 - middle) + middle / (1 + middle))
            if abs(middle - area) <= _Z_95 * math.sqrt(spread):
                inside = middle
            else:
                outside = middle
        return inside

    return Interval(end(0.0), end(1.0))


def fpr95(known: Scores, strange: Scores) -> float:
    """Share of the strangers that pass at the setting where 95 % of the known ones do.

    Args:
        known: `[n]`, how strange photos of the classes seem, one at least.
        strange: `[m]`, how strange photos of something else seem, one at least.

    Returns:
        0-1; lower is better.
    """
    highest = np.quantile(known, KEPT_SHARE, method="inverted_cdf")
    return float((strange <= highest).mean())
