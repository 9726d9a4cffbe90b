"""The pictures of a training: its curves, its confusion matrix, its mistakes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import read_photo
from edgebee.palette import INK, MUTED, PAPER, SECOND
from edgebee.run import Epoch
from edgebee.train.letters import Letters, find_letters

__all__ = ["plot_confusion", "plot_mistakes", "plot_training"]

MOST_NUMBERED_CLASSES = 40
"""In a larger confusion matrix the numbers could not be read; colour alone shows."""
MOST_SHOWN_MISTAKES = 60
_MISTAKES_A_ROW = 5


def plot_training(epochs: Sequence[Epoch], title: str) -> bytes:
    """Draw accuracy and loss, training and validation, with the start of fine-tuning marked.

    Returns:
        A PNG file.
    """
    letters = find_letters(title)
    figure = _figure(7, 7)
    above, below = figure.subplots(2, 1, sharex=True)
    figure.suptitle(letters.shown(title))
    numbers = [epoch.epoch for epoch in epochs]
    _draw_curves(above, numbers, [e.accuracy for e in epochs], [e.val_accuracy for e in epochs])
    _draw_curves(below, numbers, [e.loss for e in epochs], [e.val_loss for e in epochs])
    above.set_ylabel("accuracy")
    above.set_ylim(top=1.005)
    below.set_ylabel("loss (cross-entropy)")
    below.set_ylim(bottom=0)
    below.set_xlabel("epoch")
    below.xaxis.get_major_locator().set_params(integer=True)
    tuned = [epoch.epoch for epoch in epochs if epoch.phase == "fine_tuning"]
    if tuned:
        for axes in (above, below):
            axes.axvline(tuned[0] - 0.5, color=MUTED, linestyle="--", linewidth=1)
        above.annotate(
            "fine-tuning starts",
            (tuned[0] - 0.5, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            color=MUTED,
        )
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return _png(figure, letters)


def plot_confusion(matrix: npt.NDArray[np.int64], labels: Sequence[str], title: str) -> bytes:
    """Draw the confusion matrix.

    Args:
        matrix: `[classes, classes]`, rows the true class, columns the predicted one.
        labels: the classes' names.
        title: which photos, below the heading.

    Returns:
        A PNG file.
    """
    count = len(labels)
    letters = find_letters(title, *labels)
    labels = [letters.shown(label) for label in labels]
    side_inches = min(3.5 + 0.35 * count, 24)
    figure = _figure(side_inches, side_inches)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(_confusion_colours(shares))
    font_points = max(3, min(10, 200 / count))
    if count <= MOST_NUMBERED_CLASSES:
        for row, column in np.ndindex(matrix.shape):
            if matrix[row, column]:
                axes.text(
                    column,
                    row,
                    str(matrix[row, column]),
                    ha="center",
                    va="center",
                    fontsize=font_points,
                    color="white" if shares[row, column] > 0.5 else "black",
                )
    axes.set_xticks(range(count), labels, rotation=90 if count > 4 else 0, fontsize=font_points)
    axes.set_yticks(range(count), labels, fontsize=font_points)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{letters.shown(title)}\norange is incorrect", fontsize=10)
    return _png(figure, letters)


def _confusion_colours(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Colours `[classes, classes, 3]`, 0-1: the darker, the larger the share of its row."""
    from matplotlib.colors import to_rgb

    correct = np.eye(len(shares), dtype=bool)[..., None]
    full = np.where(correct, to_rgb(MUTED), to_rgb(SECOND))
    # One incorrect photo among hundreds is still seen.
    depth = np.where(shares > 0, 0.15 + 0.85 * shares, 0.0)[..., None]
    colours: npt.NDArray[np.float64] = full * depth + np.array(to_rgb(PAPER)) * (1 - depth)
    return colours


def plot_mistakes(
    paths: Sequence[Path],
    classes: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    labels: Sequence[str],
    title: str,
) -> bytes:
    """Draw the incorrect predictions, highest score first, as the model sees the photos.

    Args:
        paths: readable photos.
        classes: `[photos]`, the true ones.
        scores: `[photos, classes]`
        labels: the classes' names.
        title: which photos.

    Returns:
        A PNG file.
    """
    predictions = scores.argmax(axis=1)
    incorrect = np.flatnonzero(predictions != classes)
    best = scores[incorrect, predictions[incorrect]]
    incorrect = incorrect[np.argsort(-best, kind="stable")]
    shown = incorrect[:MOST_SHOWN_MISTAKES]
    letters = find_letters(*labels, *(paths[photo].name for photo in shown))
    rows = max(1, -(-len(shown) // _MISTAKES_A_ROW))
    figure = _figure(2.2 * _MISTAKES_A_ROW, 2.7 * rows + 0.5)
    figure.suptitle(f"{len(incorrect)} of {len(paths)} {title} incorrect", fontsize=11)
    for place, axes in enumerate(figure.subplots(rows, _MISTAKES_A_ROW, squeeze=False).flat):
        axes.axis("off")
        if place < len(shown):
            photo = shown[place]
            axes.imshow(read_photo(paths[photo]))
            predicted, score = labels[predictions[photo]], scores[photo, predictions[photo]]
            caption = f"{labels[classes[photo]]}, predicted {predicted} {score:.2f}"
            lines = letters.shown(f"{caption}\n{_short(paths[photo].name)}")
            axes.set_title(lines, fontsize=7)
    return _png(figure, letters)


def _short(name: str) -> str:
    """A file name that fits under a small picture."""
    return name if len(name) <= 30 else f"{name[:14]}…{name[-14:]}"


def _figure(width_inches: float, height_inches: float) -> Any:
    """A figure that draws into memory, without a display or global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width_inches, height_inches), dpi=120, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any, letters: Letters) -> bytes:
    """The figure as a PNG file."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontfamily(letters.families)
        text.set_parse_math(False)  # of names with dollar signs
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_curves(
    axes: Any, numbers: Sequence[int], training: Sequence[float], validation: Sequence[float]
) -> None:
    """One pair of curves."""
    axes.plot(numbers, training, "s-", color=MUTED, label="training")
    axes.plot(numbers, validation, "o-", color=INK, label="validation")
    axes.grid(alpha=0.3)
