"""Comparing a benchmark with an earlier one, which may come from another machine.

Times are never compared, only how many times as long as the reference a model took in the
same run; and correct predictions only on the same photos.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.results import Results, Variant
from edgebee.errors import BenchmarkError

__all__ = ["Limits", "regressions"]


@dataclass(frozen=True)
class Limits:
    """How much worse than the baseline is let pass.

    Attributes:
        max_slowdown: factor of the ratio to the reference, in every round: 1.2 is a fifth slower.
        max_drop: percentage points of accuracy.
    """

    max_slowdown: float
    max_drop: float


def regressions(results: Results, baseline: Results, limits: Limits) -> list[str]:
    """What became worse by more than the limits, one line each.

    Args:
        results: measured now.
        baseline: measured before.
        limits: what is let pass.

    Raises:
        BenchmarkError: the two cannot be compared.
    """
    _check_same_photos(results, baseline)
    found = [*_drops(results, baseline, limits.max_drop)]
    devices = {device.name: device for device in results.devices}
    measured = {variant.name for variant in results.variants}
    for earlier in baseline.devices:
        # A device that this run did not ask for is no regression; this machine is always asked.
        if earlier.name in devices:
            found += _slowdowns(devices[earlier.name], earlier, limits.max_slowdown, measured)
    return found


def _check_same_photos(results: Results, baseline: Results) -> None:
    if results.data.labels != baseline.data.labels or results.data.photos != baseline.data.photos:
        raise BenchmarkError(
            f"the baseline was measured on {len(baseline.data.photos)} photos of "
            f"{baseline.data.name}, not on these {len(results.data.photos)} of "
            f"{results.data.name}; take the same photos with --data, or a new baseline"
        )


def _drops(results: Results, baseline: Results, max_drop: float) -> list[str]:
    """Variants that are gone, or have fewer photos correct."""
    now = {variant.name: variant for variant in results.variants}
    found = []
    for earlier in baseline.variants:
        variant = now.get(earlier.name)
        if variant is None:
            found.append(f"{earlier.name}: in the baseline, not measured now")
            continue
        before, after = earlier.accuracy, variant.accuracy
        points = 100 * (before.correct - after.correct) / before.total
        if points > max_drop:
            found.append(
                f"{earlier.name}: {after.correct} of {after.total} correct, {points:.1f} points "
                f"below the baseline's {before.correct}; --max-drop {max_drop:g} allows less"
            )
        found += _neither_drops(variant, earlier, max_drop)
    return found


def _neither_drops(variant: Variant, baseline: Variant, max_drop: float) -> list[str]:
    """What became worse of a variant that knew `neither`: fewer are kept, strangers pass."""
    name, before, after = variant.name, baseline.accuracy.as_seen, variant.accuracy.as_seen
    if before is None:
        return []
    if after is None:
        return [f"{name}: does not know neither any more, as it does in the baseline"]
    found = []
    total = variant.accuracy.total
    if 100 * (before.correct - after.correct) / total > max_drop:
        found.append(
            f"{name}: {after.correct} of {total} correct with neither and unknown counted as "
            f"incorrect, the baseline's {before.correct}; --max-drop {max_drop:g} allows less"
        )
    now = {one.source: one for one in variant.rejections}
    for earlier in baseline.rejections:
        rejection = now.get(earlier.source)
        # Others than the baseline's strangers say nothing about the model.
        if rejection is None or rejection.count != earlier.count:
            continue
        if 100 * (earlier.auroc - rejection.auroc) > max_drop:
            found.append(
                f"{name}: tells {earlier.source} from the classes with an AUROC of "
                f"{rejection.auroc:.3f}, the baseline's {earlier.auroc:.3f}; --max-drop "
                f"{max_drop:g} allows less"
            )
    return found


def _slowdowns(
    device: Device, baseline: Device, max_slowdown: float, measured: Container[str]
) -> list[str]:
    """Variants that take longer against the reference than they did, or failed.

    The round that went best is what counts: other work on the machine slows some rounds, a
    model that became slower is slower in all of them.

    Raises:
        BenchmarkError: the two devices' ratios are to different references.
    """
    if device.reference != baseline.reference:
        raise BenchmarkError(
            f"{device.name}: the baseline's times are compared with {baseline.reference}, these "
            f"with {device.reference}; measure the same models, or make a new baseline"
        )
    now = {run.variant: run for run in device.runs}
    found = []
    for earlier in baseline.runs:
        run = now.get(earlier.variant)
        if run is None:
            if earlier.variant in measured:  # else it has been told of
                found.append(f"{device.name}: {earlier.variant}: in the baseline, not timed now")
            continue
        if run.ratio is None or earlier.ratio is None:  # the reference itself
            continue
        slowdown = run.ratio.low / earlier.ratio.median
        if slowdown > max_slowdown:
            found.append(
                f"{device.name}: {run.variant} takes {run.ratio.median:.2f} times as long as "
                f"{device.reference}, in every round {slowdown:.2f} times the baseline's "
                f"{earlier.ratio.median:.2f} or more; --max-slowdown {max_slowdown:g} allows less"
            )
    return found
