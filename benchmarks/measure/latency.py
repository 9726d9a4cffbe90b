"""From samples in rounds to what is said of a model's speed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from edgebee.benchmarks.measure.devices import Latency, Ratio, Round, Stages

__all__ = [
    "NOISY_SPREAD",
    "compare_rounds",
    "is_noisy",
    "spell_ms",
    "summarise",
    "summarise_rounds",
    "whole_ms",
]

NOISY_SPREAD = 0.2
"""Rounds whose medians differ by more than a fifth make rough times."""


def summarise(rounds: Sequence[Sequence[float]]) -> Latency:
    """Quantiles over all rounds, and how far the rounds' medians lie apart.

    Args:
        rounds: `[rounds][photos]`, milliseconds, none of them empty.
    """
    samples = np.concatenate([np.asarray(one, float) for one in rounds])
    p50, p95 = np.percentile(samples, (50, 95))
    medians = [statistics.median(one) for one in rounds]
    middle = statistics.median(medians)
    spread = (max(medians) - min(medians)) / middle if len(medians) > 1 and middle > 0 else None
    return Latency(p50=float(p50), p95=float(p95), spread=spread)


def summarise_rounds(rounds: Sequence[Round]) -> Stages:
    """Each stage by itself, and the whole of each photo."""
    return Stages(
        decode=summarise([one.decode for one in rounds]),
        resize=summarise([one.resize for one in rounds]),
        invoke=summarise([one.invoke for one in rounds]),
        whole=summarise([whole_ms(one) for one in rounds]),
    )


def whole_ms(one: Round) -> list[float]:
    """File to scores of each photo of a round, in milliseconds."""
    return [sum(parts) for parts in zip(one.decode, one.resize, one.invoke, strict=True)]


def compare_rounds(
    rounds: Sequence[Round],
    reference: Sequence[Round],
    of: Callable[[Round], Sequence[float]] = lambda one: one.invoke,
) -> Ratio:
    """How many times as long as the reference, round by round.

    What slowed a round slowed both, so that the ratio of one round says more than that of
    times from different rounds.

    Args:
        rounds: in the order measured, one at least; the shorter list counts.
        reference: rounds of the same numbers.
        of: which samples.
    """
    ratios = [
        statistics.median(of(one)) / statistics.median(of(other))
        for one, other in zip(rounds, reference, strict=False)
    ]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def is_noisy(latencies: Sequence[Latency]) -> bool:
    """Whether the rounds of any model lie so far apart that its times are rough."""
    return any(one.spread is not None and one.spread > NOISY_SPREAD for one in latencies)


def spell_ms(latency: Latency, value: float | None = None) -> str:
    """A time with the digits that the rounds agree on, two decimals at most.

    Args:
        latency: for its spread.
        value: in milliseconds; default the median.
    """
    shown = latency.p50 if value is None else value
    if latency.spread is None:
        return f"{shown:.1f}"
    doubt = latency.spread * latency.p50 / 2
    decimals = 2 if doubt <= 0 else min(2, max(0, -math.floor(math.log10(doubt))))
    return f"{shown:.{decimals}f}"
