"""The two phases: feature extraction, then fine-tuning, both on stored activations.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebee.errors import TrainingError
from edgebee.train.adam import FusedAdam
from edgebee.train.batches import FoldBatches, StoredBatches
from edgebee.train.checkpoint import Checkpoint
from edgebee.train.features import Features
from edgebee.train.fused import FusedLayers, multiplies_bfloat16
from edgebee.train.head import LinearHeads
from edgebee.train.history import Epoch, Phase
from edgebee.train.recipe import Recipe
from edgebee.train.temperature import FOLDS, cross_entropy, stratified_folds

__all__ = ["TwoPhases"]

MOST_HELD_OUT_PHOTOS = 2_000
"""Held-out photos tell one temperature; more of them would only take longer."""
RUNAWAY_LOSS = 1e4
"""Guessing among a million classes costs 14; a cross-entropy this high means divergence."""
SCORING_BATCH_SIZE = 64
"""Photos that are asked at once: enough to keep the cores busy, at most 30 MB of activations."""
MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
"""What is recorded of every epoch."""
WARM_UP_SHARE = 0.1
"""Share of a fine-tuning's steps in which its learning rate rises to the full one."""


class TwoPhases:
    """Trains a head, then the released layers with it, on stored features.

    Args:
        training: features of the training photos.
        validation: features of the validation photos, one view each.
        class_count: how many classes there are.
        recipe: the settings.
        weight_of_class: `[classes]`, see `class_weights`; None counts every photo the same.
        save: called with the state after each epoch.
        resumed: the state to go on from.
    """

    def __init__(
        self,
        training: Features,
        validation: Features,
        class_count: int,
        recipe: Recipe,
        *,
        weight_of_class: npt.NDArray[np.float32] | None = None,
        save: Callable[[Checkpoint], None] = lambda checkpoint: None,
        resumed: Checkpoint | None = None,
    ) -> None:
        self.training, self.validation = training, validation
        self.class_count, self.recipe = class_count, recipe
        self.weight_of_class = weight_of_class
        self.save, self.resumed = save, resumed
        self.epochs: list[Epoch] = list(resumed.epochs) if resumed else []
        self.head = self._new_head()
        """From features to one logit per class; trained in place."""
        self._logits: npt.NDArray[np.float32] | None = None
        self._released: Any = None  # boundary -> features, once fine-tuning has released layers

    def _new_head(self) -> Any:
        return keras.layers.Dense(
            self.class_count,
            kernel_initializer="zeros",  # convex, so nothing has to break a symmetry
            name="head",
        )

    def extract_head(self) -> None:
        """Phase one, feature extraction: the head learns what the frozen base says."""
        self.head.build((None, *self.training.pooled.shape[1:]))
        if any(epoch.phase == "fine_tuning" for epoch in self.epochs):
            return  # its weights come with the fine-tuning's
        recipe, start = self.recipe, len(self.epochs)
        batches = self._batches("feature_extraction", start)
        learning = self._new_learning(len(batches))
        if self.resumed:
            learning.restore(self.resumed.variables)
            self.head.set_weights(learning.weights)
        for epoch in range(start, recipe.epochs):
            if _out_of_patience(self.epochs, recipe.patience):
                return
            started = time.perf_counter()
            shown = _Shown(epoch, recipe.total_epochs, len(batches))
            learned = learning.learn((batches[place] for place in range(len(batches))), epoch)
            batches.on_epoch_end()
            self.head.set_weights(learning.weights)
            logs = {"accuracy": learned.accuracy, "loss": learned.loss}
            self.record("feature_extraction", epoch, logs, started, learning.state())
            shown.finish(logs)

    def fine_tune(self, above: Any) -> None:
        """Phase two, fine-tuning: the released layers learn together with the head.

        Args:
            above: from `layers_above`, its layers released or frozen already; trained in place.
        """
        anchor = keras.Input(self.training.pooled.shape[1:], name="anchor")
        self._released = _traced(_pooled(above))
        pooled = _pooled(above, bfloat16=multiplies_bfloat16()).output
        plain_views = self.training.photos * self.training.views
        spread = float(self.training.pooled.take(plain_views).var(axis=0).sum())
        held = Anchored(self.recipe.anchor / max(spread, 1e-6))([pooled, anchor])
        logits = self.head(_dropout(self.recipe)(held))
        self._fit(keras.Model([above.input, anchor], logits, name="fine_tuning"))

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
        if self._released is None:
            features = self.validation.pooled.take(rows)
        else:
            batches = np.array_split(rows, math.ceil(len(rows) / SCORING_BATCH_SIZE))
            taken = [self._released(self.validation.boundary.take(batch)) for batch in batches]
            features = np.concatenate(taken)
        kernel, bias = self.head.get_weights()
        return np.asarray(features @ kernel + bias, np.float32)

    def held_out_logits(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Logits of training photos from heads that were not trained on them.

        The training photos are cut into folds; each fold's photos are asked of a head that
        learned from the others, on the frozen base. The heads learn side by side; an example
        counts nothing for the head of its own fold.

        Returns:
            Logits `[photos, classes]` of the plain views, and the right classes `[photos]`.
        """
        rng = np.random.default_rng(self.recipe.seed)
        photos = np.sort(rng.permutation(self.training.photos)[:MOST_HELD_OUT_PHOTOS])
        classes = self.training.classes[photos]
        fold_of = np.zeros(len(self.training.classes), np.int64)
        fold_of[photos] = stratified_folds(classes, FOLDS, self.recipe.seed)
        batches = FoldBatches(
            replace(self.training, photos=photos), fold_of, self.class_count, self.recipe
        )
        learning = self._new_learning(len(batches), heads=FOLDS)
        for epoch in range(max(1, self.recipe.epochs)):
            learning.learn((batches[place] for place in range(len(batches))), epoch)
            batches.on_epoch_end()
        every = learning.logits(self.training.pooled.take(photos * self.training.views))
        return every[np.arange(len(photos)), fold_of[photos]], classes

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

    def _new_learning(self, steps_per_epoch: int, heads: int = 1) -> LinearHeads:
        recipe = self.recipe
        (features,) = self.training.pooled.shape[1:]
        return LinearHeads(
            features,
            self.class_count,
            heads=heads,
            steps=max(1, recipe.epochs) * steps_per_epoch,
            learning_rate=recipe.learning_rate,
            dropout=recipe.dropout,
            seed=recipe.seed,
        )

    def _batches(self, phase: Phase, epoch: int) -> StoredBatches:
        recipe = self.recipe
        return StoredBatches(
            self.training,
            class_count=self.class_count,
            batch_size=(
                recipe.batch_size if phase == "feature_extraction" else recipe.fine_tune_batch_size
            ),
            phase=phase,
            seed=self.recipe.seed,
            epoch=epoch,
            weight_of_class=self.weight_of_class,
        )

    def _compile(self, model: Any, steps_per_epoch: int) -> None:
        """Adam with a rate that rises to the full one and then falls to 0 along a cosine."""
        recipe = self.recipe
        steps = recipe.fine_tune_epochs * steps_per_epoch
        rising = max(1, round(WARM_UP_SHARE * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, steps - rising),
            warmup_target=recipe.fine_tune_learning_rate,
            warmup_steps=rising,
        )
        model.compile(
            optimizer=FusedAdam(rate),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            # As an object: named by a string, it would be made while the step is traced, and
            # the step traced again for its sake.
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            weighted_metrics=[],
            jit_compile=False,  # on CPUs XLA's depthwise convolutions are several times slower
        )
        model.optimizer.build(model.trainable_variables)

    def _fit(self, model: Any) -> None:
        """Fit the released layers and the head; Keras' progress goes to standard error."""
        recipe = self.recipe
        done = [epoch for epoch in self.epochs if epoch.phase == "fine_tuning"]
        start = done[-1].epoch if done else recipe.epochs
        batches = self._batches("fine_tuning", epoch=start)
        self._compile(model, len(batches))
        if self.resumed and done:
            _restore(model, self.resumed)
        if start == recipe.total_epochs or _out_of_patience(done, recipe.patience):
            return
        with contextlib.redirect_stdout(sys.stderr):
            model.fit(
                batches,
                initial_epoch=start,
                epochs=recipe.total_epochs,
                shuffle=False,
                verbose=_verbosity(),
                callbacks=[_Recorder(self)],
            )


class Anchored(keras.layers.Layer):  # type: ignore[misc]
    """Holds features to what the frozen base said of the same picture without damage.

    A few hundred photos are too few to learn from labels alone what blur or dusk does to
    features; the undamaged view says it in 1280 numbers a photo. Passes the features on as
    they are and adds the gradient of `weight * mean(sum((features - anchor)^2))` on the way
    back, so that the loss that is reported stays the cross-entropy.

    Args:
        weight: of the term; dividing by the features' variance makes it free of their scale.
    """

    def __init__(self, weight: float) -> None:
        super().__init__(name="anchored")
        self.weight = weight

    def call(self, inputs: Any) -> Any:
        """`[features, anchor]`, `float32 [N, C]` each -> the features as they are."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def hold(features: Any, anchor: Any) -> Any:
            def gradient(above: Any) -> Any:
                count = tf.cast(tf.shape(features)[0], tf.float32)
                pull = 2 * self.weight * (features - anchor) / count
                return above + pull, tf.zeros_like(anchor)

            return tf.identity(features), gradient

        return hold(*inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the features'."""
        return input_shape[0]


def _pooled(above: Any, *, bfloat16: bool = False) -> Any:
    """From the boundary to features, by fused layers."""
    released = FusedLayers(above, bfloat16=bfloat16)(above.input)
    return keras.Model(above.input, keras.layers.GlobalAveragePooling2D()(released))


def _traced(model: Any) -> Any:
    """A model as a function of `float32 [N, ...]` that is traced once, whatever N is."""

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)],
        autograph=False,  # there is no Python control flow to rewrite
    )
    def run(entering: Any) -> Any:
        return model(entering, training=False)

    return run


def _dropout(recipe: Recipe) -> Any:
    """Dropout whose draws follow from the seed, whatever ran before."""
    return keras.layers.Dropout(recipe.dropout, seed=(2 * recipe.seed + 1) % 2**32, name="dropout")


def _state(model: Any) -> list[Any]:
    """Every variable that decides how the training goes on, in a fixed order."""
    return [*model.variables, *model.optimizer.variables]


def _restore(model: Any, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's values into the model and its optimizer."""
    for variable, value in zip(_state(model), checkpoint.variables, strict=True):
        variable.assign(value)


def _out_of_patience(epochs: list[Epoch], patience: int | None) -> bool:
    """Whether the validation loss has not improved for `patience` epochs of this phase."""
    if patience is None or not epochs:
        return False
    losses = [epoch.val_loss for epoch in epochs]
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def _verbosity() -> int:
    """Keras' word for a bar on a terminal (1) or a line an epoch (2)."""
    return 1 if sys.stderr.isatty() else 2


class _Shown:
    """One epoch on standard error, in Keras' own words.

    Args:
        epoch: from 0.
        epochs: of the whole training.
        steps: in this epoch.
    """

    def __init__(self, epoch: int, epochs: int, steps: int) -> None:
        print(f"Epoch {epoch + 1}/{epochs}", file=sys.stderr)
        self.steps = steps
        self.bar = keras.utils.Progbar(steps, verbose=_verbosity(), unit_name="step")

    def finish(self, logs: dict[str, float]) -> None:
        """Show what was measured."""
        with contextlib.redirect_stdout(sys.stderr):
            self.bar.update(self.steps, list(logs.items()), finalize=True)


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the epochs of fine-tuning, and ends it when patience does.

    Fitted as epochs of the whole training, so that Keras prints `Epoch k/15`; what `record`
    puts into `logs` is printed with the rest.
    """

    def __init__(self, phases: TwoPhases) -> None:
        super().__init__()
        self.phases = phases
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        state = [np.asarray(variable.value) for variable in _state(self.model)]
        self.phases.record("fine_tuning", epoch, logs, self.started, state)
        tuned = [one for one in self.phases.epochs if one.phase == "fine_tuning"]
        self.model.stop_training = _out_of_patience(tuned, self.phases.recipe.patience)
