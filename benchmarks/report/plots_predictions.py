"""Charts of predictions: confusion matrix, reliability diagram, training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.benchmarks.measure.results import Results, Variant
from edgebee.benchmarks.report.charts import Chart, draw
from edgebee.benchmarks.report.summary import choose, clip, percent, short_names
from edgebee.palette import ACCENT, GRID, INK, MUTED, PAPER, QUIET, SECOND
from edgebee.run import Epoch
from edgebee.stats import wilson_interval

__all__ = ["plot_confusions", "plot_reliability", "plot_training", "rank_mistakes"]

MOST_CLASSES_IN_A_MATRIX = 12
"""A larger one would have cells too small for a number on a phone."""
FEWEST_PHOTOS_A_POINT = 10
"""A share of fewer says next to nothing; neighbouring bins are put together until they hold so
many."""

_LONGEST_LABEL = 16
_LONGEST_NAME = 22


# ------------------------------------------------------------------ confusion matrix
def plot_confusions(results: Results) -> list[tuple[tuple[str, ...], Chart]]:
    """A confusion matrix for each set of variants that share one, the reference's first.

    Returns:
        The variants' short names and their matrix. Empty where there are more than
        MOST_CLASSES_IN_A_MATRIX labels.
    """
    if len(results.data.labels) > MOST_CLASSES_IN_A_MATRIX:
        return []
    names = short_names(results.variants)
    groups: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for variant in results.variants:
        groups.setdefault(variant.accuracy.confusion, []).append(names[variant.name])
    return [
        (tuple(members), _plot_matrix(number, np.array(matrix), results.data.labels, members))
        for number, (matrix, members) in enumerate(groups.items())
    ]


def _plot_matrix(
    number: int, matrix: npt.NDArray[np.int64], labels: Sequence[str], members: Sequence[str]
) -> Chart:
    """One matrix: rows the true class, columns the prediction, depth the share of the row."""
    count = len(labels)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cell_points = min(58.0, 250 / count)
    ticks = [clip(label, _LONGEST_LABEL) for label in labels]
    turned = max(map(len, ticks)) * 7 > cell_points

    def paint(figure: Any) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.subplots()
        for row, column in np.ndindex(matrix.shape):
            colour = MUTED if row == column else SECOND
            axes.add_patch(
                Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=GRID, alpha=0.5)
            )
            if matrix[row, column]:
                # Even one mistake must be seen, however many photos the class has.
                depth = max(0.25, shares[row, column])
                axes.add_patch(
                    Rectangle(
                        (column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour, alpha=depth
                    )
                )
                axes.text(
                    column,
                    row,
                    matrix[row, column],
                    ha="center",
                    va="center",
                    color=PAPER if depth > 0.6 else INK,
                )
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_aspect("equal", anchor="W")
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xticks(range(count), ticks, rotation=90 if turned else 0)
        axes.set_yticks(range(count), ticks)
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true class")

    mistakes = rank_mistakes(matrix)
    words = "; ".join(
        f"{n} {labels[row]} predicted as {labels[column]}" for n, row, column in mistakes
    )
    alt = f"Confusion matrix of {', '.join(members)}: {words or 'every photo is correct'}."
    turned_points = 7 * max(map(len, ticks)) if turned else 14
    return draw(f"confusion_{number}", alt, 40 + turned_points + cell_points * count, paint)


def rank_mistakes(matrix: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(photos, true class, predicted class) of every mistake, the most frequent first."""
    mistakes = [
        (int(matrix[row, column]), int(row), int(column))
        for row, column in np.argwhere(matrix)
        if row != column
    ]
    return sorted(mistakes, key=lambda one: (-one[0], one[1:]))


# ------------------------------------------------------------------ reliability
def _pair(results: Results) -> list[Variant]:
    """The reference and the variant to take, as far as there are both."""
    chosen = choose(results)
    pair = [one for one in results.variants if one.name == results.reference]
    return pair + ([chosen] if chosen is not None and chosen not in pair else [])


@dataclass(frozen=True)
class _Point:
    """Photos with a similar best score."""

    photos: int
    score: float
    accuracy: float


def plot_reliability(results: Results) -> Chart:
    """Whether scores mean what they say: of the reference and the one to take."""
    names, pair = short_names(results.variants), _pair(results)
    lowest = min(bin_.low for one in pair for bin_ in one.accuracy.bins if bin_.photos)
    start = max(0.0, 100 * lowest - 3)

    def paint(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        above.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        for number, variant in enumerate(pair):
            colour, marker = (INK, "s") if variant.name == results.reference else (ACCENT, "o")
            error = percent(variant.accuracy.calibration_error)
            label = f"{clip(names[variant.name], _LONGEST_NAME)}, ECE {error}"
            shift = (100 - start) / 150 * (number - (len(pair) - 1) / 2)  # apart where they meet
            _draw_points(above, _points(variant), colour, marker, label, shift)
            edges = [100 * one.low for one in variant.accuracy.bins] + [100]
            photos = [one.photos for one in variant.accuracy.bins]
            below.stairs(photos, edges, color=colour, linewidth=1.3)
        above.set_ylim(-3, 103)
        above.set_xlim(start, 101)
        above.set_title("accuracy", loc="left", color=MUTED)
        above.legend(loc="lower right", handlelength=1.2)
        above.grid(axis="y")
        for axis in (above.yaxis, above.xaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g} %")
        below.set_xlabel("best score")
        below.set_ylabel("photos", rotation=0, ha="right", va="center")
        _number_axis(below.yaxis, 2)

    words = "; ".join(
        f"{names[one.name]} expected calibration error {percent(one.accuracy.calibration_error)}"
        for one in pair
    )
    return draw("reliability", f"Best score against accuracy: {words}.", 300, paint)


def _points(variant: Variant) -> list[_Point]:
    """The bins of a variant, put together until each holds enough photos to say something."""
    points: list[_Point] = []
    photos, scores, correct = 0, 0.0, 0.0
    for one in variant.accuracy.bins:
        if one.score is not None and one.accuracy is not None:
            photos += one.photos
            scores += one.photos * one.score
            correct += one.photos * one.accuracy
        if photos >= FEWEST_PHOTOS_A_POINT:
            points.append(_Point(photos, scores / photos, correct / photos))
            photos, scores, correct = 0, 0.0, 0.0
    if photos:
        points.append(_Point(photos, scores / photos, correct / photos))
    return points


def _draw_points(
    axes: Any, points: Sequence[_Point], colour: str, marker: str, label: str, shift: float
) -> None:
    """One curve, each point with Wilson's interval of its own photos."""
    at = [100 * point.score + shift for point in points]
    for place, point in zip(at, points, strict=True):
        interval = wilson_interval(round(point.accuracy * point.photos), point.photos)
        axes.plot(
            [place] * 2,
            [100 * interval.low, 100 * interval.high],
            "_-",
            color=colour,
            linewidth=1,
            markersize=5,
            alpha=0.75,
        )
    axes.plot(
        at,
        [100 * point.accuracy for point in points],
        marker + "-",
        color=colour,
        markersize=6,
        linewidth=1.1,
        markeredgecolor=PAPER,
        label=label,
    )


def _number_axis(axis: Any, most: int = 6) -> None:
    """Whole numbers only: photos are counted."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))


# ------------------------------------------------------------------ the training
def plot_training(epochs: Sequence[Epoch]) -> Chart:
    """Accuracy and loss of a training, one epoch at least, with the start of fine-tuning."""
    numbers = [one.epoch for one in epochs]
    tuned_from = min((one.epoch for one in epochs if one.phase == "fine_tuning"), default=None)

    def paint(figure: Any) -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        training = [100 * one.accuracy for one in epochs]
        _two_curves(above, numbers, training, [100 * one.val_accuracy for one in epochs])
        _two_curves(below, numbers, [one.loss for one in epochs], [one.val_loss for one in epochs])
        above.set_title("accuracy", loc="left", color=MUTED)
        above.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        above.set_ylim(top=100.5)
        below.set_title("loss (cross-entropy)", loc="left", color=MUTED)
        below.set_ylim(bottom=0)
        below.set_xlabel("epoch")
        _number_axis(below.xaxis, 8)
        figure.legend(*above.get_legend_handles_labels(), loc="outside upper left", ncols=2)
        if tuned_from is not None:
            for axes in (above, below):
                axes.axvline(tuned_from - 0.5, color=MUTED, linestyle=(0, (4, 3)), linewidth=0.9)
            below.annotate(
                "fine-tuning",
                (tuned_from - 0.5, 0.92),
                (4, 0),
                color=MUTED,
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
            )

    alt = (
        f"Training over {len(epochs)} epochs: of the validation photos "
        f"{percent(epochs[0].val_accuracy)} were correct after the first and "
        f"{percent(epochs[-1].val_accuracy)} after the last, of the training photos "
        f"{percent(epochs[-1].accuracy)}."
    )
    return draw("training_curves", alt, 320, paint)


def _two_curves(axes: Any, epochs: Sequence[int], training: Any, validation: Any) -> None:
    """Training and validation."""
    axes.plot(
        epochs, training, "s-", color=MUTED, markersize=4, markeredgecolor=PAPER, label="training"
    )
    axes.plot(
        epochs, validation, "o-", color=INK, markersize=5, markeredgecolor=PAPER, label="validation"
    )
    axes.grid(axis="y")
