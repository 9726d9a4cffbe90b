"""Two models on the same photos: exact test and interval against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgebee.convert.paired import compare, mcnemar_p, newcombe_interval


def test_the_published_example():
    # Newcombe, Statistics in Medicine 17 (1998), table: 36 both, 12 and 2 in one alone, of 50.
    low, high = newcombe_interval(36, 12, 2, 0)
    assert (round(low, 4), round(high, 4)) == (0.0569, 0.3404)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (5, 0), (12, 2), (3, 3), (40, 61)])
def test_mcnemar_is_the_exact_binomial_test(lost, gained):
    # By its definition: the chance of every split that is at most as likely as this one.
    ways = [math.comb(lost + gained, count) for count in range(lost + gained + 1)]
    expected = sum(way for way in ways if way <= ways[lost]) / 2 ** (lost + gained)
    assert mcnemar_p(lost, gained) == pytest.approx(expected, rel=1e-12)
    assert mcnemar_p(gained, lost) == mcnemar_p(lost, gained)


@pytest.mark.parametrize("both", [0, 3, 140])
@pytest.mark.parametrize("lost", [0, 1, 9])
@pytest.mark.parametrize("gained", [0, 2])
@pytest.mark.parametrize("neither", [0, 5])
def test_the_interval_holds_the_difference_and_turns_with_it(both, lost, gained, neither):
    if both + lost + gained + neither == 0:
        return
    total = both + lost + gained + neither
    low, high = newcombe_interval(both, lost, gained, neither)
    assert -1 - 1e-9 <= low <= (lost - gained) / total <= high <= 1 + 1e-9
    turned = newcombe_interval(both, gained, lost, neither)
    assert turned == pytest.approx((-high, -low), abs=1e-12)


def test_the_interval_keeps_its_promise():
    # 40 photos, of which 10 % are lost and 5 % gained: the true difference is 5 points.
    rng = np.random.default_rng(0)
    counts = rng.multinomial(40, [0.75, 0.10, 0.05, 0.10], size=2000)
    ends = np.array([newcombe_interval(*map(int, row)) for row in counts])
    covered = ((ends[:, 0] <= 0.05) & (ends[:, 1] >= 0.05)).mean()
    # 2000 draws know a share of 95 % to within 1 %; the method is known to be a little wide.
    assert 0.94 <= covered <= 0.985


def test_what_is_counted():
    reference = np.array([True] * 6 + [False] * 4)
    other = np.array([True] * 3 + [False] * 3 + [True] * 1 + [False] * 3)
    seen = compare(reference, other)
    assert (seen.total, seen.reference_correct, seen.correct) == (10, 6, 4)
    assert (seen.lost, seen.gained) == (3, 1)
    assert seen.drop == pytest.approx(20)
    assert seen.p == pytest.approx(2 * (1 + 4) / 2**4)
    low, high = seen.interval
    assert low < 20 < high


def test_a_thousand_photos_do_not_overflow():
    assert 0 <= mcnemar_p(700, 300) < 1e-30
    assert math.isfinite(sum(newcombe_interval(100_000, 700, 300, 5)))
