"""The chart of time against accuracy on one device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgebee.benchmarks.measure.devices import Run
from edgebee.benchmarks.measure.latency import spell_ms
from edgebee.benchmarks.measure.results import Results, Variant
from edgebee.benchmarks.report.charts import Chart, draw
from edgebee.benchmarks.report.summary import choose, clip, reached, run_of, short_names
from edgebee.palette import ACCENT, INK, MUTED, PAPER

__all__ = ["plot_accuracy"]

_LONGEST_NAME = 22
"""Characters of a variant's name beside a chart; longer ones are cut."""


def plot_accuracy(results: Results, place: int) -> Chart:
    """Accuracy against time, with the uncertainty of both, on one device.

    Args:
        results: of the benchmark.
        place: of the device in `reached(results)`.
    """
    device = reached(results)[place]
    names, chosen = short_names(results.variants), choose(results)
    shown = [(one, run) for one in results.variants if (run := run_of(device, one.name))]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        for variant, run in shown:
            _cross(axes, variant, run, _colour(variant, chosen, results))
        low = min(variant.accuracy.interval.low for variant, _ in shown)
        high = max(variant.accuracy.interval.high for variant, _ in shown)
        axes.set_ylim(max(0, 100 * low - 3), min(101, 100 * high + 3))
        _room(axes, [value for _, run in shown for value in _between_rounds(run)])
        axes.yaxis.set_major_locator(_round_numbers())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.grid(axis="y")
        axes.set_xlabel("invoke, milliseconds, logarithmic")
        axes.set_title("accuracy", loc="left", color=MUTED)
        figure.draw_without_rendering()
        _name_points(axes, shown, names, _colours(results, chosen))

    words = "; ".join(
        f"{names[variant.name]} {variant.accuracy.correct} of {variant.accuracy.total} correct in "
        f"{spell_ms(run.latency.invoke)} ms"
        for variant, run in shown
    )
    return draw(
        f"accuracy_{place}", f"Accuracy against latency on {device.name}: {words}.", 270, paint
    )


def _colour(variant: Variant, chosen: Variant | None, results: Results) -> str:
    """The reference in ink, the one to take in the accent, the rest quiet."""
    if chosen is not None and variant.name == chosen.name:
        return ACCENT
    return INK if variant.name == results.reference else MUTED


def _colours(results: Results, chosen: Variant | None) -> dict[str, str]:
    return {variant.name: _colour(variant, chosen, results) for variant in results.variants}


def _between_rounds(run: Run) -> tuple[float, float, float]:
    """Fastest round's, overall and slowest round's median of invoke, in ms."""
    medians = [float(np.median(one.invoke)) for one in run.rounds if one.invoke]
    middle = run.latency.invoke.p50
    return min([*medians, middle]), middle, max([*medians, middle])


def _cross(axes: Any, variant: Variant, run: Run, colour: str) -> None:
    """A point with its interval upright and the spread of the rounds across."""
    fast, middle, slow = _between_rounds(run)
    accuracy = variant.accuracy
    share = accuracy.correct / accuracy.total
    low, high = 100 * accuracy.interval.low, 100 * accuracy.interval.high
    line = {"color": colour, "linewidth": 1.1, "alpha": 0.75, "markersize": 5}
    axes.plot([middle, middle], [low, high], "_-", **line)
    axes.plot([fast, slow], [100 * share] * 2, "|-", **line)
    axes.plot([middle], [100 * share], "o", color=colour, markersize=7, markeredgecolor=PAPER)


def _round_numbers() -> Any:
    """Ticks at 1, 2 or 5 and their powers of ten."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(6, steps=[1, 2, 5, 10])


def _room(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic axis around positive values, with plain numbers on it."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = min(values) / 1.35, max(values) * 1.35
    while high / low < 4:  # less would blow up what is no difference
        low, high = low / 1.1, high * 1.1
    steps = (1, 2, 5) if high / low < 300 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in steps
    ]
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _name_points(
    axes: Any, shown: Sequence[tuple[Variant, Run]], names: dict[str, str], colours: dict[str, str]
) -> None:
    """Write each point's name where it covers no other name and no point."""
    from matplotlib.transforms import Bbox

    points = sorted(
        (run.latency.invoke.p50, 100 * one.accuracy.correct / one.accuracy.total, one.name)
        for one, run in shown
    )
    pixels = [axes.transData.transform((time, share)) for time, share, _ in points]
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in pixels]
    frame = axes.get_window_extent()
    for time, share, name in points:
        text = axes.annotate(
            clip(names[name], _LONGEST_NAME),
            (time, share),
            (0, 0),
            textcoords="offset points",
            color=colours[name],
            va="center",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )
        for side, rise in _PLACES:
            text.set_position((7 * side, rise))
            text.set_ha("left" if side > 0 else "right")
            extent = text.get_window_extent().padded(3, 0)
            inside = frame.x0 <= extent.x0 and extent.x1 <= frame.x1 and frame.y0 <= extent.y0
            if inside and not any(extent.overlaps(other) for other in taken):
                break
        taken.append(extent)
        if abs(text.get_position()[1]) > _PLACES[0][1]:  # not at its point: a line leads there
            axes.annotate(
                "",
                (time, share),
                text.get_position(),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": colours[name], "linewidth": 0.6},
            )


_PLACES = [
    (side, rise * up) for rise in (10, 24, 38, 52, 66, 80) for up in (1, -1) for side in (1, -1)
]
"""Where a name may stand beside its point: right or left, and how many points above or below."""
