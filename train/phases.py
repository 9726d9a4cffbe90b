"""The two phases: feature extraction, then fine-tuning, both on stored features.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.errors import TrainingError
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.run import Epoch, Phase
from edgebee.train.batches import Batches, Examples, StrangerExamples
from edgebee.train.calibration import cross_entropy
from edgebee.train.checkpoint import Checkpoint
from edgebee.train.features import Features
from edgebee.train.fit import SCORING_BATCH_SIZE, Fit, Measures
from edgebee.train.recipe import Recipe

__all__ = ["TwoPhases", "describe_epoch"]

logger = logging.getLogger("edgebee.train")

RUNAWAY_LOSS = 1e4
"""Guessing among a million classes costs 14; a cross-entropy this high means divergence."""

MOST_FOR_SPREAD = 20_000
"""Photos whose features show how far features lie apart; they are in memory together."""


class TwoPhases:
    """Trains a head, then the released layers with it.

    Args:
        training: features of the training photos.
        validation: features of the validation photos as they are.
        class_count: how many classes there are.
        recipe: the settings.
        learning_rate: of the head in feature extraction.
        class_weights: `[classes]`, how much an example counts in the loss.
        save: called with the state after each epoch.
        resumed: the state to go on from.
        progress: called with the steps of every epoch.
    """

    def __init__(
        self,
        training: Features,
        validation: Features,
        class_count: int,
        recipe: Recipe,
        *,
        learning_rate: float,
        class_weights: npt.NDArray[np.float32],
        save: Callable[[Checkpoint], None] = lambda checkpoint: None,
        resumed: Checkpoint | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> None:
        self.training, self.validation = training, validation
        self.class_count, self.recipe = class_count, recipe
        self.learning_rate = learning_rate
        self.example_weights = class_weights[training.classes][:, np.newaxis]
        self.save, self.resumed, self.progress = save, resumed, progress
        self._features: npt.NDArray[np.float32] | None = None
        self.epochs: list[Epoch] = list(resumed.epochs) if resumed else []

    def extract_head(self) -> None:
        """Phase one, feature extraction: the head learns on the features of the frozen base."""
        recipe = self.recipe
        batches = self._batches("feature_extraction", recipe.batch_size)
        self.fit = self._fit(
            batches, max(1, recipe.epochs), self.learning_rate, class_count=self.class_count
        )
        if not self._recorded("fine_tuning"):  # else the head comes with the fine-tuning's
            self._learn(batches, range(recipe.epochs))

    def fine_tune(self, layers: Any, strangers: StrangerExamples | None = None) -> None:
        """Phase two, fine-tuning: the released layers learn together with the head.

        Args:
            layers: from `layers_above`, released or frozen already; trained in place.
            strangers: learned as one class more: what is around a subject decides less then,
                also between the classes.
        """
        recipe = self.recipe
        kernel, bias = self.weights
        if strangers is not None:
            kernel = np.column_stack([kernel, strangers.kernel])
            bias = np.append(bias, np.float32(strangers.bias))
        batches = replace(
            self._batches("fine_tuning", recipe.fine_tune_batch_size), strangers=strangers
        )
        photos = self.training.photos
        some = photos[:: math.ceil(len(photos) / MOST_FOR_SPREAD)]
        plain = some * self.training.augmentations
        spread = float(self.training.pooled.take(plain).var(axis=0).sum())
        self.fit = self._fit(
            batches,
            recipe.fine_tune_epochs,
            recipe.fine_tune_learning_rate,
            class_count=len(bias),
            layers=layers,
            # Free of the features' scale.
            distillation_weight=recipe.feature_distillation / max(spread, 1e-6),
        )
        self.fit.head.set_weights([kernel, bias])
        self._learn(batches, range(recipe.epochs, recipe.total_epochs))

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Logits `[photos, classes]` of the readable validation photos, by the model as it is."""
        return self.fit.logits_of(self.features)[:, 0, : self.class_count]

    @property
    def features(self) -> npt.NDArray[np.float32]:
        """Features `[photos, features]` of the readable validation photos, likewise."""
        if self._features is None:  # no epoch has run since the training was resumed
            self._features = self._extract()
        return self._features

    @property
    def weights(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Kernel `[features, labels]` and bias `[labels]` of the head as it is.

        The labels are the classes, and after fine-tuning with strangers one for them.
        """
        kernel, bias = self.fit.head.get_weights()
        return kernel, bias

    def _extract(self) -> npt.NDArray[np.float32]:
        """The features of the validation photos.

        From the stored activations: `float16` holds them to three digits, which moves a score by
        less than 0.01, and nothing has to pass the frozen base again.
        """
        tuned = self.fit.layers is not None
        stored = self.validation.boundary if tuned else self.validation.pooled
        rows = self.validation.photos * self.validation.augmentations
        batches = np.array_split(rows, math.ceil(len(rows) / SCORING_BATCH_SIZE))
        return self.fit.features(stored.take(rows) for rows in batches)

    def _fit(
        self,
        batches: Batches,
        epochs: int,
        learning_rate: float,
        *,
        class_count: int,
        **settings: Any,
    ) -> Fit:
        return Fit(
            self.training.pooled.shape[1],
            class_count,
            learning_rates=[learning_rate],
            steps=epochs * batches.steps,
            batch_size=batches.batch_size,
            dropout=self.recipe.dropout,
            seed=self.recipe.seed,
            **settings,
        )

    def _batches(self, phase: Phase, batch_size: int) -> Batches:
        return Batches(self.training, phase, batch_size, self.recipe.seed, self.example_weights)

    def _recorded(self, phase: Phase) -> list[Epoch]:
        return [epoch for epoch in self.epochs if epoch.phase == phase]

    def _learn(self, batches: Batches, epochs: range) -> None:
        """The epochs of a phase that are left; each is recorded, logged and saved."""
        recorded = self._recorded(batches.phase)
        if self.resumed and recorded:
            self.fit.restore(self.resumed.variables)
            epochs = range(recorded[-1].epoch, epochs.stop)
        for epoch in epochs:
            if _out_of_patience(self._recorded(batches.phase), self.recipe.patience):
                return
            started = time.perf_counter()
            measures = self.fit.learn(self._counted(batches, epoch))
            self._record(batches.phase, epoch, measures, started)

    def _counted(self, batches: Batches, epoch: int) -> Iterator[Examples]:
        """The examples of an epoch, reported as progress once they were learned from."""
        task, done = f"epoch {epoch + 1}/{self.recipe.total_epochs}", 0
        for examples in batches.of(epoch):
            yield examples
            done += len(examples.classes)
            self.progress(Progress(task, done, batches.images, "image"))

    def _record(self, phase: Phase, epoch: int, measures: Measures, started: float) -> None:
        """Score the validation photos, note the epoch and save the state.

        Raises:
            TrainingError: the loss ran away.
        """
        self._features = self._extract()
        logits = self.logits
        classes = self.validation.classes[self.validation.photos]
        losses = measures.loss, cross_entropy(logits, classes)
        if not max(losses) < RUNAWAY_LOSS or not np.isfinite(losses).all():
            option = "--learning-rate" if phase == "feature_extraction" else _TUNING_RATE
            raise TrainingError(f"epoch {epoch + 1}: the loss ran away; take a lower {option}")
        self.epochs.append(
            Epoch(
                epoch=epoch + 1,
                phase=phase,
                loss=measures.loss,
                accuracy=measures.accuracy,
                val_loss=losses[1],
                val_accuracy=float((logits.argmax(axis=1) == classes).mean()),
                seconds=time.perf_counter() - started,
            )
        )
        logger.info(describe_epoch(self.epochs[-1], self.recipe.total_epochs))
        self.save(Checkpoint(tuple(self.epochs), self.fit.state()))


_TUNING_RATE = "--fine-tune-learning-rate"


def _out_of_patience(epochs: list[Epoch], patience: int | None) -> bool:
    """Whether the validation loss has not improved for `patience` epochs of this phase."""
    if patience is None or not epochs:
        return False
    losses = [epoch.val_loss for epoch in epochs]
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def describe_epoch(epoch: Epoch, total: int) -> str:
    """An epoch in a line of at most 80 columns."""
    return (
        f"Epoch {epoch.epoch}/{total}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.3f}  "
        f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.3f}"
    )
