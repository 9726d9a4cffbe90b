"""The head: linear classifiers on stored features, learned without a framework.

Phase one is a softmax regression on 1280 numbers a view, in steps so small that a framework
spends most of the time around them. The loss, its gradient and Adam are written out here, and
a test holds them to Keras' own steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.train.calibration import softmax
from edgebee.train.history import Learned

__all__ = ["EPSILON", "FIRST_MOMENT_DECAY", "SECOND_MOMENT_DECAY", "LinearHeads", "kept_features"]

Floats = npt.NDArray[np.float32]

# Kingma and Ba, "Adam" (ICLR 2015), with the epsilon that Keras takes.
FIRST_MOMENT_DECAY, SECOND_MOMENT_DECAY, EPSILON = 0.9, 0.999, 1e-7


class LinearHeads:
    """One or more heads that learn side by side from the same batches.

    Every head starts from zeros: the loss is convex, so nothing has to break a symmetry.

    Args:
        feature_count: numbers in a feature vector.
        class_count: how many classes there are.
        heads: how many heads; each example may count differently for each.
        steps: how many there will be in all; the rate falls to 0 over them, along a cosine.
        learning_rate: Adam's, at the first step; one for all heads, or `[heads]`.
        dropout: share of the features that a step does without.
        seed: of the dropout; with the epoch it alone decides the draws.
    """

    def __init__(
        self,
        feature_count: int,
        class_count: int,
        *,
        heads: int = 1,
        steps: int,
        learning_rate: float | npt.NDArray[np.floating],
        dropout: float,
        seed: int,
    ) -> None:
        self.heads, self.class_count = heads, class_count
        self.steps = steps
        self.learning_rate = np.repeat(np.broadcast_to(learning_rate, heads), class_count)
        """`[heads * classes]`"""
        self.dropout, self.seed = dropout, seed
        self.step = 0
        outputs = heads * class_count
        self.weights = (
            np.zeros((feature_count, outputs), np.float32),
            np.zeros(outputs, np.float32),
        )
        """Kernel `[features, heads * classes]` and bias `[heads * classes]`."""
        self._first = tuple(np.zeros_like(one) for one in self.weights)
        self._second = tuple(np.zeros_like(one) for one in self.weights)

    def logits(self, features: Floats, heads: slice = slice(None)) -> Floats:
        """Features `[n, features]` -> logits `[n, heads, classes]`, of all heads or of some."""
        kernel, bias = (
            array.reshape(*array.shape[:-1], self.heads, self.class_count)[..., heads, :]
            for array in self.weights
        )
        flat = features @ kernel.reshape(len(kernel), -1) + bias.ravel()
        return flat.reshape(len(features), -1, self.class_count)

    def learn(self, batches: Iterable[tuple[Any, ...]], epoch: int) -> Learned:
        """Learn from every batch once.

        Args:
            batches: of features `[n, features]`, labels `[n, classes]` in which one is 1 and the
                rest 0, and, if examples do not all count the same, weights `[n]` or `[n, heads]`.
            epoch: number of the epoch.
        """
        rng = np.random.default_rng([self.seed, epoch])
        examples, loss, right = 0, 0.0, 0.0
        for features, one_hot, *weighted in batches:
            weight = weighted[0] if weighted else np.ones(len(features), np.float32)
            weight = weight.reshape(len(features), -1, 1)
            kept = features * kept_features(features.shape, self.dropout, rng)
            logits = self.logits(kept)
            scores = softmax(logits)
            target = one_hot[:, np.newaxis]
            of_right = np.maximum((scores * target).sum(axis=2, keepdims=True), 1e-30)
            loss -= float((np.log(of_right) * weight).sum()) / self.heads
            hits = logits.argmax(axis=2) == one_hot.argmax(axis=1)[:, np.newaxis]
            right += float(hits.sum()) / self.heads
            examples += len(features)
            # The gradient of the cross-entropy by the logits, of the mean over the batch.
            pull = ((scores - target) * weight / len(features)).astype(np.float32)
            pull = pull.reshape(len(features), -1)
            self._adam((kept.T @ pull, pull.sum(axis=0)))
        return Learned(loss / examples, right / examples)

    def _adam(self, gradients: tuple[Floats, Floats]) -> None:
        """One step of Adam, in place."""
        share = min(self.step / self.steps, 1.0)
        rate = self.learning_rate * (1 + math.cos(math.pi * share)) / 2
        self.step += 1
        rate *= math.sqrt(1 - SECOND_MOMENT_DECAY**self.step) / (1 - FIRST_MOMENT_DECAY**self.step)
        for arrays in zip(self.weights, self._first, self._second, gradients, strict=True):
            _step(*arrays, rate.astype(np.float32))

    def state(self) -> tuple[npt.NDArray[Any], ...]:
        """Everything that decides how learning goes on."""
        return (np.array(self.step), *self.weights, *self._first, *self._second)

    def restore(self, state: tuple[npt.NDArray[Any], ...]) -> None:
        """Go on from what `state` gave."""
        self.step = int(state[0])
        arrays = (*self.weights, *self._first, *self._second)
        for array, value in zip(arrays, state[1:], strict=True):
            array[:] = value


def _step(weights: Floats, first: Floats, second: Floats, gradient: Floats, rate: Floats) -> None:
    """One step of Adam for one array of weights, in place; `gradient` is used up.

    Every pass over the arrays costs as much as its arithmetic, so none is made anew but one.
    """
    first *= FIRST_MOMENT_DECAY
    scratch = gradient * np.float32(1 - FIRST_MOMENT_DECAY)
    first += scratch
    second *= SECOND_MOMENT_DECAY
    np.square(gradient, out=gradient)
    gradient *= np.float32(1 - SECOND_MOMENT_DECAY)
    second += gradient
    np.sqrt(second, out=scratch)
    scratch += np.float32(EPSILON)
    np.multiply(first, rate, out=gradient)
    gradient /= scratch
    weights -= gradient


def kept_features(shape: tuple[int, ...], dropout: float, rng: np.random.Generator) -> Floats:
    """Dropout as a factor: 0 for some features and above 1 for the others, mean 1.

    Args:
        shape: `[examples, features]`.
        dropout: share of the features that become 0, 0 or more and below 1.
        rng: decides which.
    """
    kept = rng.random(shape, np.float32) >= dropout
    return kept.astype(np.float32) / np.float32(1 - dropout)
