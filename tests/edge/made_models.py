"""Models of other inputs and outputs than the one that ships, made on the spot by TensorFlow."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def write(folder, function, shape=(1, 4, 6, 3), *, labels=3, integer=None):
    """Convert `function` to `folder/model.tflite`, with names for its scores beside it."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))]
    )
    if integer is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Both ends of the range, so that one step of the input is one grey level.
        ends = [np.zeros(shape, np.float32), np.full(shape, 255, np.float32)]
        converter.representative_dataset = lambda: ([end] for end in ends)
        converter.inference_input_type = converter.inference_output_type = integer
    folder.mkdir(exist_ok=True)
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    (folder / "labels.txt").write_text("".join(f"label {index}\n" for index in range(labels)))
    return path


def channel_means(pixels):
    """Three scores, 0-1: how red, green and blue the picture is."""
    return tf.reduce_mean(pixels, axis=[1, 2]) / 255.0
