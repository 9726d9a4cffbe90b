"""The two phases: feature extraction, then fine-tuning, both on stored activations.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebee.errors import TrainingError
from edgebee.train.batches import FoldBatches, StoredBatches
from edgebee.train.checkpoint import Checkpoint
from edgebee.train.features import Features
from edgebee.train.fused import FusedLayers
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
        self._released: Any = None  # boundary -> features, once fine-tuning has released layers

    def _new_head(self) -> Any:
        return keras.layers.Dense(
            self.class_count,
            kernel_initializer="zeros",  # convex, so nothing has to break a symmetry
            name="head",
        )

    def extract_head(self) -> None:
        """Phase one, feature extraction: the head learns what the frozen base says."""
        if any(epoch.phase == "fine_tuning" for epoch in self.epochs):
            self.head.build((None, *self.training.pooled.shape[1:]))
            return  # its weights come with the fine-tuning's
        self._fit(_head_model(self.head, self.training, self.recipe), "feature_extraction")

    def fine_tune(self, above: Any) -> None:
        """Phase two, fine-tuning: the released layers learn together with the head.

        Args:
            above: from `layers_above`, its layers released or frozen already; trained in place.
        """
        anchor = keras.Input(self.training.pooled.shape[1:], name="anchor")
        pooled = keras.layers.GlobalAveragePooling2D()(FusedLayers(above)(above.input))
        self._released = _traced(keras.Model(above.input, pooled))
        plain_views = self.training.photos * self.training.views
        spread = float(self.training.pooled.take(plain_views).var(axis=0).sum())
        held = Anchored(self.recipe.anchor / max(spread, 1e-6))([pooled, anchor])
        logits = self.head(_dropout(self.recipe, 1)(held))
        self._fit(keras.Model([above.input, anchor], logits, name="fine_tuning"), "fine_tuning")

    def validation_logits(self) -> npt.NDArray[np.float32]:
        """Logits `[photos, classes]` of the readable validation photos, by the model as it is.

        From the stored activations: `float16` holds them to three digits, which moves a score
        by less than 0.01, and nothing has to pass the frozen base again.
        """
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
        learned from the others, on the frozen base. The heads are trained at once, as one
        layer in which an example counts nothing for the head of its own fold.

        Returns:
            Logits `[photos, classes]` of the plain views, and the right classes `[photos]`.
        """
        rng = np.random.default_rng(self.recipe.seed)
        photos = np.sort(rng.permutation(self.training.photos)[:MOST_HELD_OUT_PHOTOS])
        classes = self.training.classes[photos]
        fold_of = np.zeros(len(self.training.classes), np.int64)
        fold_of[photos] = stratified_folds(classes, FOLDS, self.recipe.seed)
        heads = keras.layers.Dense(FOLDS * self.class_count, kernel_initializer="zeros")
        model = _head_model(heads, self.training, self.recipe)
        logits = keras.layers.Reshape((FOLDS, self.class_count))(model.output)
        model = keras.Model(model.input, logits)
        batches = FoldBatches(
            replace(self.training, photos=photos), fold_of, self.class_count, self.recipe
        )
        self._compile(model, "feature_extraction", len(batches))
        model.fit(batches, epochs=max(1, self.recipe.epochs), shuffle=False, verbose=0)
        kernel, bias = heads.get_weights()
        every = self.training.pooled.take(photos * self.training.views) @ kernel + bias
        of_fold = every.reshape(len(photos), FOLDS, self.class_count)
        return of_fold[np.arange(len(photos)), fold_of[photos]], classes

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

    def _compile(self, model: Any, phase: Phase, steps_per_epoch: int) -> None:
        """Adam with a rate that falls to 0 along a cosine; fine-tuning's rises first."""
        recipe = self.recipe
        decay = keras.optimizers.schedules.CosineDecay
        if phase == "feature_extraction":
            rate = decay(recipe.learning_rate, max(1, recipe.epochs * steps_per_epoch))
        else:
            steps = recipe.fine_tune_epochs * steps_per_epoch
            rising = max(1, round(WARM_UP_SHARE * steps))
            rate = decay(
                0.0,
                max(1, steps - rising),
                warmup_target=recipe.fine_tune_learning_rate,
                warmup_steps=rising,
            )
        model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            # As an object: named by a string, it would be made while the step is traced, and
            # the step traced again for its sake.
            metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
            weighted_metrics=[],
            jit_compile=False,  # on CPUs XLA's depthwise convolutions are several times slower
        )
        model.optimizer.build(model.trainable_variables)

    def _fit(self, model: Any, phase: Phase) -> None:
        """Fit one phase; Keras' progress goes to standard error."""
        recipe = self.recipe
        first, last = 0, recipe.epochs
        if phase == "fine_tuning":
            first, last = recipe.epochs, recipe.total_epochs
        done = [epoch for epoch in self.epochs if epoch.phase == phase]
        start = done[-1].epoch if done else first
        batches = self._batches(phase, epoch=start)
        self._compile(model, phase, len(batches))
        if self.resumed and self.resumed.epochs[-1].phase == phase:
            _restore(model, self.resumed)
        if start == last or _out_of_patience(done, recipe.patience):
            return
        with contextlib.redirect_stdout(sys.stderr):
            model.fit(
                batches,
                initial_epoch=start,
                epochs=recipe.total_epochs,
                shuffle=False,
                verbose=1 if sys.stderr.isatty() else 2,
                callbacks=[_Recorder(self, phase, last)],
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


def _traced(model: Any) -> Any:
    """A model as a function of `float32 [N, ...]` that is traced once, whatever N is."""

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    )
    def run(entering: Any) -> Any:
        return model(entering, training=False)

    return run


def _head_model(head: Any, training: Features, recipe: Recipe) -> Any:
    """Features to logits, with dropout before the head."""
    features = keras.Input(training.pooled.shape[1:], name="features")
    return keras.Model(features, head(_dropout(recipe, 0)(features)), name="feature_extraction")


def _dropout(recipe: Recipe, phase: int) -> Any:
    """Dropout whose draws follow from the seed, whatever ran before."""
    return keras.layers.Dropout(
        recipe.dropout, seed=(2 * recipe.seed + phase) % 2**32, name="dropout"
    )


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


class _Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Asks the validation photos, records epochs, saves the state, and ends a phase.

    Both phases are fitted as epochs of the whole training, so that Keras prints `Epoch k/15`;
    what is put into `logs` is printed with the rest.
    """

    def __init__(self, phases: TwoPhases, phase: Phase, last: int) -> None:
        super().__init__()
        self.phases, self.phase, self.last = phases, phase, last
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        recorded = self.phases.epochs
        logs["val_loss"], logs["val_accuracy"] = self._validate()
        if not np.max([logs["loss"], logs["val_loss"]]) < RUNAWAY_LOSS:  # also when it is no number
            option = "--learning-rate"
            if self.phase == "fine_tuning":
                option = "--fine-tune-learning-rate"
            raise TrainingError(f"epoch {epoch + 1}: the loss ran away; take a lower {option}")
        recorded.append(
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
        variables = tuple(np.asarray(variable.value) for variable in _state(self.model))
        self.phases.save(Checkpoint(tuple(recorded), variables))
        of_phase = [one for one in recorded if one.phase == self.phase]
        if epoch + 1 == self.last or _out_of_patience(of_phase, self.phases.recipe.patience):
            self.model.stop_training = True

    def _validate(self) -> tuple[float, float]:
        """Cross-entropy and accuracy on the validation photos."""
        validation = self.phases.validation
        logits = self.phases.validation_logits()
        classes = validation.classes[validation.photos]
        return cross_entropy(logits, classes), float((logits.argmax(axis=1) == classes).mean())
