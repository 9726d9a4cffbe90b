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
