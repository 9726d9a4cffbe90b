"""Batches of stored activations: which views an epoch shows, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.run import Phase
from edgebee.train.features import Features

__all__ = ["FoldBatches", "StoredBatches", "class_weights"]

PLAIN_SHARE = 0.4
"""Share of the photos that an epoch of fine-tuning shows as they are."""


class StoredBatches:
    """Batches of stored activations, drawn anew in every epoch.

    Which views an epoch shows, and in which order, depends on the seed and the epoch alone,
    so that a training that was interrupted goes on exactly as it would have.

    Args:
        features: what the frozen base said.
        class_count: length of a one-hot label.
        batch_size: rows a batch; the last one may be shorter.
        phase: feature extraction shows the pooled features of every view in each epoch,
            fine-tuning the boundary of one view of each photo, and, beside it, the pooled
            features of the same view without damage.
        seed: decides views and order.
        weight_of_class: `[classes]`, how much an example counts in the loss.
    """

    def __init__(
        self,
        features: Features,
        *,
        class_count: int,
        batch_size: int,
        phase: Phase,
        seed: int,
        weight_of_class: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.features, self.phase = features, phase
        self.one_hot = np.eye(class_count, dtype=np.float32)
        self.batch_size = batch_size
        self.seed = seed
        self.weight_of_class = weight_of_class

    def _rows(self, epoch: int) -> npt.NDArray[np.int64]:
        """Row numbers of an epoch, in the order they are shown."""
        photos, views = self.features.photos, self.features.views
        rng = np.random.default_rng([self.seed, epoch])
        if self.phase == "feature_extraction":
            rows = (photos[:, np.newaxis] * views + np.arange(views)).ravel()
        else:
            varied = rng.integers(min(1, views - 1), views, len(photos))
            shown = np.where(rng.random(len(photos)) < PLAIN_SHARE, 0, varied)
            rows = photos * views + shown
        return rng.permutation(rows)

    def __len__(self) -> int:
        shown = len(self.features.photos)
        if self.phase == "feature_extraction":
            shown *= self.features.views
        return math.ceil(shown / self.batch_size)

    def of(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """The batches of an epoch: what is shown, labels `[n, classes]` and maybe weights `[n]`."""
        rows = self._rows(epoch)
        for start in range(0, len(rows), self.batch_size):
            yield self._batch(rows[start : start + self.batch_size])

    def _batch(self, rows: npt.NDArray[np.int64]) -> tuple[Any, ...]:
        features = self.features
        classes = features.classes[rows // features.views]
        shown: Any = features.pooled.take(rows)
        if self.phase == "fine_tuning":
            anchor = features.pooled.take(features.undamaged.ravel()[rows])
            shown = (features.boundary.take(rows), anchor)
        example = (shown, self.one_hot[classes])
        if self.weight_of_class is None:
            return example
        return (*example, self.weight_of_class[classes])


class FoldBatches(StoredBatches):
    """Batches for heads that each leave a fold out: none learns from the photos of its own.

    Args:
        features: what the frozen base said.
        fold_of: `[photos]`, the fold of each.
        left_out: `[heads]`, the fold that each does not see.
        class_count: length of a one-hot label.
        batch_size: rows a batch; the last one may be shorter.
        seed: decides the order.
    """

    def __init__(
        self,
        features: Features,
        fold_of: npt.NDArray[np.int64],
        left_out: npt.NDArray[np.int64],
        *,
        class_count: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(
            features,
            class_count=class_count,
            batch_size=batch_size,
            phase="feature_extraction",
            seed=seed,
        )
        self.fold_of, self.left_out = fold_of, left_out

    def _batch(self, rows: npt.NDArray[np.int64]) -> tuple[Any, ...]:
        shown, one_hot = super()._batch(rows)
        seen = self.fold_of[rows // self.features.views][:, np.newaxis] != self.left_out
        return shown, one_hot, seen.astype(np.float32)


def class_weights(classes: npt.NDArray[np.int64], class_count: int) -> npt.NDArray[np.float32]:
    """Weights that make every class count the same: `photos / (classes * photos of class)`.

    Args:
        classes: `[photos]`, each class at least once.
        class_count: how many classes there are.

    Returns:
        `float32 [classes]`, mean 1 over the photos.
    """
    counts = np.bincount(classes, minlength=class_count)
    return (len(classes) / (class_count * counts)).astype(np.float32)
