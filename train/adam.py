"""Adam over TensorFlow variables, written out: what fine-tuning and hardening step with.

Left to a Keras optimizer, the same step takes a second longer to trace, which on a few
hundred photos is as long as an epoch; a test holds the steps to Keras' own.

Imports TensorFlow at the top: import it only where training happens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgebee.train.head import EPSILON, FIRST_MOMENT_DECAY, SECOND_MOMENT_DECAY

__all__ = ["Adam"]

WARM_UP_SHARE = 0.1
"""Share of the steps in which the learning rate rises to the full one."""


class Adam:
    """Kingma and Ba, "Adam" (ICLR 2015), with a rate that rises, then falls along a cosine.

    Args:
        variables: that it changes.
        steps: how many there will be in all.
        learning_rate: at its highest.
    """

    def __init__(self, variables: Sequence[Any], *, steps: int, learning_rate: float) -> None:
        self.steps, self.learning_rate = steps, learning_rate
        self.step = 0
        self.variables = list(variables)
        self._first, self._second = (
            [tf.Variable(tf.zeros(one.shape), trainable=False) for one in self.variables]
            for _ in range(2)
        )

    def next_rates(self) -> npt.NDArray[np.float32]:
        """The learning rate of the next step, and both decays to the power of its number."""
        rising = max(1, round(WARM_UP_SHARE * self.steps))
        if self.step < rising:
            share = self.step / rising
        else:
            fallen = min((self.step - rising) / max(1, self.steps - rising), 1.0)
            share = (1 + math.cos(math.pi * fallen)) / 2
        self.step += 1
        rates = (
            self.learning_rate * share,
            FIRST_MOMENT_DECAY**self.step,
            SECOND_MOMENT_DECAY**self.step,
        )
        return np.array(rates, np.float32)

    def apply(self, gradients: Sequence[Any], rates: Any) -> None:
        """One step, to be traced.

        Args:
            gradients: of the objective, one for each variable.
            rates: from `next_rates`, as a tensor.
        """
        for variable, first, second, gradient in zip(
            self.variables, self._first, self._second, gradients, strict=True
        ):
            # In one operation for each variable.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=first.handle, v=second.handle, grad=gradient,
                lr=rates[0], beta1_power=rates[1], beta2_power=rates[2],
                beta1=FIRST_MOMENT_DECAY, beta2=SECOND_MOMENT_DECAY, epsilon=EPSILON,
            )  # fmt: skip

    def state(self) -> tuple[npt.NDArray[Any], ...]:
        """Everything that decides how learning goes on, the variables included."""
        every = (*self.variables, *self._first, *self._second)
        return (np.array(self.step), *(one.numpy() for one in every))

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Go on from what `state` gave."""
        self.step = int(state[0])
        every = (*self.variables, *self._first, *self._second)
        for variable, value in zip(every, state[1:], strict=True):
            variable.assign(value)
