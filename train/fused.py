"""Fused layers: the released part of the backbone, computed faster while it is trained.

With BatchNorm in inference mode, a convolution and the normalization behind it are one
convolution with a bias: `gamma * (x * K - mean) / sqrt(var + eps) + beta` is
`x * (K * s) + (beta - mean * s)` with `s = gamma / sqrt(var + eps)`. CommandResult on the small
kernel instead of the large activations, and with 1x1 convolutions as the matrix products
that they are, a training step takes about two thirds of the time. The variables and their gradients
are those of the Keras layers, so that what is trained is the backbone itself.

Where the processor multiplies bfloat16 itself, the factors of those products are rounded to
it in training, as usual in mixed precision (Micikevicius et al., "Mixed Precision Training",
ICLR 2018): sums, variables, normalization and everything between the products stay float32.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

__all__ = ["FusedLayers", "multiplies_bfloat16"]

_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
"""How Linux names the instructions that multiply bfloat16 faster than float32."""


def multiplies_bfloat16(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether training runs on a processor that multiplies bfloat16 itself.

    Elsewhere factors stay whole: there is nothing to gain. A GPU takes its own way.
    """
    if not cpu_info.exists() or tf.config.list_physical_devices("GPU"):
        return False
    flags = next(
        (line for line in cpu_info.read_text().splitlines() if line.startswith("flags")), ""
    )
    return not _BFLOAT16_FLAGS.isdisjoint(flags.split())


class FusedLayers:
    """Computes what a model of MobileNetV2's layers computes, fused.

    Args:
        model: from `layers_above`; BatchNorm is taken in inference mode.
        bfloat16: round the factors of matrix products to it.
    """

    def __init__(self, model: Any, *, bfloat16: bool = False) -> None:
        self.model = model
        self.multiply = _multiply_rounded if bfloat16 else tf.matmul

    def __call__(self, boundary: Any) -> Any:
        """`float32 [N, h, w, c]` at the cut -> `float32 [N, h', w', c']`."""
        outputs = {self.model.inputs[0]._keras_history.operation.name: boundary}
        convolutions: dict[str, tuple[Any, Any]] = {}
        for layer in self.model.layers[1:]:
            sources = _sources(layer, self.model)
            if isinstance(layer, keras.layers.BatchNormalization):
                scale, shift = _scale_and_shift(layer)
                if sources[0] in convolutions:
                    convolution, entering = convolutions[sources[0]]
                    convolved = _convolve(convolution, entering, scale, self.multiply)
                    outputs[layer.name] = convolved + shift
                else:
                    outputs[layer.name] = outputs[sources[0]] * scale + shift
            elif isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
                convolutions[layer.name] = (layer, outputs[sources[0]])
            else:
                entering = [outputs[source] for source in sources]
                outputs[layer.name] = layer(entering[0] if len(entering) == 1 else entering)
        return outputs[self.model.layers[-1].name]


def _sources(layer: Any, model: Any) -> list[str]:
    """Names of the layers that `layer` reads within `model`."""
    known = {one.name for one in model.layers}
    for node in layer._inbound_nodes:
        names = [tensor._keras_history.operation.name for tensor in node.input_tensors]
        if known.issuperset(names):
            return names
    raise AssertionError(f"{layer.name} is no layer of {model.name}")


def _scale_and_shift(layer: Any) -> tuple[Any, Any]:
    """The normalization as `x * scale + shift`, `[channels]` each."""
    scale = layer.gamma * tf.math.rsqrt(layer.moving_variance + layer.epsilon)
    return scale, layer.beta - layer.moving_mean * scale


def _multiply_rounded(one: Any, other: Any) -> Any:
    """Product of `float32` matrices, factors rounded to bfloat16; its gradients are such too."""
    return tf.cast(tf.cast(one, tf.bfloat16) @ tf.cast(other, tf.bfloat16), tf.float32)


def _convolve(layer: Any, entering: Any, scale: Any, multiply: Callable[[Any, Any], Any]) -> Any:
    """The convolution with its kernel scaled per output channel; MobileNetV2's have no bias."""
    strides = (1, *layer.strides, 1)
    padding = layer.padding.upper()
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = layer.kernel * scale[:, tf.newaxis]
        return tf.nn.depthwise_conv2d(entering, kernel, strides, padding)
    kernel = layer.kernel * scale
    if layer.kernel_size != (1, 1) or layer.strides != (1, 1):
        return tf.nn.conv2d(entering, kernel, strides, padding)
    shape = tf.shape(entering)
    flat = multiply(tf.reshape(entering, (-1, entering.shape[-1])), kernel[0, 0])
    mixed = tf.reshape(flat, tf.concat([shape[:3], [kernel.shape[-1]]], 0))
    return tf.ensure_shape(mixed, (None, *entering.shape[1:3], kernel.shape[-1]))
