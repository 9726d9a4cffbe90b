"""Which photos a command works on: those it is told, else those the model was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebee.errors import DataError

if TYPE_CHECKING:
    from edgebee.train.dataset import Dataset

__all__ = ["photos_of_model"]


def photos_of_model(folder: Path, data: str | None) -> Dataset:
    """Load the photos for the models in `folder`.

    Args:
        folder: with `labels.txt` and, when edgebee trained there, `history.json`.
        data: what `--data` was given; None takes what the history names, split the same way.

    Raises:
        DataError: the photos cannot be loaded, or have other classes than the model.
    """
    from edgebee.train.dataset import load_dataset

    recorded = _recorded_data(folder / "history.json")
    if data is not None and data != recorded.get("source"):
        recorded = {}
    source = data or recorded.get("source", "hymenoptera")
    dataset = load_dataset(
        source,
        val_fraction=recorded.get("val_fraction", 0.2),
        seed=recorded.get("seed", 0),
        exclude=recorded.get("exclude", ()),
    )
    labels = read_label_file(folder / "labels.txt")
    if labels is not None and labels != dataset.labels:
        raise DataError(
            f"{dataset.source}: has the classes {', '.join(dataset.labels)}, but "
            f"{folder / 'labels.txt'} says {', '.join(labels)}; name the photos that the model "
            "was trained on with --data"
        )
    return dataset


def read_label_file(path: Path) -> tuple[str, ...] | None:
    """The names in `labels.txt`, one a line; None when there is no such file."""
    try:
        return tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as label names, one a line ({error})") from error


def _recorded_data(path: Path) -> dict[str, Any]:
    """The `data` part of `history.json`, empty when there is no such file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: damaged, so the photos of this training are unknown; name them with --data"
        ) from error
    return dict(data)
