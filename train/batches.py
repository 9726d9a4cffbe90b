"""Batches of stored features: which augmented images an epoch shows, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgebee.run import Phase
from edgebee.train.features import Features

__all__ = ["Batches", "Examples", "class_weights"]

PLAIN_SHARE = 0.4
"""Share of the photos that an epoch of fine-tuning shows as they are."""

Floats = npt.NDArray[np.float32]


STEPS_AT_ONCE = 16
"""Batches that are handed over together: each on its own would cost as much as a head's step."""


class Examples(NamedTuple):
    """What some steps learn from."""

    stored: Floats
    """Pooled features `[n, features]`, or in fine-tuning activations at the cut `[n, h, w, c]`."""
    classes: npt.NDArray[np.int64]
    """`[n]`"""
    weights: Floats
    """`[n, heads]`, how much an example counts in the loss of each head."""
    targets: Floats
    """`[n, features]`, what the frozen base gives for the same images without corruption."""


@dataclass(frozen=True)
class Batches:
    """Batches of stored features, drawn for every epoch.

    Which images an epoch shows, and in which order, depends on the seed and the epoch alone,
    so that a training that was interrupted goes on exactly as it would have.
    """

    features: Features
    """Of the training photos."""
    phase: Phase
    """Feature extraction shows every image of each photo in each epoch, fine-tuning one."""
    batch_size: int
    """Images in a step; the last one may be shorter."""
    seed: int
    weights: Floats
    """`[photos, heads]`, how much a photo counts in the loss of each head."""

    @property
    def images(self) -> int:
        """How many an epoch shows."""
        shown = len(self.features.photos)
        return shown * self.features.augmentations if self.phase == "feature_extraction" else shown

    @property
    def steps(self) -> int:
        """How many there are in an epoch."""
        return math.ceil(self.images / self.batch_size)

    def of(self, epoch: int) -> Iterator[Examples]:
        """The examples of an epoch, counted from 0: a few whole batches at a time."""
        rows, taken = self._rows(epoch), STEPS_AT_ONCE * self.batch_size
        for start in range(0, len(rows), taken):
            yield self._examples(rows[start : start + taken])

    def _rows(self, epoch: int) -> npt.NDArray[np.int64]:
        """Row numbers of an epoch, in the order they are shown."""
        photos, count = self.features.photos, self.features.augmentations
        rng = np.random.default_rng([self.seed, epoch])
        if self.phase == "feature_extraction":
            rows = (photos[:, np.newaxis] * count + np.arange(count)).ravel()
        else:
            varied = rng.integers(min(1, count - 1), count, len(photos))
            shown = np.where(rng.random(len(photos)) < PLAIN_SHARE, 0, varied)
            rows = photos * count + shown
        return rng.permutation(rows)

    def _examples(self, rows: npt.NDArray[np.int64]) -> Examples:
        features = self.features
        photos = rows // features.augmentations
        classes, weights = features.classes[photos], self.weights[photos]
        if self.phase == "feature_extraction":
            pooled = features.pooled.take(rows)
            return Examples(pooled, classes, weights, pooled)
        targets = features.pooled.take(features.uncorrupted.ravel()[rows])
        return Examples(features.boundary.take(rows), classes, weights, targets)


def class_weights(classes: npt.NDArray[np.int64], class_count: int) -> Floats:
    """Weights that make every class count the same: `photos / (classes * photos of class)`.

    Args:
        classes: `[photos]`, each class at least once.
        class_count: how many classes there are.

    Returns:
        `float32 [classes]`, mean 1 over the photos.
    """
    counts = np.bincount(classes, minlength=class_count)
    return (len(classes) / (class_count * counts)).astype(np.float32)
