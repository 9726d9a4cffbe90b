"""The picture of a training: accuracy and loss over the epochs of both phases."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from edgebee.train.history import Epoch

__all__ = ["plot_training"]

# Paul Tol's "bright" scheme: told apart with any colour vision, and in grey print.
_TRAINING_COLOUR, _VALIDATION_COLOUR = "#4477AA", "#EE6677"


def plot_training(epochs: Sequence[Epoch], title: str) -> bytes:
    """Draw accuracy and loss, training and validation, with the start of fine-tuning marked.

    Returns:
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    figure.suptitle(title)
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
            axes.axvline(tuned[0] - 0.5, color="0.4", linestyle="--", linewidth=1)
        above.annotate(
            "fine-tuning starts",
            (tuned[0] - 0.5, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            color="0.25",
        )
    above.legend(loc="lower left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_curves(
    axes: Any, numbers: Sequence[int], training: Sequence[float], validation: Sequence[float]
) -> None:
    """One pair of curves."""
    axes.plot(numbers, training, "o-", color=_TRAINING_COLOUR, label="training")
    axes.plot(numbers, validation, "s-", color=_VALIDATION_COLOUR, label="validation")
    axes.grid(alpha=0.3)
