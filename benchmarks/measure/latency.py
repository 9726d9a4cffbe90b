"""From samples in rounds to what is said of a model's speed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebee.benchmarks.measure.devices import Latency, Stages

__all__ = [
    "NOISY_SPREAD",
    "Round",
    "compare_rounds",
    "is_noisy",
    "spell_ms",
    "summarise",
    "summarise_rounds",
]

NOISY_SPREAD = 0.2
"""Rounds whose medians differ by more than a fifth make rough times."""


@dataclass(frozen=True)
class Round:
    """The samples of one round, in milliseconds, one a photo; the stages are those of `Stages`."""

    decode: tuple[float, ...]
    resize: tuple[float, ...]
    invoke: tuple[float, ...]

    @property
    def whole(self) -> tuple[float, ...]:
        """File to scores of each photo."""
        return tuple(map(sum, zip(self.decode, self.resize, self.invoke, strict=True)))


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
        whole=summarise([one.whole for one in rounds]),
    )


def compare_rounds(rounds: Sequence[Round], reference: Sequence[Round]) -> float:
    """How many times as long as the reference an invoke takes: the median of the rounds' ratios.

    What slowed a round slowed both, so that the ratio of one round says more than that of
    times from different rounds.
    """
    return statistics.median(
        statistics.median(one.invoke) / statistics.median(other.invoke)
        for one, other in zip(rounds, reference, strict=True)
    )


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
