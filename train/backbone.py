"""The backbone: MobileNetV2 without its top, and where its weights come from."""

from __future__ import annotations

import contextlib
import importlib.resources
import sys
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from edgebee.errors import WeightsError
from edgebee.train.recipe import HARDENED_ALPHA

__all__ = ["build_backbone", "build_classifier", "bundled_weights", "cut_below", "layers_above"]

# Keras Applications' weights for width 1.0 at 224 px, Apache-2.0, (c) Google; see NOTICE.
_BUNDLED_WEIGHTS = "mobilenet_v2_1.0_224_no_top.weights.h5"
# Made of them by `edgebee study harden`, see `edgebee.benchmarks.studies.distillation`.
_FIELD_WEIGHTS = "mobilenet_v2_1.0_224_field.weights.h5"
_PUBLISHED_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


def build_backbone(image_size: int, alpha: float, weights: str) -> Any:
    """MobileNetV2 without top, as a Keras model.

    Args:
        image_size: side of the square input, in pixels, 32 or more.
        alpha: width multiplier.
        weights: `field` (hardened, shipped for width 1.0), `imagenet` (shipped for width 1.0,
            else fetched by Keras), `none` (random), or the path of a Keras weights file.

    Returns:
        A model `float32 [N, S, S, 3]` in -1..1 -> `float32 [N, S/32, S/32, C]`.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
    """
    import keras

    if weights == "field" and alpha != HARDENED_ALPHA:
        raise WeightsError(
            f"--weights field: made for width {HARDENED_ALPHA}, not {alpha}; "
            "take --weights imagenet"
        )
    shape = (image_size, image_size, 3)
    build = keras.applications.MobileNetV2
    if weights == "imagenet" and alpha != 1.0:
        return _build_with_download(shape, alpha)
    backbone = build(input_shape=shape, alpha=alpha, include_top=False, weights=None)
    if weights in {"field", "imagenet"}:
        with bundled_weights(weights) as path:
            backbone.load_weights(path)
    elif weights != "none":
        _load_local(backbone, Path(weights))
    return backbone


def bundled_weights(weights: str = "imagenet") -> AbstractContextManager[Path]:
    """A file with weights that ships with edgebee, for a `with` block: `imagenet` or `field`."""
    name = _FIELD_WEIGHTS if weights == "field" else _BUNDLED_WEIGHTS
    return importlib.resources.as_file(
        importlib.resources.files("edgebee.train") / "weights" / name
    )


def _build_with_download(shape: tuple[int, int, int], alpha: float) -> Any:
    """ImageNet weights of another width, through Keras' own download and cache."""
    import keras

    if alpha not in _PUBLISHED_WIDTHS:
        widths = ", ".join(map(str, _PUBLISHED_WIDTHS))
        raise WeightsError(
            f"--alpha {alpha}: ImageNet weights exist for the widths {widths}; "
            "take one of them or --weights none"
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it downloads
            return keras.applications.MobileNetV2(
                input_shape=shape, alpha=alpha, include_top=False, weights="imagenet"
            )
    except Exception as error:  # Keras raises a bare Exception when it cannot fetch
        if "fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"the ImageNet weights of width {alpha} could not be downloaded "
            f"({str(error).rsplit('-- ', 1)[-1]}); take --alpha 1.0 (its weights are here), "
            "--weights FILE or --weights none"
        ) from error


def _load_local(backbone: Any, path: Path) -> None:
    """Load a weights file of the user's own."""
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file; --weights takes a file, field, imagenet or none"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not fit is said below, in one line
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        first = str(error).strip().split("\n", 1)[0][:200]
        raise WeightsError(
            f"{path}: not weights of MobileNetV2 without top at this width ({first})"
        ) from error


def build_classifier(backbone: Any, head: Any) -> Any:
    """Pixels to scores: rescaling, backbone, pooling, head and softmax in one Keras model.

    Args:
        backbone: from `build_backbone`.
        head: a built `Dense` layer, features -> one logit per class.

    Returns:
        A model `float32 [N, S, S, 3]` in 0..255 -> `float32 [N, classes]`, scores that add
        up to 1. BatchNorm stays in inference mode.
    """
    import keras

    pixels = keras.Input(backbone.input_shape[1:], name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(pixels)
    maps = backbone(scaled, training=False)
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(maps)
    scores = keras.layers.Softmax(name="scores")(head(features))
    return keras.Model(pixels, scores, name="edgebee")


def cut_below(backbone: Any, index: int) -> int:
    """The last place below layer `index` where a single tensor carries everything upwards.

    A residual connection that jumps over a place would need a second tensor, so for
    MobileNetV2 and layer 100, inside block 11, the cut is the end of block 10.

    Returns:
        Index of the layer whose output crosses the cut; 0 is the input itself.
    """
    layers = backbone.layers
    position = {layer.name: place for place, layer in enumerate(layers)}
    lowest_source = len(layers) - 1  # the lowest layer read by any layer above the cut
    best = 0
    for place in range(len(layers) - 1, -1, -1):
        if place < index and lowest_source >= place:
            best = place
            break
        lowest_source = min(lowest_source, *_sources(layers[place], position))
    return best


def _sources(layer: Any, position: dict[str, int]) -> list[int]:
    """Places of the layers whose outputs `layer` reads."""
    return [
        position[tensor._keras_history.operation.name]
        for tensor in layer._inbound_nodes[0].input_tensors
    ] or [position[layer.name]]


def layers_above(backbone: Any, cut: int) -> Any:
    """The part of the backbone above `cut`, as a model that shares its layers.

    Returns:
        A model from the output of layer `cut` to the backbone's output. Training it trains
        the backbone.
    """
    import keras

    position = {layer.name: place for place, layer in enumerate(backbone.layers)}
    boundary = keras.Input(backbone.layers[cut].output.shape[1:], name="boundary")
    outputs = {cut: boundary}
    for place, layer in enumerate(backbone.layers[cut + 1 :], start=cut + 1):
        inputs = [outputs[source] for source in _sources(layer, position)]
        training = {"training": False} if isinstance(layer, keras.layers.BatchNormalization) else {}
        outputs[place] = layer(inputs[0] if len(inputs) == 1 else inputs, **training)
    return keras.Model(boundary, outputs[len(backbone.layers) - 1], name="above")
