"""The two phases: feature extraction, then fine-tuning, both on stored activations.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from edgebee.errors import TrainingError
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.run import Epoch, Phase
from edgebee.train.batches import StoredBatches
from edgebee.train.calibration import cross_entropy
from edgebee.train.checkpoint import Checkpoint
from edgebee.train.features import Features
from edgebee.train.fine_tuning import FineTuning
from edgebee.train.fused import multiplies_bfloat16
from edgebee.train.head import LinearHeads
from edgebee.train.recipe import Recipe

__all__ = ["TwoPhases"]

logger = logging.getLogger("edgebee.train")

RUNAWAY_LOSS = 1e4
"""Guessing among a million classes costs 14; a cross-entropy this high means divergence."""
SCORING_BATCH_SIZE = 64
"""Photos that are asked at once: enough to keep the cores busy, at most 30 MB of activations."""
MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
"""What is recorded of every epoch."""


class TwoPhases:
    """Trains a head, then the released layers with it, on stored features.

    Args:
        training: features of the training photos.
        validation: features of the validation photos, one view each.
        class_count: how many classes there are.
        recipe: the settings.
        learning_rate: of the head in feature extraction.
        weight_of_class: `[classes]`, see `class_weights`; None counts every photo the same.
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
        weight_of_class: npt.NDArray[np.float32] | None = None,
        save: Callable[[Checkpoint], None] = lambda checkpoint: None,
        resumed: Checkpoint | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> None:
        self.training, self.validation = training, validation
        self.class_count, self.recipe = class_count, recipe
        self.learning_rate = learning_rate
        self.weight_of_class = weight_of_class
        self.save, self.resumed, self.progress = save, resumed, progress
        self.epochs: list[Epoch] = list(resumed.epochs) if resumed else []
        self.head = self._new_head()
        """From features to one logit per class; trained in place."""
        self._logits: npt.NDArray[np.float32] | None = None
        self._tuning: FineTuning | None = None  # once fine-tuning has released layers

    def _new_head(self) -> Any:
        return keras.layers.Dense(
            self.class_count,
            kernel_initializer="zeros",  # convex, so nothing has to break a symmetry
            name="head",
        )

    def extract_head(self) -> None:
        """Phase one, feature extraction: the head learns what the frozen base says."""
        self.head.build((None, *self.training.pooled.shape[1:]))
        if self._recorded("fine_tuning"):
            return  # its weights come with the fine-tuning's
        recipe = self.recipe
        batches = self._batches("feature_extraction", recipe.batch_size)
        heads = LinearHeads(
            self.training.pooled.shape[1],
            self.class_count,
            steps=max(1, recipe.epochs) * len(batches),
            learning_rate=self.learning_rate,
            dropout=recipe.dropout,
            seed=recipe.seed,
        )
        self._learn("feature_extraction", heads, batches)

    def fine_tune(self, above: Any) -> None:
        """Phase two, fine-tuning: the released layers learn together with the head.

        Args:
            above: from `layers_above`, its layers released or frozen already; trained in place.
        """
        recipe = self.recipe
        batches = self._batches("fine_tuning", recipe.fine_tune_batch_size)
        plain_views = self.training.photos * self.training.views
        spread = float(self.training.pooled.take(plain_views).var(axis=0).sum())
        self._tuning = FineTuning(
            above,
            self.head.get_weights(),
            steps=recipe.fine_tune_epochs * len(batches),
            learning_rate=recipe.fine_tune_learning_rate,
            dropout=recipe.dropout,
            anchor_weight=recipe.anchor / max(spread, 1e-6),  # free of the features' scale
            seed=recipe.seed,
            bfloat16=multiplies_bfloat16(),
        )
        self._learn("fine_tuning", self._tuning, batches)

    def _recorded(self, phase: Phase) -> list[Epoch]:
        return [epoch for epoch in self.epochs if epoch.phase == phase]

    def _learn(
        self, phase: Phase, learning: LinearHeads | FineTuning, batches: StoredBatches
    ) -> None:
        """The epochs of a phase that are left; each is shown on standard error and recorded."""
        start, stop = (0, self.recipe.epochs)
        if phase == "fine_tuning":
            start, stop = (stop, self.recipe.total_epochs)
        if self.resumed and self._recorded(phase):
            learning.restore(self.resumed.variables)
            self.head.set_weights(learning.weights)
            start = self._recorded(phase)[-1].epoch
        for epoch in range(start, stop):
            if _out_of_patience(self._recorded(phase), self.recipe.patience):
                return
            started = time.perf_counter()
            learned = learning.learn(self._counted(batches, epoch), epoch)
            self.head.set_weights(learning.weights)
            logs = {"accuracy": learned.accuracy, "loss": learned.loss}
            self.record(phase, epoch, logs, started, learning.state())
            logger.info(describe_epoch(self.epochs[-1], self.recipe.total_epochs))

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Logits `[photos, classes]` of the readable validation photos, by the model as it is."""
        if self._logits is None:  # no epoch has run since the phases were made or resumed
            self._logits = self._validation_logits()
        return self._logits

    def _validation_logits(self) -> npt.NDArray[np.float32]:
        # From the stored activations: `float16` holds them to three digits, which moves a score
        # by less than 0.01, and nothing has to pass the frozen base again.
        rows = self.validation.photos * self.validation.views
        if self._tuning is None:
            features = self.validation.pooled.take(rows)
        else:
            boundary, tuning = self.validation.boundary, self._tuning
            batches = np.array_split(rows, math.ceil(len(rows) / SCORING_BATCH_SIZE))
            features = np.concatenate([tuning.features(boundary.take(rows)) for rows in batches])
        kernel, bias = self.head.get_weights()
        return np.asarray(features @ kernel + bias, np.float32)

    def record(
        self,
        phase: Phase,
        epoch: int,
        logs: dict[str, float],
        started: float,
        state: Sequence[npt.NDArray[Any]],
    ) -> None:
        """Ask the validation photos, note the epoch and save the state.

        Args:
            phase: that the epoch belongs to.
            epoch: from 0, counted through both phases.
            logs: `loss` and `accuracy` of the training; `val_loss` and `val_accuracy` are added.
            started: `time.perf_counter()` at the epoch's beginning.
            state: everything that decides how the phase goes on.

        Raises:
            TrainingError: the loss ran away.
        """
        self._logits = logits = self._validation_logits()
        classes = self.validation.classes[self.validation.photos]
        logs["val_accuracy"] = float((logits.argmax(axis=1) == classes).mean())
        logs["val_loss"] = cross_entropy(logits, classes)
        if not np.max([logs["loss"], logs["val_loss"]]) < RUNAWAY_LOSS:  # also when it is no number
            option = "--learning-rate"
            if phase == "fine_tuning":
                option = "--fine-tune-learning-rate"
            raise TrainingError(f"epoch {epoch + 1}: the loss ran away; take a lower {option}")
        seconds = time.perf_counter() - started
        measured = {name: float(logs[name]) for name in MEASURES}
        self.epochs.append(Epoch(epoch=epoch + 1, phase=phase, seconds=seconds, **measured))
        self.save(Checkpoint(tuple(self.epochs), tuple(state)))

    def _counted(self, batches: StoredBatches, epoch: int) -> Iterator[tuple[Any, ...]]:
        """The batches of an epoch, each reported as progress once it was learned from."""
        for place, batch in enumerate(batches.of(epoch)):
            yield batch
            task = f"epoch {epoch + 1}/{self.recipe.total_epochs}"
            self.progress(Progress(task, place + 1, len(batches), "step"))

    def _batches(self, phase: Phase, batch_size: int) -> StoredBatches:
        return StoredBatches(
            self.training,
            class_count=self.class_count,
            batch_size=batch_size,
            phase=phase,
            seed=self.recipe.seed,
            weight_of_class=self.weight_of_class,
        )


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
