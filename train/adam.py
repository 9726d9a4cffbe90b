"""Adam, each variable updated by one operation.

Keras composes the step of a dozen operations for each variable, all of which have to be traced
before the first step and started in every step. TensorFlow has the same step as one kernel.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["FusedAdam"]


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras' Adam with its variables and its formula (Kingma and Ba, ICLR 2015), fused.

    For `float32` variables in one place: no distribution, no AMSGrad.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step for one variable.

        Args:
            gradient: of the loss by the variable, of its shape.
            variable: a TensorFlow variable, changed in place.
            learning_rate: a scalar.
        """
        place = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
