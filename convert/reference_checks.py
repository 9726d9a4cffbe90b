"""Check the Keras model itself on the validation photos, before anything is compared with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebee.convert.validation_set import ValidationSet
from edgebee.errors import ConversionError
from edgebee.stats import SIGNIFICANT_P, binomial_p, compare_paired

__all__ = ["check_reference"]

_SIGNIFICANT = 0.01
_MOST_NAMED = 20
"""Labels in a message."""


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
            "part of the model?"
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
    predicted, correct = photos.reference.argmax(axis=1), photos.reference_correct
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
