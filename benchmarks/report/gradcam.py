"""Grad-CAM: the regions of a picture that drove a Keras classifier's prediction.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization" (ICCV 2017, arXiv:1610.02391): the last convolution's maps, each weighted with the
mean gradient of a class's score before the softmax (equation 1), added up, and what speaks
against the class set to zero (equation 2).

It says where in the picture the evidence for a class lay, as coarse as those maps are (7x7 for
MobileNetV2 at 224 pixels), not whether the evidence was good. TensorFlow is loaded on use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.errors import BenchmarkError

__all__ = ["GradCam"]


class GradCam:
    """A Keras classifier taken apart at its last convolution.

    Args:
        model: `float32 [N, H, W, 3]` -> `float32 [N, classes]`, built of Keras layers, models
            within models too.

    Raises:
        BenchmarkError: it has no convolution's maps that lead to its scores, or is a class of
            its own whose layers cannot be seen.
    """

    def __init__(self, model: Any) -> None:
        taken = _take_apart(model) if _is_graph(model) else None
        if taken is None:
            raise BenchmarkError(
                f"{model.name}: no maps of a convolution between its input and its scores, so "
                "the regions that drove its predictions cannot be shown"
            )
        self._name, self._model = model.name, taken

    def __call__(
        self, pixels: npt.NDArray[np.uint8], classes: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Where the evidence for a class lies in each photo.

        Args:
            pixels: `uint8 [N, H, W, 3]`, 0-255, as `read_photo` gives them.
            classes: the class index to explain, one a photo.

        Returns:
            `float32 [N, h, w]`, as large as the maps: 0 for no evidence, 1 for the most in that
            photo. All zero where nothing in the photo speaks for the class.
        """
        import tensorflow as tf

        photos = tf.constant(pixels, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(photos)  # frozen layers below would otherwise leave nothing to follow
            maps, evidence, _ = self._model(photos, training=False)
            chosen = tf.gather(evidence, tf.constant(classes), axis=1, batch_dims=1)
        gradients = tape.gradient(chosen, maps)
        if gradients is None:
            raise BenchmarkError(
                f"{self._name}: its scores do not follow from its last convolution, so "
                "the regions that drove its predictions cannot be shown"
            )
        weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)  # equation 1
        heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=3)).numpy()  # equation 2
        most = heat.max(axis=(1, 2), keepdims=True)
        scaled: npt.NDArray[np.float32] = np.divide(
            heat, most, out=np.zeros_like(heat), where=most > 0
        )
        return scaled


def _take_apart(model: Any) -> Any:
    """The same model with its last maps as an output, sharing the layers.

    Returns:
        A model, photos -> (maps `[N, h, w, channels]`, scores before the softmax `[N, classes]`,
        scores `[N, classes]`); None when there are no such maps.
    """
    import keras

    maps: list[Any] = []
    logits: dict[int, Any] = {}
    """What a softmax was taken of, by the `id` of its outcome."""
    convolved = False

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal convolved
        inner = _take_apart(layer) if _hides_maps(layer) else None
        if inner is not None:
            inside, before, outputs = inner(*args, **kwargs)
            maps.append(inside)
            logits[id(outputs)] = before
            return outputs
        outputs = layer(*args, **kwargs)
        convolved = convolved or _convolves(layer)
        if convolved and _gives_maps(outputs):
            maps.append(outputs)
        if (before := _before_squashing(layer, args[0])) is not None:
            logits[id(outputs)] = before
        return outputs

    if isinstance(model, keras.Sequential):
        inputs = scores = keras.Input(model.input_shape[1:])
        for layer in model.layers:
            scores = call(layer, scores)
    else:
        same = keras.models.clone_model(
            model, clone_function=lambda layer: layer, call_function=call
        )
        inputs, scores = same.inputs, same.outputs[0]
    if not maps:
        return None
    outputs = [maps[-1], logits.get(id(scores), scores), scores]
    return keras.Model(inputs, outputs, name=f"{model.name}_taken_apart")


def _is_graph(model: Any) -> bool:
    """Whether a layer is a model made of layers, not a class with code of its own."""
    import keras

    return isinstance(model, keras.Sequential) or hasattr(model, "inputs")


def _hides_maps(layer: Any) -> bool:
    """Whether a layer is a model that keeps its maps to itself, as one with its own pooling."""
    return _is_graph(layer) and not _gives_maps(layer.outputs[0])


def _gives_maps(tensor: Any) -> bool:
    """Whether a symbolic tensor is `[N, h, w, channels]` with room for a place in it."""
    shape: Any = getattr(tensor, "shape", ())
    return len(shape) == 4 and (shape[1] or 2) * (shape[2] or 2) > 1


def _convolves(layer: Any) -> bool:
    """Whether a layer is a convolution or a model with one inside."""
    import keras

    kinds = keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D
    return isinstance(layer, kinds) or any(map(_convolves, getattr(layer, "layers", ())))


def _before_squashing(layer: Any, entry: Any) -> Any:
    """What a layer's softmax or sigmoid is taken of, as a symbolic tensor; None without one."""
    import keras

    if isinstance(layer, keras.layers.Softmax):
        return entry
    squashing = keras.activations.softmax, keras.activations.sigmoid
    if getattr(layer, "activation", None) not in squashing:
        return None
    if isinstance(layer, keras.layers.Activation):
        return entry
    if not isinstance(layer, keras.layers.Dense):
        return None
    config = layer.get_config() | {"activation": "linear", "name": f"{layer.name}_logits"}
    linear = keras.layers.Dense.from_config(config)
    linear.build(entry.shape)
    linear.set_weights(layer.get_weights())
    return linear(entry)
