"""Which photos a command works on: those it is told, else those the model was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgebee.console import log
from edgebee.errors import DataError

if TYPE_CHECKING:
    from edgebee.photos.dataset import Dataset

__all__ = ["photos_of_model", "read_label_file"]

_HYMENOPTERA_LABELS = ("ants", "bees")
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Record:
    """What loads the photos of a training again, split in the same way."""

    source: str
    val_fraction: float = 0.2
    seed: int = 0
    exclude: tuple[str, ...] = ()


def photos_of_model(folder: Path, data: str | None) -> Dataset:
    """Load the photos for the models in `folder`.

    Whatever was a training photo stays one: when `data` is what the models were trained on,
    it is split as it was then, so that nothing is measured on photos that were learned.

    Args:
        folder: with `labels.txt` and, when edgebee trained there, `history.json`.
        data: what `--data` was given; None takes what the history names.

    Raises:
        DataError: the photos cannot be loaded, or have other classes than the model.
    """
    from edgebee.photos.dataset import load_dataset

    labels_path, history_path = folder / "labels.txt", folder / "history.json"
    labels = read_label_file(labels_path)
    record = _record(history_path, data, labels)
    dataset = load_dataset(
        record.source, val_fraction=record.val_fraction, seed=record.seed, exclude=record.exclude
    )
    if labels is not None and labels != dataset.labels:
        raise DataError(
            f"{dataset.source}: has the classes {', '.join(dataset.labels)}, but "
            f"{labels_path} says {', '.join(labels)}; name the photos that the model "
            "was trained on with --data"
        )
    return dataset


def read_label_file(path: Path) -> tuple[str, ...] | None:
    """The names in `labels.txt`, one a line; None when there is no such file.

    Raises:
        DataError: it is no text or has no names in it.
    """
    try:
        labels = tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{path}: cannot be read as label names, one a line ({reason})") from error
    if not labels:
        raise DataError(f"{path}: is empty; write the label names there, one a line")
    return labels


def _record(history: Path, data: str | None, labels: tuple[str, ...] | None) -> _Record:
    """What to load: `data`, or what the history names, with the history's split if it is that."""
    try:
        recorded = _read_record(history)
    except DataError:
        if data is None:
            raise
        return _Record(data)
    if recorded is not None and (data is None or _same(data, recorded.source)):
        return recorded
    if data is not None:
        return _Record(data)
    if labels not in (None, _HYMENOPTERA_LABELS):
        raise DataError(
            f"{history}: missing, so the photos of this training are unknown; name them with --data"
        )
    from edgebee.photos.dataset import HYMENOPTERA_SOURCE

    log(f"no {history}: taking the {HYMENOPTERA_SOURCE} photos; name others with --data")
    return _Record(HYMENOPTERA_SOURCE)


def _same(data: str, source: str) -> bool:
    """Whether `--data` names the recorded source, which for a folder is its absolute path."""
    from edgebee.photos.dataset import HYMENOPTERA_SOURCE, SAMPLE_SOURCE

    if data in (HYMENOPTERA_SOURCE, SAMPLE_SOURCE):
        return data == source
    return str(Path(data).expanduser().resolve()) == source


def _read_record(path: Path) -> _Record | None:
    """The `data` part of `history.json`; None when there is no such file.

    Raises:
        DataError: it is not as edgebee writes it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
        return _Record(
            source=_typed(data["source"], str),
            val_fraction=_typed(data["val_fraction"], float),
            seed=_typed(data["seed"], int),
            exclude=tuple(_typed(pattern, str) for pattern in data["exclude"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: damaged, so the photos of this training are unknown; name them with --data"
        ) from error


def _typed(value: object, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
