"""Is a benchmark worse than an earlier one, which may come from another machine?

Accuracy is compared on the same photos, by the statistics that the report states: what lies within
chance is no regression. Times are never compared, only how many times as long as the reference a
model took in the same run.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.results import Results, Variant
from edgebee.errors import BenchmarkError
from edgebee.stats import compare_paired

__all__ = ["find_regressions"]


def find_regressions(
    results: Results, baseline: Results, *, max_slowdown: float
) -> tuple[str, ...]:
    """What became worse, one line each.

    Args:
        results: measured now.
        baseline: measured before.
        max_slowdown: how many times as long a model may take against the reference.

    Raises:
        BenchmarkError: the two are of different photos, or of times against different references.
    """
    if (results.data.labels, results.data.photos) != (baseline.data.labels, baseline.data.photos):
        raise BenchmarkError(
            f"the baseline is of {len(baseline.data.photos)} photos of {baseline.data.name}, not "
            f"of these {len(results.data.photos)} of {results.data.name}; take the same photos "
            "with --data, or a new baseline"
        )
    truth = np.array([photo.label for photo in results.data.photos])
    now = {variant.name: variant for variant in results.variants}
    found: list[str] = []
    for earlier in baseline.variants:
        if earlier.name not in now:
            found.append(f"{earlier.name}: in the baseline, not measured now")
            continue
        found += _drops(now[earlier.name], earlier, truth)
        found += _neither_drops(now[earlier.name], earlier)
    devices = {device.name: device for device in results.devices}
    for machine in baseline.devices:  # one that was not asked this time is no regression
        if machine.name in devices:
            found += _slowdowns(devices[machine.name], machine, max_slowdown)
    return tuple(found)


def _drops(variant: Variant, baseline: Variant, truth: npt.NDArray[np.int64]) -> Iterator[str]:
    """Fewer photos are correct by the best class, beyond chance."""
    paired = compare_paired(_correct(baseline, truth), _correct(variant, truth))
    if paired.interval.low > 0:
        yield (
            f"{variant.name}: {paired.correct} of {paired.total} correct, the baseline's "
            f"{paired.reference_correct}: {paired.drop:.1f} points less (95 % interval "
            f"{paired.interval.low:.1f} to {paired.interval.high:.1f})"
        )


def _correct(variant: Variant, truth: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """`[photos]`: whether the best class is that of the photo; `neither`, the last, left out."""
    classes = len(variant.accuracy.classes)
    best = np.array([np.argmax(scores[:classes]) for scores in variant.scores])
    correct: npt.NDArray[np.bool_] = best == truth
    return correct


def _neither_drops(variant: Variant, baseline: Variant) -> Iterator[str]:
    """A model that knows `neither` keeps fewer photos, or accepts more strangers."""
    name, before, after = variant.name, baseline.accuracy.as_seen, variant.accuracy.as_seen
    if before is None:
        return
    if after is None:
        yield f"{name}: does not know neither any more, as it does in the baseline"
        return
    if after.correct / variant.accuracy.total < before.interval.low:
        yield (
            f"{name}: {after.correct} of {variant.accuracy.total} correct with neither and unknown "
            f"counted as incorrect, below the 95 % interval of the baseline's {before.correct}"
        )
    now = {(one.source, one.count): one for one in variant.rejections}
    for earlier in baseline.rejections:
        rejection = now.get((earlier.source, earlier.count))
        # Others than the baseline's strangers show nothing about the model.
        if rejection and rejection.accepted / rejection.count > earlier.accepted_interval.high:
            yield (
                f"{name}: takes {rejection.accepted} of {rejection.count} {earlier.source} for a "
                f"class, above the 95 % interval of the baseline's {earlier.accepted}"
            )


def _slowdowns(device: Device, baseline: Device, max_slowdown: float) -> Iterator[str]:
    """A model takes longer against the reference than it did.

    Raises:
        BenchmarkError: the two devices' ratios are to different references.
    """
    now = {run.variant: run.ratio for run in device.runs}
    for earlier in baseline.runs:
        ratio = now.get(earlier.variant)
        if ratio is None or earlier.ratio is None:  # the reference itself, or gone
            continue
        if device.reference != baseline.reference:
            raise BenchmarkError(
                f"{device.name}: the baseline's times are compared with {baseline.reference}, "
                f"these with {device.reference}; measure the same models, or make a new baseline"
            )
        if ratio > max_slowdown * earlier.ratio:
            yield (
                f"{device.name}: {earlier.variant} takes {ratio:.2f} times as long as "
                f"{device.reference}, the baseline's {earlier.ratio:.2f}; --max-slowdown "
                f"{max_slowdown:g} allows less"
            )
