"""Two classifiers on the same photos: is the one really worse than the other?

Both answered every photo, so that only the photos count on which one is right and the other
wrong. Few of them change sides, hence the exact test and not its approximation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PairedComparison", "compare", "mcnemar_p", "newcombe_interval"]

_Z_95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True)
class PairedComparison:
    """A reference and another classifier on the same photos."""

    total: int
    reference_correct: int
    correct: int
    lost: int
    """Photos that the reference has right and the other one wrong."""
    gained: int
    """The other way round."""
    p: float
    """Exact McNemar test, two-sided: how often as uneven a split comes by chance."""
    interval: tuple[float, float]
    """95 % interval of the drop, in points; negative is a gain."""

    @property
    def drop(self) -> float:
        """Accuracy of the reference less that of the other one, in points (0-100)."""
        return 100 * (self.lost - self.gained) / self.total


def compare(
    reference_right: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]
) -> PairedComparison:
    """Compare two classifiers by which photos each has right.

    Args:
        reference_right: `[photos]`, one at least.
        right: `[photos]`, the same photos.
    """
    lost = int((reference_right & ~right).sum())
    gained = int((~reference_right & right).sum())
    both = int((reference_right & right).sum())
    neither = len(right) - both - lost - gained
    low, high = newcombe_interval(both, lost, gained, neither)
    return PairedComparison(
        total=len(right),
        reference_correct=both + lost,
        correct=both + gained,
        lost=lost,
        gained=gained,
        p=mcnemar_p(lost, gained),
        interval=(100 * low, 100 * high),
    )


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided McNemar test.

    Were both classifiers equally good, each photo that changes sides would do so either way
    with a chance of one half: a binomial test of `lost` among `lost + gained`
    (McNemar 1947; the exact form as in Agresti, "Categorical Data Analysis", 10.1).

    Returns:
        A probability between 0 and 1; 1 when nothing changed sides.
    """
    changed = lost + gained
    tail = sum(math.comb(changed, count) for count in range(min(lost, gained) + 1))
    return min(1.0, float(2 * tail / 2**changed))


def newcombe_interval(both: int, lost: int, gained: int, neither: int) -> tuple[float, float]:
    """95 % interval of a difference of paired proportions.

    Method 10 of Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998): Wilson's interval of
    either proportion, joined by their correlation. It keeps its 95 % with few photos too.

    Args:
        both: photos that both have right.
        lost: right in the first alone.
        gained: right in the second alone.
        neither: right in none.

    Returns:
        Lower and upper end of the first proportion less the second, -1 to 1.
    """
    total = both + lost + gained + neither
    difference = (lost - gained) / total
    below_1, above_1 = _wilson(both + lost, total)
    below_2, above_2 = _wilson(both + gained, total)
    phi = _correlation(both, lost, gained, neither)
    low = math.sqrt(max(0.0, below_1**2 - 2 * phi * below_1 * above_2 + above_2**2))
    high = math.sqrt(max(0.0, above_1**2 - 2 * phi * above_1 * below_2 + below_2**2))
    return difference - low, difference + high


def _wilson(correct: int, total: int) -> tuple[float, float]:
    """How far below and above a proportion its 95 % interval reaches (Wilson 1927)."""
    share = correct / total
    middle = share + _Z_95**2 / (2 * total)
    spread = _Z_95 * math.sqrt(share * (1 - share) / total + _Z_95**2 / (4 * total**2))
    scale = 1 + _Z_95**2 / total
    return share - (middle - spread) / scale, (middle + spread) / scale - share


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
