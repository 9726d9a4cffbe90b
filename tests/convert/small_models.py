"""The smallest Keras models, made in a moment."""

from __future__ import annotations

import keras
import numpy as np

SIZE = (32, 48, 3)


def sequential(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def classifier(classes=2):
    """The smallest honest classifier: mean colours to scores; of two, the second is light."""
    layers = keras.layers
    scores = layers.Dense(classes, activation="softmax")
    model = sequential(SIZE, layers.Rescaling(1 / 255), layers.GlobalAveragePooling2D(), scores)
    signs = np.where(np.arange(classes) % 2, 2.0, -2.0)
    scores.set_weights([np.tile(signs, (3, 1)), -1.5 * signs])
    return model


def dark_light_neither(quiet=1.0):
    """Mean colours to `dark`, `light` and, of what is green, `neither`.

    Args:
        quiet: how many times smaller than red and blue the lead of green is inside; int8, with one
            range for all channels, does not see what is a thousand times smaller.
    """
    layers = keras.layers
    spread, gather = layers.Conv2D(3, 1), layers.Conv2D(3, 1)
    scores = layers.Dense(3, activation="softmax")
    mean = layers.GlobalAveragePooling2D()
    model = sequential(SIZE, layers.Rescaling(1 / 255), spread, gather, mean, scores)
    lead = np.array([[1, 0, -0.5 / quiet], [0, 0, 1 / quiet], [0, 1, -0.5 / quiet]])
    spread.set_weights([lead[np.newaxis, np.newaxis], np.zeros(3)])
    gather.set_weights([np.diag([1, 1, quiet])[np.newaxis, np.newaxis], np.zeros(3)])
    # Grey of one half is undecided between the two; green by a seventh is as likely neither.
    rows = np.array([[-8.0, 8.0, 0.0], [-8.0, 8.0, 0.0], [0.0, 0.0, 40.0]])
    scores.set_weights([rows, np.array([8.0, -8.0, -6.0])])
    return model
