"""Charts of speed: time against accuracy, where it goes, how it varies, on which device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgebee.benchmarks.measure.devices import Device, Latency, Run
from edgebee.benchmarks.measure.latency import spell_ms
from edgebee.benchmarks.measure.results import Results, Variant
from edgebee.benchmarks.report.charts import Chart, draw
from edgebee.benchmarks.report.summary import choose, clip, reached, run_of, short_names
from edgebee.palette import ACCENT, GRID, INK, MUTED, OTHERS, PAPER, QUIET, SECOND

__all__ = ["plot_accuracy", "plot_devices", "plot_distribution", "plot_stages", "plot_threads"]

_ROW_POINTS = 27
_LINE_POINTS = 12
"""From one line of letters to the next."""
_LONGEST_NAME = 22
"""Characters of a variant's name beside a chart; longer ones are cut."""

_HISTOGRAM_BINS = 70


def plot_accuracy(results: Results, place: int) -> Chart:
    """Share right against time, with the uncertainty of both, on one device.

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
        f"{names[variant.name]} {variant.accuracy.correct} of {variant.accuracy.total} right in "
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
    """Fastest round's, overall and slowest round's median of the time to answer, in ms."""
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
            clip(names[name], _LONGEST_NAME), (time, share), (0, 0), textcoords="offset points",
            color=colours[name], va="center",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )  # fmt: skip
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
                "", (time, share), text.get_position(), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": colours[name], "linewidth": 0.6},
            )  # fmt: skip


_PLACES = [
    (side, rise * up) for rise in (10, 24, 38, 52, 66, 80) for up in (1, -1) for side in (1, -1)
]
"""Where a name may stand beside its point: right or left, and so many points above or below."""


def plot_stages(results: Results, place: int) -> Chart:
    """Where a photo's time goes on one device: medians of decode, resize and invoke."""
    device = reached(results)[place]
    names = short_names(results.variants)
    runs = list(device.runs)
    stages = ("decode", "resize", "invoke")

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        left = np.zeros(len(runs))
        for stage, colour in zip(stages, (QUIET, MUTED, ACCENT), strict=True):
            widths = np.array([getattr(run.latency, stage).p50 for run in runs])
            axes.barh(range(len(runs)), widths, 0.56, left=left, color=colour, label=stage)
            left += widths
        for row, run in enumerate(runs):
            text = spell_ms(run.latency.whole)
            axes.annotate(text, (left[row], row), (4, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, left.max() * 1.12)
        _rows(axes, [names.get(run.variant, run.variant) for run in runs])
        axes.set_xlabel("milliseconds a photo, medians")
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside upper left",
            ncols=3,
            handlelength=1,
            columnspacing=1.4,
        )

    words = "; ".join(
        f"{names.get(run.variant, run.variant)} "
        + ", ".join(f"{stage} {spell_ms(getattr(run.latency, stage))}" for stage in stages)
        for run in runs
    )
    return draw(
        f"stages_{place}", f"Where a photo's time goes on {device.name}, in ms: {words}.",
        72 + _ROW_POINTS * len(runs), paint,
    )  # fmt: skip


def _rows(axes: Any, names: Sequence[str]) -> None:
    """Names down the side, the first on top, and nothing else there."""
    axes.set_yticks(range(len(names)), [clip(name, _LONGEST_NAME) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def plot_distribution(results: Results, place: int) -> Chart:
    """How the times to answer are spread on one device: every sample, median and 95 %."""
    device = reached(results)[place]
    names, colours = short_names(results.variants), _colours(results, choose(results))
    runs = [run for run in device.runs if any(one.invoke for one in run.rounds)]
    samples = [np.concatenate([one.invoke for one in run.rounds]) for run in runs]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        every = np.concatenate(samples)
        _room(axes, [max(1e-3, float(every.min())), float(np.percentile(every, 99.5))])
        low, high = axes.get_xlim()
        edges = np.geomspace(low, high, _HISTOGRAM_BINS + 1)
        for row, (run, times) in enumerate(zip(runs, samples, strict=True)):
            counts = np.histogram(times, edges)[0]
            heights = row + 0.3 - 0.78 * counts / max(1, counts.max())
            colour = colours.get(run.variant, MUTED)
            axes.stairs(heights, edges, baseline=row + 0.3, fill=True, color=colour, alpha=0.35)
            for value, tall in ((run.latency.invoke.p50, 0.2), (run.latency.invoke.p95, 0.08)):
                axes.plot([value] * 2, [row + 0.3, row + 0.3 + tall], color=colour, linewidth=2)
            axes.plot([run.latency.invoke.p50, run.latency.invoke.p95], [row + 0.3] * 2,
                      color=colour, linewidth=1)  # fmt: skip
        _rows(axes, [names.get(run.variant, run.variant) for run in runs])
        axes.set_xlabel("invoke, milliseconds, logarithmic")

    words = "; ".join(
        f"{names.get(run.variant, run.variant)} median {spell_ms(run.latency.invoke)}, "
        f"p95 {spell_ms(run.latency.invoke, run.latency.invoke.p95)}"
        for run in runs
    )
    return draw(
        f"latency_{place}", f"Invoke times on {device.name}, in ms: {words}.",
        46 + (_ROW_POINTS + 9) * len(runs), paint,
    )  # fmt: skip


def plot_threads(results: Results, place: int) -> Chart | None:
    """Time to answer against threads on one device; None when no other number was tried."""
    device = reached(results)[place]
    names, colours = short_names(results.variants), _colours(results, choose(results))
    swept = [(run, _sweep(run)) for run in device.runs if run.threads_sweep]
    if not swept:
        return None

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for run, points in swept:
            numbers, middles = [one for one, _ in points], [time.p50 for _, time in points]
            axes.plot(numbers, middles, "o-", color=colours.get(run.variant, MUTED),
                      markersize=5, markeredgecolor=PAPER)  # fmt: skip
        axes.set_ylim(0, 1.1 * max(time.p50 for _, points in swept for _, time in points))
        axes.yaxis.set_major_locator(_round_numbers())
        axes.set_xticks(sorted({number for _, points in swept for number, _ in points}))
        axes.margins(x=0.3)
        axes.grid(axis="y")
        axes.set_xlabel("threads")
        axes.set_title("invoke, milliseconds", loc="left", color=MUTED)
        figure.draw_without_rendering()
        _name_ends(axes, swept, names, colours)

    words = "; ".join(
        f"{names.get(run.variant, run.variant)} "
        + ", ".join(f"{spell_ms(time)} with {number}" for number, time in points)
        for run, points in swept
    )
    return draw(f"threads_{place}", f"Invoke milliseconds by threads: {words}.", 220, paint)


def _name_ends(
    axes: Any,
    swept: Sequence[tuple[Run, list[tuple[int, Latency]]]],
    names: dict[str, str],
    colours: dict[str, str],
) -> None:
    """Write each curve's name at its end, moved up where another would lie below it."""
    points_a_pixel = 72 / axes.figure.dpi
    floor = -math.inf
    for run, points in sorted(swept, key=lambda pair: pair[1][-1][1].p50):
        number, time = points[-1]
        height = axes.transData.transform((number, time.p50))[1] * points_a_pixel
        floor = max(height, floor + _LINE_POINTS)
        axes.annotate(
            clip(names.get(run.variant, run.variant), _LONGEST_NAME), (number, time.p50),
            (8, floor - height), textcoords="offset points", va="center", annotation_clip=False,
            color=colours.get(run.variant, MUTED),
        )  # fmt: skip


def _sweep(run: Run) -> list[tuple[int, Latency]]:
    """Threads and times, the run's own among them, from few threads to many."""
    points = {one.threads: one.invoke for one in run.threads_sweep}
    if run.threads is not None:
        points.setdefault(run.threads, run.latency.invoke)
    return sorted(points.items())


def plot_devices(results: Results) -> Chart | None:
    """File to scores on every device, median to 95 %; None with fewer than two devices."""
    devices = reached(results)
    if len(devices) < 2:
        return None
    names = short_names(results.variants)
    variants = [one.name for one in results.variants if any(run_of(d, one.name) for d in devices)]
    looks = list(zip((ACCENT, SECOND, *OTHERS), "osD^v", strict=True))

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        _room(axes, [t for d in devices for run in d.runs
                     for t in (run.latency.whole.p50, run.latency.whole.p95)])  # fmt: skip
        for number, device in enumerate(devices):
            _device_points(axes, device, variants, looks[number % len(looks)],
                           0.5 * ((number + 0.5) / len(devices) - 0.5))  # fmt: skip
        for row in range(len(variants)):
            axes.axhline(row, color=GRID, linewidth=0.8, zorder=0)
        _rows(axes, [names[name] for name in variants])
        axes.set_xlabel("milliseconds a photo, file to scores, logarithmic")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left",
                      ncols=2, handlelength=1)  # fmt: skip

    words = "; ".join(
        f"{device.name}: "
        + ", ".join(f"{names[run.variant]} {spell_ms(run.latency.whole)}" for run in device.runs)
        for device in devices
    )
    height = 60 + 16 * math.ceil(len(devices) / 2) + (_ROW_POINTS + 4) * len(variants)
    return draw("devices", f"Milliseconds a photo on each device. {words}.", height, paint)


def _device_points(
    axes: Any, device: Device, variants: Sequence[str], look: tuple[str, str], shift: float
) -> None:
    """One device's medians, each with a line to its 95th percentile."""
    colour, marker = look
    rows = [(row, run) for row, name in enumerate(variants) if (run := run_of(device, name))]
    for row, run in rows:
        whole = run.latency.whole
        axes.plot([whole.p50, whole.p95], [row + shift] * 2, color=colour, linewidth=1)
    axes.plot(
        [run.latency.whole.p50 for _, run in rows], [row + shift for row, _ in rows], marker,
        color=colour, markersize=6, markeredgecolor=PAPER, label=clip(device.name, 24),
    )  # fmt: skip
