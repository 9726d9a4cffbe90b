"""The validation photos that a conversion is verified on, with the Keras model's scores.

The Keras model itself is checked on them, before anything is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.representative import draw_order, read_photos, read_strangers
from edgebee.errors import ConversionError
from edgebee.progress import ProgressCallback, ignore_progress
from edgebee.stats import SIGNIFICANT_P, binomial_p, compare_paired

__all__ = [
    "MAX_PHOTOS",
    "Strangers",
    "ValidationSet",
    "check_reference",
    "read_validation_set",
    "score_keras",
    "score_strangers",
]

MAX_PHOTOS = 1000
"""As many photos are kept decoded: 150 MB at 224 pixels."""
MAX_OTHERS = 200
"""As many photos of none of the classes."""

_BATCH = 32
_SIGNIFICANT = 0.01
"""Highest p-value at which labels count as swapped."""
_MOST_NAMED = 20
"""Labels in a message."""


@dataclass(frozen=True)
class Strangers:
    """Pictures of none of the classes: blank frames, and `other` photos where there are any."""

    pixels: npt.NDArray[np.uint8]
    """`[pictures, H, W, 3]`."""
    reference: npt.NDArray[np.float32]
    """`[pictures, labels]`, Keras' scores."""


@dataclass(frozen=True)
class ValidationSet:
    """Validation photos and what the Keras model predicts for them."""

    pixels: npt.NDArray[np.uint8]
    """`[photos, H, W, 3]`, as the runner reads them."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the true classes."""
    reference: npt.NDArray[np.float32]
    """`[photos, labels]`, Keras' scores."""
    strangers: Strangers | None = None
    """None for a model that does not know `neither`."""

    def best_class(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """The best class of each row of scores, `neither` left out."""
        of_classes = scores if self.strangers is None else scores[:, :-1]
        return np.asarray(of_classes.argmax(axis=1))

    @property
    def reference_correct(self) -> npt.NDArray[np.bool_]:
        """`[photos]`: where Keras' best class is the true one."""
        return np.asarray(self.best_class(self.reference) == self.classes)


def read_validation_set(
    paths: Sequence[Path],
    classes: Sequence[int],
    model: Any,
    *,
    seed: int = 0,
    strangers: Strangers | None = None,
    progress: ProgressCallback = ignore_progress,
) -> ValidationSet:
    """Read validation photos, and let the Keras model score them.

    Args:
        paths: validation photos; of more than `MAX_PHOTOS`, that many are drawn, class by class.
        classes: the class of each.
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        seed: which photos, of many.
        strangers: for a model that knows `neither`.
        progress: called after each photo.

    Raises:
        ConversionError: no photo could be read.
    """
    order = sorted(draw_order(classes, seed)[:MAX_PHOTOS])
    pixels, used = read_photos(
        paths, order, model.input_shape[1:3], kind="validation", most=len(order), progress=progress
    )
    true_classes = np.array([classes[index] for index in used])
    return ValidationSet(pixels, true_classes, score_keras(model, pixels), strangers)


def score_strangers(
    others: Sequence[Path], model: Any, *, progress: ProgressCallback = ignore_progress
) -> Strangers:
    """Read pictures of none of the classes, and let the Keras model score them.

    Args:
        others: photos; of more than `MAX_OTHERS`, that many are drawn.
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        progress: called after each photo.
    """
    pixels = read_strangers(
        others,
        model.input_shape[1:3],
        frames_per_kind=4,
        most=MAX_OTHERS,
        seed=0,
        progress=progress,
    )
    return Strangers(pixels, score_keras(model, pixels))


def score_keras(model: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scores of the Keras model.

    Args:
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        pixels: `[photos, H, W, 3]`.

    Returns:
        `[photos, labels]`.
    """
    # Every batch is a full one, the last filled up with its first photo: for another size the
    # model would be traced again, which takes longer than the photos do.
    scores = []
    for start in range(0, len(pixels), _BATCH):
        batch = pixels[start : start + _BATCH]
        fill = np.repeat(batch[:1], _BATCH - len(batch), axis=0)
        full = np.concatenate([batch, fill]).astype(np.float32)
        scores.append(np.asarray(model.predict_on_batch(full), np.float32)[: len(batch)])
    return np.concatenate(scores)


def check_reference(
    photos: ValidationSet, labels: Sequence[str], recorded: tuple[int, int] | None
) -> str | None:
    """Refuse a Keras model that is not what its training recorded, or whose labels are swapped.

    Args:
        photos: validation photos with Keras' scores.
        labels: one name per score.
        recorded: how many of how many validation photos its training had correct, where that is
            known and was on these same photos.

    Returns:
        A warning, or None.

    Raises:
        ConversionError: its scores do not sum to 1, its labels are swapped, or it is less
            accurate here than its training recorded.
    """
    _check_scores(photos)
    _check_labels(photos, labels)
    correct, total = int(photos.reference_correct.sum()), len(photos.classes)
    # A score near one half may fall to the other side on another processor.
    leeway = max(1, total // 100)
    if recorded is not None and recorded[1] == total and abs(correct - recorded[0]) > leeway:
        raise ConversionError(
            f"the Keras model has {correct} of {total} validation photos correct, but "
            f"{recorded[0]} when it was trained: the model, the photos or the way they are "
            "read have changed; train again"
        )
    most_frequent = int(np.bincount(photos.classes).max())
    # Of a few photos, even all correct can be chance; that is no reason to doubt the model.
    if correct < total and binomial_p(correct, total, most_frequent / total) >= SIGNIFICANT_P:
        return (
            f"the Keras model itself is not better than chance: {correct} of {total} validation "
            f"photos correct, where always predicting the most frequent label gives "
            f"{most_frequent}; it is fed pixels 0-255: is its preprocessing (a Rescaling layer) "
            "part of the model, and are the labels in the order of its scores?"
        )
    return None


def _check_scores(photos: ValidationSet) -> None:
    scores = photos.reference
    if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > 0.01:
        raise ConversionError(
            f"the Keras model's scores go from {scores.min():.3g} to {scores.max():.3g} and do not "
            "sum to 1, as those of one sigmoid per class do not; edgebee tells apart classes of "
            "which a photo shows one: end the model with a softmax and train again"
        )


def _check_labels(photos: ValidationSet, labels: Sequence[str]) -> None:
    """Refuse labels in another order than the scores'.

    Then each class gets its predictions under another name: the label predicted most often
    differs from class to class, as it should, but is not the class itself.
    """
    predicted, correct = photos.best_class(photos.reference), photos.reference_correct
    most_often = {
        int(one): int(np.bincount(predicted[photos.classes == one]).argmax())
        for one in np.unique(photos.classes)
    }
    swapped = [one for one, label in most_often.items() if one != label]
    renamed = np.array([most_often[int(one)] for one in photos.classes]) == predicted
    seen = compare_paired(renamed, correct)
    # A poor model predicts other labels by chance: as many more as fewer are correct.
    distinct = len(set(most_often.values())) == len(most_often)
    if swapped and distinct and seen.drop > 0 and seen.p < _SIGNIFICANT:
        names = ", ".join(labels[one] for one in swapped)
        ordered = sorted(most_often, key=most_often.__getitem__)
        order = ", ".join(labels[one] for one in ordered[:_MOST_NAMED])
        raise ConversionError(
            f"the labels {names} are swapped: as they stand {seen.correct} of {seen.total} "
            f"validation photos are correct, in the order of the predictions "
            f"{seen.reference_correct}; write {order} into labels.txt, in that order"
        )
