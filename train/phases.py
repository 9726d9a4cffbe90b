"""The two phases: feature extraction, then fine-tuning, both on stored activations.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edgebee.train.features import Activations, Features
from edgebee.train.history import Epoch, Phase
from edgebee.train.recipe import Recipe

__all__ = ["StoredBatches", "class_weights", "extract_head", "fine_tune"]


class StoredBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of stored activations, drawn anew in every epoch.

    Which views an epoch shows, and in which order, depends on the seed and the epoch alone,
    so that a training that was interrupted goes on exactly as it would have.

    Args:
        rows: the activations, row `photo * views + view`.
        features: where they come from (classes, which photos, how many views).
        class_count: length of a one-hot label.
        batch_size: rows a batch; the last one may be shorter.
        views_per_epoch: how many different views of each photo an epoch shows.
        seed: None keeps the order and shows view 0 alone, for validation.
        first_epoch: number of the first epoch to be drawn.
        weight_of_class: `[classes]`, how much an example counts in the loss.
    """

    def __init__(
        self,
        rows: Activations,
        features: Features,
        *,
        class_count: int,
        batch_size: int,
        views_per_epoch: int = 1,
        seed: int | None = None,
        first_epoch: int = 0,
        weight_of_class: npt.NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self.rows, self.features = rows, features
        self.one_hot = np.eye(class_count, dtype=np.float32)
        self.batch_size, self.views_per_epoch = batch_size, min(views_per_epoch, features.views)
        self.seed, self.epoch = seed, first_epoch
        self.weight_of_class = weight_of_class
        self.order = self._draw()

    def _draw(self) -> npt.NDArray[np.int64]:
        """Row numbers of this epoch, in the order they are shown."""
        photos, views = self.features.photos, self.features.views
        if self.seed is None:
            return photos * views
        rng = np.random.default_rng([self.seed, self.epoch])
        shown = np.concatenate(
            [photo * views + rng.permutation(views)[: self.views_per_epoch] for photo in photos]
        )
        return rng.permutation(shown)

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __getitem__(self, batch: int) -> tuple[npt.NDArray[np.float32], ...]:
        rows = self.order[batch * self.batch_size : (batch + 1) * self.batch_size]
        classes = self.features.classes[rows // self.features.views]
        example = (self.rows.take(rows), self.one_hot[classes])
        if self.weight_of_class is None:
            return example
        return (*example, self.weight_of_class[classes])

    def on_epoch_end(self) -> None:
        """Draw the next epoch."""
        self.epoch += 1
        self.order = self._draw()


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


def extract_head(
    training: Features,
    validation: Features,
    class_count: int,
    recipe: Recipe,
    weight_of_class: npt.NDArray[np.float32] | None = None,
) -> tuple[Any, list[Epoch]]:
    """Phase one, feature extraction: train the head on what the frozen base says.

    Args:
        training: features of the training photos.
        validation: features of the validation photos, one view each.
        class_count: how many classes there are.
        recipe: the settings.
        weight_of_class: `[classes]`, see `class_weights`.

    Returns:
        The head, a built `Dense` layer from features to one logit per class, and its epochs.
    """
    head = keras.layers.Dense(
        class_count, kernel_regularizer=keras.regularizers.L2(recipe.head_l2), name="head"
    )
    features = keras.Input(training.pooled.shape[1:], name="features")
    dropped = keras.layers.Dropout(recipe.dropout, name="dropout")(features)
    model = keras.Model(features, head(dropped), name="feature_extraction")
    batches = StoredBatches(
        training.pooled,
        training,
        class_count=class_count,
        batch_size=recipe.batch_size,
        views_per_epoch=recipe.views,
        seed=recipe.seed,
        weight_of_class=weight_of_class,
    )
    return head, _fit(
        model,
        batches,
        validation_batches(validation.pooled, validation, class_count, recipe),
        recipe,
        "feature_extraction",
    )


def fine_tune(
    above: Any,
    head: Any,
    training: Features,
    validation: Features,
    recipe: Recipe,
    weight_of_class: npt.NDArray[np.float32] | None = None,
) -> list[Epoch]:
    """Phase two, fine-tuning: train the released upper layers of the base with the head.

    Args:
        above: from `layers_above`, its layers released or frozen already; trained in place.
        head: from `extract_head`; trained in place.
        training: features of the training photos.
        validation: features of the validation photos, one view each.
        recipe: the settings.
        weight_of_class: `[classes]`, see `class_weights`.
    """
    class_count = head.units
    pooled = keras.layers.GlobalAveragePooling2D()(above.output)
    dropped = keras.layers.Dropout(recipe.dropout, name="dropout")(pooled)
    model = keras.Model(above.input, head(dropped), name="fine_tuning")
    batches = StoredBatches(
        training.boundary,
        training,
        class_count=class_count,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        first_epoch=recipe.epochs,
        weight_of_class=weight_of_class,
    )
    return _fit(
        model,
        batches,
        validation_batches(validation.boundary, validation, class_count, recipe),
        recipe,
        "fine_tuning",
    )


def validation_batches(
    rows: Activations, features: Features, class_count: int, recipe: Recipe
) -> StoredBatches:
    """The plain views in a fixed order."""
    return StoredBatches(rows, features, class_count=class_count, batch_size=recipe.batch_size)


def _fit(
    model: Any, batches: StoredBatches, validation: StoredBatches, recipe: Recipe, phase: Phase
) -> list[Epoch]:
    """Compile and fit one phase; Keras' progress goes to standard error."""
    fine_tuning = phase == "fine_tuning"
    first = recipe.epochs if fine_tuning else 0
    last = recipe.total_epochs if fine_tuning else recipe.epochs
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.fine_tune_learning_rate if fine_tuning else recipe.learning_rate,
        max(1, (last - first) * len(batches)),
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        weighted_metrics=[],
        metrics=["accuracy"],
    )
    recorder = _Recorder(phase, stop_after=last)
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(
            batches,
            validation_data=validation,
            initial_epoch=first,
            epochs=recipe.total_epochs,
            shuffle=False,
            verbose=1 if sys.stderr.isatty() else 2,
            callbacks=[recorder],
        )
    return recorder.epochs


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Records epochs, and ends a phase within the count of all epochs.

    Both phases are fitted as epochs of the whole training, so that Keras prints `Epoch k/15`.
    """

    def __init__(self, phase: Phase, stop_after: int) -> None:
        super().__init__()
        self.phase, self.stop_after = phase, stop_after
        self.epochs: list[Epoch] = []
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(
            Epoch(
                epoch=epoch + 1,
                phase=self.phase,
                loss=float(logs["loss"]),
                accuracy=float(logs["accuracy"]),
                val_loss=float(logs["val_loss"]),
                val_accuracy=float(logs["val_accuracy"]),
                seconds=time.perf_counter() - self.started,
            )
        )
        if epoch + 1 == self.stop_after:
            self.model.stop_training = True
