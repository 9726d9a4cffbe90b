"""Keras models that int8 breaks in a known way, and pictures for them.

Every model tells pictures with more red from those with more blue, by the mean colour. Keras
has every one of them right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

SIZE_PX = 32
LABELS = ("blue", "red")

layers = keras.layers


def smooth_picture(rng: np.random.Generator, colour: tuple[float, float, float], contrast=40):
    """`uint8 [40, 50, 3]`: soft spots around a colour, as light falls on a surface."""
    coarse = rng.normal(0, contrast, (5, 6, 1)) + np.array(colour)
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
    return np.asarray(image.resize((50, 40), Image.Resampling.BICUBIC))


def write_photos(folder: Path, per_class: int, *, seed: int = 0) -> Path:
    """Class folders of pictures whose red and blue differ by 8 to 40 levels."""
    rng = np.random.default_rng(seed)
    for label, sign in zip(LABELS, (-1, 1), strict=True):
        (folder / label).mkdir(parents=True)
        for number, lead in enumerate(np.linspace(4, 20, per_class)):
            colour = (128 + sign * lead, 128.0, 128 - sign * lead)
            Image.fromarray(smooth_picture(rng, colour)).save(folder / label / f"{number:03}.png")
    return folder


def red_or_blue(
    *, loud: float = 0.0, spikes: float = 0.0, stages: int = 1, wide: bool = False
) -> Any:
    """A model whose inner tensors are hard on int8.

    Args:
        loud: a channel of so many times the others' values goes along unused: with one range for
            all channels, the others fall between two steps.
        spikes: the brightness beyond white's last level is multiplied by so much, in a channel
            that is unused too: one pixel of a photo in white makes the range that wide.
        stages: the loud channel goes through so many layers.
        wide: a dense layer of 6147 weights follows, large enough for `dynamic` to quantize it.
    """
    pixels = keras.Input((SIZE_PX, SIZE_PX, 3))
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(4, 1, activation="relu", name="spread")(x)
    for stage in range(stages):
        x = layers.Conv2D(4, 1, activation="relu", name=f"stage_{stage}")(x)
    x = layers.Conv2D(3, 1, activation="relu", name="gather")(x)
    x = layers.GlobalAveragePooling2D()(x)
    if wide:
        x = layers.Dense(3 * 683, use_bias=False, name="wide")(x)
    model = keras.Model(pixels, layers.Dense(2, activation="softmax", name="head")(x))

    kernel = np.zeros((1, 1, 3, 4), np.float32)
    kernel[0, 0, :, :3] = np.eye(3)
    bias = np.zeros(4, np.float32)
    if spikes:
        kernel[0, 0, :, 3], bias[3] = spikes / 3, -spikes * 0.99
    else:
        kernel[0, 0, :, 3] = loud / 3
    model.get_layer("spread").set_weights([kernel, bias])
    through = np.eye(4, dtype=np.float32)[np.newaxis, np.newaxis]
    for stage in range(stages):
        model.get_layer(f"stage_{stage}").set_weights([through, np.zeros(4, np.float32)])
    gather = np.zeros((1, 1, 4, 3), np.float32)
    gather[0, 0, :3] = np.eye(3)
    model.get_layer("gather").set_weights([gather, np.zeros(3, np.float32)])
    head = np.array([[-60, 60], [0, 0], [60, -60]], np.float32)
    if wide:
        model.get_layer("wide").set_weights([np.tile(np.eye(3, dtype=np.float32), 683)])
        head = np.tile(head, (683, 1)) / 683
    model.get_layer("head").set_weights([head, np.zeros(2, np.float32)])
    return model
