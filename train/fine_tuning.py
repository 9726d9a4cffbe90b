"""Fine-tuning: the released layers learn together with the head, from stored activations.

One step is written out - the loss, its gradient, Adam - and traced as one graph, which takes
a second less than `keras.Model.fit` does; a test holds the steps to Keras' own.

Imports TensorFlow at the top: import it only where training happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebee.train.adam import Adam
from edgebee.train.fused import FusedLayers
from edgebee.train.head import kept_features
from edgebee.train.history import Learned

__all__ = ["FineTuning"]

Floats = npt.NDArray[np.float32]


class FineTuning:
    """The released layers and a head on their pooled output, learning together.

    A few hundred photos are too few to learn from labels alone what blur or dusk does to
    features; the anchor says it in 1280 numbers a photo. Its pull is not in the loss that is
    reported, which stays the cross-entropy.

    Args:
        above: from `layers_above`, its layers released or frozen already; trained in place.
        head: kernel `[features, classes]` and bias `[classes]` to begin with.
        steps: how many there will be in all; the rate rises, then falls to 0 along a cosine.
        learning_rate: Adam's, at its highest.
        dropout: share of the features that the head does without in a step.
        anchor_weight: of the mean squared distance of the features from their anchor.
        seed: of the dropout; with the epoch it alone decides the draws.
        bfloat16: see `FusedLayers`.
    """

    def __init__(
        self,
        above: Any,
        head: Sequence[npt.NDArray[Any]],
        *,
        steps: int,
        learning_rate: float,
        dropout: float,
        anchor_weight: float,
        seed: int,
        bfloat16: bool = False,
    ) -> None:
        self.dropout, self.anchor_weight, self.seed = dropout, anchor_weight, seed
        self._layers = FusedLayers(above, bfloat16=bfloat16)
        self._head = [tf.Variable(weights) for weights in head]
        self._adam = Adam(
            [*(one.value for one in above.trainable_variables), *self._head],
            steps=steps,
            learning_rate=learning_rate,
        )
        boundary, features, classes = above.input_shape[1:], *head[0].shape
        self._take_step = _traced(
            self._step, (None, *boundary), (None, features), (None, classes), (None,),
            (None, features), (3,),
        )  # fmt: skip
        whole = FusedLayers(above)
        self._features = _traced(lambda entering: _pooled(whole(entering)), (None, *boundary))

    @property
    def weights(self) -> tuple[Floats, ...]:
        """The head as it is: kernel `[features, classes]` and bias `[classes]`."""
        return tuple(one.numpy() for one in self._head)

    def features(self, boundary: Floats) -> Floats:
        """Activations at the cut `[n, h, w, c]` -> pooled features `[n, features]`, in float32."""
        return np.asarray(self._features(boundary))

    def learn(self, batches: Iterable[tuple[Any, ...]], epoch: int) -> Learned:
        """Learn from every batch once.

        Args:
            batches: of (activations at the cut `[n, h, w, c]`, anchors `[n, features]`), labels
                `[n, classes]` in which one is 1 and the rest 0, and, if examples do not all
                count the same, weights `[n]`.
            epoch: number of the epoch.
        """
        rng = np.random.default_rng([self.seed, epoch, 1])  # 1: not the draws of the views
        examples, loss, right = 0, 0.0, 0.0
        for (boundary, anchor), one_hot, *weighted in batches:
            weight = weighted[0] if weighted else np.ones(len(one_hot), np.float32)
            kept = kept_features(anchor.shape, self.dropout, rng)
            rates = self._adam.next_rates()
            losses, hits = self._take_step(boundary, anchor, one_hot, weight, kept, rates)
            examples += len(one_hot)
            loss += float(losses)
            right += float(hits)
        return Learned(loss / examples, right / examples)

    def _step(
        self, boundary: Any, anchor: Any, one_hot: Any, weight: Any, kept: Any, rates: Any
    ) -> tuple[Any, Any]:
        """One step of Adam; the sum of the weighted losses, and how many were right."""
        kernel, bias = self._head
        with tf.GradientTape() as tape:
            features = _pooled(self._layers(boundary))
            logits = (features * kept) @ kernel + bias
            losses = weight * tf.nn.softmax_cross_entropy_with_logits(one_hot, logits)
            distance = tf.reduce_sum(tf.square(features - anchor), axis=1)
            objective = tf.reduce_mean(losses + self.anchor_weight * distance)
        self._adam.apply(tape.gradient(objective, self._adam.variables), rates)
        hits = tf.argmax(logits, axis=1) == tf.argmax(one_hot, axis=1)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.float32))

    def state(self) -> tuple[npt.NDArray[Any], ...]:
        """Everything that decides how learning goes on."""
        return self._adam.state()

    def restore(self, state: tuple[npt.NDArray[Any], ...]) -> None:
        """Go on from what `state` gave."""
        self._adam.restore(state)


def _pooled(activations: Any) -> Any:
    """`[n, h, w, c]` -> `[n, c]`."""
    return tf.reduce_mean(activations, axis=(1, 2))


def _traced(function: Any, *shapes: tuple[int | None, ...]) -> Any:
    """A function of `float32` tensors that is traced once, whatever the length of a batch is."""
    return tf.function(
        function,
        input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes],
        autograph=False,  # there is no Python control flow to rewrite
    )
