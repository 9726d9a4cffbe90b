"""FusedAdam takes Keras' own steps, schedule included."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edgebee.train.adam import FusedAdam

STEPS = 12


def _model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3)]
    )


@pytest.mark.parametrize("rate", [0.01, keras.optimizers.schedules.CosineDecay(0.01, STEPS)])
def test_steps_are_those_of_keras(rate):
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(STEPS, 16, 6)), rng.normal(size=(STEPS, 16, 3))
    learned = []
    for optimizer in (keras.optimizers.Adam(rate), FusedAdam(rate)):
        model = _model()
        start = [weights.copy() for weights in model.get_weights()]
        model.compile(optimizer, "mean_squared_error", jit_compile=False)
        for features, target in zip(*batches, strict=True):
            model.train_on_batch(features, target)
        learned.append([*model.get_weights(), *(one.numpy() for one in optimizer.variables)])
        moved = [abs(a - b).max() for a, b in zip(start, learned[-1], strict=False)]
        assert min(moved) > 0.02, "twelve steps of up to 0.01"
    # The same formula in float32, its factors multiplied in another order.
    for ours, theirs in zip(*learned, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
