"""Fitting on stored features: a head alone, several heads at once, or released layers too.

Feature extraction, fine-tuning and cross-validation differ in what they learn from and in what
learns; the step is the same, with Keras' layers and Keras' Adam. Many steps are traced as one
graph: `keras.Model.fit` takes four times as long around the tiny steps of a head.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebee.train.batches import Examples

__all__ = ["Fit", "Measures", "bfloat16_products", "cosine_schedule", "multiplies_bfloat16"]

Floats = npt.NDArray[np.float32]

WARM_UP_SHARE = 0.1
"""Share of the steps of fine-tuning in which the learning rate rises."""
SCORING_BATCH_SIZE = 64
"""Photos that are scored at once: enough to keep the cores busy, 30 MB of activations."""
_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""How Linux names the instructions that multiply bfloat16 faster than float32."""


@dataclass(frozen=True)
class Measures:
    """Means over the examples of one epoch, while it was learned from."""

    loss: float
    """Cross-entropy, weighted."""
    accuracy: float
    """Share that was correct, not weighted, 0-1."""


class Fit:
    """Heads on pooled features, learning side by side, with the layers below them or without.

    A head starts from zeros: its loss is convex, so nothing has to break a symmetry.

    Args:
        feature_count: numbers in a pooled feature vector.
        class_count: how many classes there are.
        learning_rates: Adam's, at its highest, one for each head.
        steps: how many there will be; the rate falls to 0 over them, along a cosine.
        batch_size: examples in a step.
        dropout: share of the features that the heads do without in a step.
        seed: of the dropout.
        layers: Keras model from stored activations `[n, h, w, c]` to maps `[n, h', w', features]`
            whose trainable variables learn, too; None: what is stored are pooled features.
        distillation_weight: of the mean squared distance of the features from `Examples.targets`. A
            few hundred photos are too few to learn from labels alone what blur or dusk does to
            features. It is not in the loss that is reported, which stays the cross-entropy.
    """

    def __init__(
        self,
        feature_count: int,
        class_count: int,
        *,
        learning_rates: Sequence[float],
        steps: int,
        batch_size: int,
        dropout: float,
        seed: int,
        layers: Any = None,
        distillation_weight: float = 0.0,
    ) -> None:
        self.class_count, self.layers, self.batch_size = class_count, layers, batch_size
        self.dropout, self.seed = dropout, seed
        self.distillation_weight = distillation_weight
        heads = len(learning_rates)
        self.head = keras.layers.Dense(heads * class_count, kernel_initializer="zeros", name="head")
        """From features to logits, `[n, heads * classes]`."""
        self.head.build((None, feature_count))
        # Adam's steps do not depend on the size of a gradient: a factor on the logits is one on
        # the learning rate.
        self._factors = np.array(learning_rates, np.float32) / np.float32(learning_rates[0])
        self._trained = [*(layers.trainable_variables if layers else ()), *self.head.variables]
        schedule = cosine_schedule(learning_rates[0], steps, warm_up=layers is not None)
        self._adam = keras.optimizers.Adam(schedule)
        self._adam.build(self._trained)
        stored = layers.input_shape[1:] if layers else (feature_count,)
        shapes = {"stored": stored, "weights": (heads,), "targets": (feature_count,)}
        specs = {name: tf.TensorSpec((None, *shape), tf.float32) for name, shape in shapes.items()}
        signature = Examples(classes=tf.TensorSpec((None,), tf.int64), **specs)
        # Traced once, whatever the length of a batch; there is no Python control flow to rewrite.
        self._take_steps = tf.function(self._steps, input_signature=[*signature], autograph=False)
        with bfloat16_products(layers):
            self._take_steps.get_concrete_function()
        self._features = tf.function(
            self._pooled, input_signature=[specs["stored"]], autograph=False
        )

    def learn(self, epoch: Iterable[Examples]) -> Measures:
        """Take a step with every batch of an epoch."""
        count, loss, correct = 0, 0.0, 0.0
        for examples in epoch:
            losses, hits = self._take_steps(*examples)
            count += len(examples.classes)
            loss += float(losses)
            correct += float(hits)
        return Measures(loss / count, correct / count)

    def logits(self, stored: Iterable[Floats]) -> Floats:
        """Logits `[n, heads, classes]` of batches as in `Examples.stored`, without dropout."""
        return self.logits_of(self.features(stored))

    def features(self, stored: Iterable[Floats]) -> Floats:
        """Features `[n, features]` of batches as in `Examples.stored`."""
        tuned = self.layers is not None
        return np.concatenate([self._features(one).numpy() if tuned else one for one in stored])

    def logits_of(self, features: Floats) -> Floats:
        """Logits `[n, heads, classes]` of features `[n, features]`, without dropout."""
        kernel, bias = self.head.get_weights()
        logits = (features @ kernel + bias).reshape(len(features), -1, self.class_count)
        return np.asarray(logits * self._factors[:, np.newaxis], np.float32)

    def heads(self) -> tuple[Floats, Floats]:
        """Kernels `[heads, features, classes]` and biases `[heads, classes]`."""
        kernel, bias = (
            weights.reshape(*weights.shape[:-1], -1, self.class_count)
            * self._factors[:, np.newaxis]
            for weights in self.head.get_weights()
        )
        return np.moveaxis(kernel, 1, 0), bias

    def state(self) -> tuple[npt.NDArray[Any], ...]:
        """Everything that decides how learning goes on."""
        return tuple(np.asarray(one) for one in (*self._trained, *self._adam.variables))

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Go on from what `state` gave."""
        for variable, value in zip((*self._trained, *self._adam.variables), state, strict=True):
            variable.assign(value)

    def _pooled(self, stored: Any) -> Any:
        """Stored activations -> features `[n, features]`."""
        if self.layers is None:
            return stored
        # BatchNorm stays in inference mode.
        return tf.reduce_mean(self.layers(stored, training=False), axis=(1, 2))

    def _steps(self, stored: Any, classes: Any, weights: Any, targets: Any) -> tuple[Any, Any]:
        """A step with every `batch_size` examples; the sums of what `_step` gives."""

        def body(start: Any, losses: Any, hits: Any) -> tuple[Any, Any, Any]:
            rows = slice(start, start + self.batch_size)
            step = self._step(stored[rows], classes[rows], weights[rows], targets[rows])
            return start + self.batch_size, losses + step[0], hits + step[1]

        _, losses, hits = tf.while_loop(
            lambda start, *_: start < tf.shape(classes)[0], body, (0, 0.0, 0.0)
        )
        return losses, hits

    def _step(self, stored: Any, classes: Any, weights: Any, targets: Any) -> tuple[Any, Any]:
        """One step; the sum of the weighted losses, and how many were correct, mean of heads."""
        heads = len(self._factors)
        classes = tf.repeat(classes[:, tf.newaxis], heads, axis=1)
        draw = tf.stack(
            [tf.constant(self.seed, tf.int64), tf.cast(self._adam.iterations, tf.int64)]
        )
        with tf.GradientTape() as tape:
            features = self._pooled(stored)
            kept = tf.nn.experimental.stateless_dropout(features, self.dropout, draw)
            logits = tf.reshape(self.head(kept), (-1, heads, self.class_count))
            logits *= self._factors[:, np.newaxis]
            losses = weights * tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
            objective = tf.reduce_mean(tf.reduce_sum(losses, axis=1))
            if self.distillation_weight:
                distance = tf.reduce_sum(tf.square(features - targets), axis=1)
                objective += self.distillation_weight * tf.reduce_mean(distance)
        self._adam.apply(tape.gradient(objective, self._trained), self._trained)
        hits = tf.reduce_mean(tf.cast(tf.argmax(logits, axis=2) == classes, tf.float32), axis=1)
        return tf.reduce_sum(losses) / heads, tf.reduce_sum(hits)


def cosine_schedule(learning_rate: float, steps: int, *, warm_up: bool) -> Any:
    """Keras' schedule that falls to 0 along a cosine, after rising from 0 or at once.

    Args:
        learning_rate: at its highest.
        steps: how many there will be in all.
        warm_up: whether to rise over the first tenth of the steps.
    """
    if not warm_up:
        return keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    rising = max(1, round(WARM_UP_SHARE * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - rising), warmup_target=learning_rate, warmup_steps=rising
    )


@contextmanager
def bfloat16_products(model: Any) -> Iterator[None]:
    """What is traced within multiplies in bfloat16, where the processor has instructions for it.

    As usual in mixed precision (Micikevicius et al., "Mixed Precision Training", ICLR 2018):
    the factors of 1x1 convolutions are rounded, sums and variables stay float32.

    Args:
        model: of Keras, or None.
    """
    pointwise = [
        layer
        for layer in (model.layers if model is not None and multiplies_bfloat16() else ())
        if type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1)
    ]
    before = [layer.dtype_policy for layer in pointwise]
    try:
        for layer in pointwise:
            layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
        yield
    finally:
        for layer, policy in zip(pointwise, before, strict=True):
            layer.dtype_policy = policy


def multiplies_bfloat16(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether training runs on a processor that multiplies bfloat16 itself.

    Elsewhere factors stay whole: there is nothing to gain. A GPU takes its own way.
    """
    if not cpu_info.exists() or tf.config.list_physical_devices("GPU"):
        return False
    flags = next(
        (line for line in cpu_info.read_text().splitlines() if line.startswith("flags")), ""
    )
    return not _BFLOAT16_FLAGS.isdisjoint(flags.split())
