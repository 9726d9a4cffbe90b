"""Batches of stored features: which augmented images an epoch shows, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgebee.run import Phase
from edgebee.train.features import Features
from edgebee.train.photo_features import ImageFeatures

__all__ = ["Batches", "Examples", "StrangerExamples", "class_weights"]

PLAIN_SHARE = 0.4
"""Share of the photos that an epoch of fine-tuning shows as they are."""

STRANGERS_SHARE = 0.15
"""Strangers that an epoch of fine-tuning shows at most, for each photo. In cross-validation 0.3 of
them made 9.9 % errors on corrupted photos, 0.15 made 10.1 %; fewer take less time."""

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
class StrangerExamples:
    """Images of none of the classes, of which fine-tuning learns as of one class more."""

    images: ImageFeatures
    label: int
    """Its place, after the classes."""
    kernel: Floats
    """`[features]`, of the logit that it has so far."""
    bias: float


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
    image_weights: Floats | None = None
    """`[images, heads]`, a factor on that for each image of a photo; None: 1."""
    strangers: StrangerExamples | None = None
    """For fine-tuning."""

    @property
    def images(self) -> int:
        """How many an epoch shows."""
        shown = len(self.features.photos)
        if self.phase == "feature_extraction":
            return shown * self.features.learned
        return shown + self._strangers_shown

    @property
    def _strangers_shown(self) -> int:
        """How many an epoch of fine-tuning shows."""
        if self.strangers is None:
            return 0
        wanted = math.ceil(STRANGERS_SHARE * len(self.features.photos))
        return min(len(self.strangers.images), wanted)

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
        """Row numbers of an epoch, in the order they are shown; strangers follow the photos."""
        every = self.features.rows(self.features.photos)
        rng = np.random.default_rng([self.seed, epoch])
        if self.phase == "feature_extraction":
            rows = every.ravel()
        else:
            photos, count = every.shape
            varied = rng.integers(min(1, count - 1), count, photos)
            shown = np.where(rng.random(photos) < PLAIN_SHARE, 0, varied)
            rows = every[np.arange(photos), shown]
            if self.strangers is not None:
                drawn = rng.permutation(len(self.strangers.images))[: self._strangers_shown]
                rows = np.concatenate([rows, self.features.uncorrupted.size + drawn])
        return rng.permutation(rows)

    def _examples(self, rows: npt.NDArray[np.int64]) -> Examples:
        if self.strangers is not None and (rows >= self.features.uncorrupted.size).any():
            return self._mixed(rows, self.strangers)
        features = self.features
        photos, images = np.divmod(rows, features.augmentations)
        classes, weights = features.classes[photos], self.weights[photos]
        if self.image_weights is not None:
            weights = weights * self.image_weights[images]
        if self.phase == "feature_extraction":
            pooled = features.pooled.take(rows)
            return Examples(pooled, classes, weights, pooled)
        targets = features.pooled.take(features.uncorrupted.ravel()[rows])
        return Examples(features.boundary.take(rows), classes, weights, targets)

    def _mixed(self, rows: npt.NDArray[np.int64], strangers: StrangerExamples) -> Examples:
        """The examples of rows with some of strangers among them."""
        strange = rows >= self.features.uncorrupted.size
        place = rows[strange] - self.features.uncorrupted.size
        known = self._examples(rows[~strange])

        def mixed(ours: npt.NDArray[Any], theirs: Any) -> npt.NDArray[Any]:
            together = np.empty((len(rows), *ours.shape[1:]), ours.dtype)
            together[~strange], together[strange] = ours, theirs
            return together

        return Examples(
            stored=mixed(known.stored, strangers.images.boundary[place]),
            classes=mixed(known.classes, strangers.label),
            weights=mixed(known.weights, 1.0),
            targets=mixed(known.targets, strangers.images.pooled[place]),
        )


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
