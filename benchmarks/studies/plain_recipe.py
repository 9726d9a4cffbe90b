"""The plain recipe: two-phase training as an ordinary Keras loop, to compare with.

Photos squashed to a square and pushed through the whole base in every epoch, from Keras' ImageNet
weights as they were published, with a convolution of 32 filters in the head, as tutorials of
MobileNetV2 for small devices have it. The published course of this recipe on hymenoptera: training
accuracy .853 in the first epoch and .955 in the second, 145 of 153 validation photos correct after
the first epoch and 146 at the end. What seeds 0, 1 and 2 gave with Adam at 1e-3: accuracy of the
first epoch; of the second; validation photos after the first epoch; at the end:

- as here: .852 .672 .742; .975 .832 .918; 144 116 118; 145 143 146

And, with the dataset's one file that shows no insect as a 245th photo:

- the same: .853 .682 .816; .988 .865 .988; 145 117 140; 146 143 147
- flipped at random (seeds 0, 1): .890 .633; .992 .837; 138 127; 143 143
- only pooling, dropout and a dense layer as the head: .649 .718 .653; .890 .927 .922; 123 141 137;
  143 145 144 before fine-tuning
- a hidden dense layer of 128: .861 .845 .800; .976 .971 .947; 140 144 139; 145 144 143 before it

Imports TensorFlow at the top.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = ["PlainTraining", "predict_plainly", "train_plainly"]

SIDE_PX = 224
BATCH_SIZE = 32
EPOCHS, FINE_TUNE_EPOCHS, FINE_TUNE_AT = 10, 5, 100
LEARNING_RATE, FINE_TUNE_LEARNING_RATE = 1e-3, 1e-5


@dataclass(frozen=True)
class PlainTraining:
    """A finished plain training."""

    model: Any
    """Keras: `float32 [N, 224, 224, 3]` in 0..255 -> logits `[N, classes]`."""
    seconds: float
    """Building the model and training it; imports are not in it."""
    accuracy: tuple[float, ...]
    """Of each epoch, on the training photos while it learned from them, 0-1."""
    val_accuracy: tuple[float, ...]


def train_plainly(
    train: tuple[Sequence[Path], Sequence[int]],
    validation: tuple[Sequence[Path], Sequence[int]],
    class_count: int,
    *,
    weights: Path,
    seed: int,
) -> PlainTraining:
    """Train on paths and class indices.

    Args:
        train: paths of photos that TensorFlow can decode, and the class index of each.
        validation: the same for validation.
        class_count: how many classes there are.
        weights: file with the ImageNet weights of MobileNetV2 without top.
        seed: of everything random.
    """
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    training_batches = _batches(*train, shuffle_seed=seed)
    validation_batches = _batches(*validation)
    base = keras.applications.MobileNetV2(
        input_shape=(SIDE_PX, SIDE_PX, 3), include_top=False, weights=str(weights)
    )
    base.trainable = False
    pixels = keras.Input((SIDE_PX, SIDE_PX, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    maps = keras.layers.Conv2D(32, 3, activation="relu")(base(scaled, training=False))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Dropout(0.2)(maps))
    logits = keras.layers.Dense(class_count)(features)
    model = keras.Model(pixels, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Keras would take XLA, whose depthwise convolutions are several times slower on CPUs;
    # the comparison is with the plain recipe at its fastest.
    common = {"loss": loss, "metrics": ["accuracy"], "jit_compile": False}
    model.compile(keras.optimizers.Adam(LEARNING_RATE), **common)
    first = model.fit(
        training_batches,
        epochs=EPOCHS,
        validation_data=validation_batches,
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    base.trainable = True
    for layer in base.layers[:FINE_TUNE_AT]:
        layer.trainable = False
    model.compile(keras.optimizers.Adam(FINE_TUNE_LEARNING_RATE), **common)
    second = model.fit(
        training_batches,
        initial_epoch=EPOCHS,
        epochs=EPOCHS + FINE_TUNE_EPOCHS,
        validation_data=validation_batches,
        shuffle=False,
        verbose=0,
    )
    accuracy, val_accuracy = (
        (*first.history[name], *second.history[name]) for name in ("accuracy", "val_accuracy")
    )
    return PlainTraining(model, time.perf_counter() - started, accuracy, val_accuracy)


def _batches(paths: Sequence[Path], classes: Sequence[int], shuffle_seed: int | None = None) -> Any:
    """What `keras.utils.image_dataset_from_directory` makes, from lists."""

    def read(path: Any, label: Any) -> Any:
        picture = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(picture, (SIDE_PX, SIDE_PX)), label

    photos = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], list(classes)))
    if shuffle_seed is not None:
        photos = photos.shuffle(len(paths), seed=shuffle_seed)
    return (
        photos.map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH_SIZE)
        .prefetch(tf.data.AUTOTUNE)
    )


def predict_plainly(model: Any, pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.int64]:
    """Class indices `[pictures]`, each picture squashed as in the training."""
    squashed = tf.stack([tf.image.resize(picture, (SIDE_PX, SIDE_PX)) for picture in pictures])
    return np.asarray(np.argmax(model(squashed, training=False), axis=1), np.int64)
