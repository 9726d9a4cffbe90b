"""What a training was: its epochs, its data, its settings, its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgebee.train.dataset import Dataset
from edgebee.train.recipe import Recipe

__all__ = ["Epoch", "Phase", "describe_training"]

Phase = Literal["feature_extraction", "fine_tuning"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch did."""

    epoch: int
    """From 1, counted through both phases."""
    phase: Phase
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


def describe_training(
    dataset: Dataset,
    recipe: Recipe,
    epochs: Sequence[Epoch],
    *,
    correct: int,
    total: int,
    split: dict[str, Any],
    left_out: dict[str, str],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The content of `history.json`.

    Args:
        dataset: the photos.
        recipe: the settings.
        epochs: of both phases, in order.
        correct: validation photos that the finished model gets right.
        total: validation photos that it was asked.
        split: the settings that load the same photos again (`val_fraction`, `seed`, `exclude`).
        left_out: photo, relative to the data set -> why it was not used.
        seconds: how long each part took.
    """
    from importlib.metadata import version

    counts = {
        name: dict(zip(dataset.labels, photos.counts(len(dataset.labels)), strict=True))
        for name, photos in (("train", dataset.train), ("validation", dataset.validation))
    }
    return {
        "epochs": [
            {key: round(value, 6) if isinstance(value, float) else value for key, value in row}
            for row in (asdict(epoch).items() for epoch in epochs)
        ],
        "validation": {"correct": correct, "total": total},
        "labels": list(dataset.labels),
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "drawn": dataset.drawn,
            **split,
            "photos": counts,
            "left_out": left_out,
        },
        "recipe": asdict(recipe),
        "seconds": {part: round(value, 2) for part, value in seconds.items()},
        "versions": {name: version(name) for name in ("edgebee", "tensorflow", "keras", "numpy")},
    }
