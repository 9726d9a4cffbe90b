"""Batches of stored activations: which views an epoch shows, and in which order.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edgebee.train.features import Features
from edgebee.train.history import Phase
from edgebee.train.recipe import Recipe
from edgebee.train.temperature import FOLDS

__all__ = ["FoldBatches", "StoredBatches", "class_weights"]

PLAIN_SHARE = 0.4
"""Share of the photos that an epoch of fine-tuning shows as they are."""


class StoredBatches(keras.utils.PyDataset):  # type: ignore[misc]
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
        epoch: number of the first epoch to be drawn.
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
        epoch: int = 0,
        weight_of_class: npt.NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self.features, self.phase = features, phase
        self.one_hot = np.eye(class_count, dtype=np.float32)
        self.batch_size = batch_size
        self.seed, self.epoch = seed, epoch
        self.weight_of_class = weight_of_class
        self.order = self._draw()

    def _draw(self) -> npt.NDArray[np.int64]:
        """Row numbers of this epoch, in the order they are shown."""
        photos, views = self.features.photos, self.features.views
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.phase == "feature_extraction":
            rows = (photos[:, np.newaxis] * views + np.arange(views)).ravel()
        else:
            varied = rng.integers(min(1, views - 1), views, len(photos))
            shown = np.where(rng.random(len(photos)) < PLAIN_SHARE, 0, varied)
            rows = photos * views + shown
        return rng.permutation(rows)

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __getitem__(self, batch: int) -> tuple[Any, ...]:
        features = self.features
        rows = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        classes = features.classes[rows // features.views]
        shown: Any = features.pooled.take(rows)
        if self.phase == "fine_tuning":
            anchor = features.pooled.take(features.undamaged.ravel()[rows])
            shown = {"boundary": features.boundary.take(rows), "anchor": anchor}
        example = (shown, self.one_hot[classes])
        if self.weight_of_class is None:
            return example
        return (*example, self.weight_of_class[classes])

    def on_epoch_end(self) -> None:
        """Draw the next epoch."""
        self.epoch += 1
        self.order = self._draw()


class FoldBatches(StoredBatches):
    """Batches for one head per fold: by weights `[rows, folds]`, none learns from its own."""

    def __init__(
        self, features: Features, fold_of: npt.NDArray[np.int64], class_count: int, recipe: Recipe
    ) -> None:
        super().__init__(
            features,
            class_count=class_count,
            batch_size=recipe.batch_size,
            phase="feature_extraction",
            seed=recipe.seed,
        )
        self.fold_of = fold_of

    def __getitem__(self, batch: int) -> tuple[Any, ...]:
        shown, one_hot = super().__getitem__(batch)
        rows = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        own = self.fold_of[rows // self.features.views][:, np.newaxis] == np.arange(FOLDS)
        return shown, one_hot, (~own).astype(np.float32)


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
