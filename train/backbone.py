"""The backbones: Keras' feature extractors, their weights, and where they are cut.

To add one, add an entry to `BACKBONES`.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import sys
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import NEITHER
from edgebee.errors import TrainingError, WeightsError

__all__ = [
    "BACKBONES",
    "DEFAULT_BACKBONE",
    "BackboneSpec",
    "NeitherBranch",
    "build_backbone",
    "build_classifier",
    "bundled_weights",
    "cut_below",
    "layers_above",
    "pixel_scaling",
]


@dataclass(frozen=True)
class NeitherBranch:
    """What gives the logit of the last label, `neither`, beside those of the classes."""

    kernel: npt.NDArray[np.float32]
    """`[features, 1]`."""
    bias: float
    prototypes: npt.NDArray[np.float32]
    """`[prototypes, features]`, of length 1."""
    slope: float
    """What the largest inner product with one of them takes from the logit."""
    bounds: tuple[float, float]
    """Between which the logit is kept. All logits share their int8 steps where they meet: a
    wider range would take steps from the classes."""


@dataclass(frozen=True)
class BackboneSpec:
    """What is particular about a backbone."""

    keras_name: str
    """In `keras.applications`."""
    fine_tune_at: int
    """Index of the first layer that fine-tuning releases, unless the recipe names one."""
    widths: tuple[float, ...]
    """For which Keras publishes ImageNet weights; (1.0,) for one that has no width."""
    scale: float = 1 / 127.5
    """What pixels, 0..255, are multiplied by."""
    offset: float = -1.0
    """What is added to that."""
    bundled: tuple[tuple[str, str], ...] = ()
    """Weights that ship with edgebee for width 1.0: name for `--weights`, file."""
    settings: tuple[tuple[str, Any], ...] = ()
    """More arguments of Keras' function."""

    @property
    def default_weights(self) -> str:
        """For width 1.0: `field` where it ships, else `imagenet`."""
        return "field" if any(name == "field" for name, _ in self.bundled) else "imagenet"


DEFAULT_BACKBONE = "mobilenet_v2"
BACKBONES = {
    DEFAULT_BACKBONE: BackboneSpec(
        "MobileNetV2",
        fine_tune_at=100,
        widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        bundled=(
            # Keras Applications' weights at 224 px, Apache-2.0, (c) Google; see NOTICE.
            ("imagenet", "mobilenet_v2_1.0_224_no_top.weights.h5"),
            # Made of them, see `edgebee.benchmarks.studies.distillation`.
            ("field", "mobilenet_v2_1.0_224_field.weights.h5"),
        ),
    ),
    "mobilenet_v3_small": BackboneSpec(
        "MobileNetV3Small",
        fine_tune_at=100,
        widths=(0.75, 1.0),
        settings=(("include_preprocessing", False),),
    ),
    # Its graph begins with the rescaling.
    "efficientnet_b0": BackboneSpec(
        "EfficientNetB0", fine_tune_at=162, widths=(1.0,), scale=1.0, offset=0.0
    ),
}
"""Name for `--backbone` -> what it is."""


def pixel_scaling(backbone: Any) -> tuple[float, float]:
    """Factor and offset that make pixels, 0..255, what a backbone of Keras takes."""
    spec = BACKBONES[backbone.name]
    return spec.scale, spec.offset


def build_backbone(
    image_size: int, alpha: float, weights: str, name: str = DEFAULT_BACKBONE
) -> Any:
    """A backbone without its top, as a Keras model called `name`.

    Args:
        image_size: side of the square input, in pixels, 32 or more.
        alpha: width, a factor on the channels of every layer.
        weights: the name of bundled ones (see `BACKBONES`), `imagenet` (fetched by Keras where
            they do not ship), `none` (random), or the path of a Keras weights file.
        name: a key of `BACKBONES`.

    Returns:
        A model `float32 [N, S, S, 3]`, scaled by `pixel_scaling`, -> `float32 [N, h, w, C]`.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        TrainingError: the backbone has no widths.
    """
    spec = BACKBONES[name]
    bundled = dict(spec.bundled) if alpha == 1.0 else {}
    if weights == "field" and weights not in bundled:
        raise WeightsError(
            f"--weights field: made for {DEFAULT_BACKBONE} of width 1.0, not {name} of {alpha}; "
            "take --weights imagenet"
        )
    if alpha != 1.0 and spec.widths == (1.0,):
        raise TrainingError(f"--alpha {alpha}: {name} has no other width than 1.0")
    if weights == "imagenet" and weights not in bundled:
        return _build_with_download(name, image_size, alpha)
    backbone = _build(name, image_size, alpha, weights=None)
    if weights in bundled:
        with bundled_weights(weights) as path:
            backbone.load_weights(path)
    elif weights != "none":
        _load_local(backbone, Path(weights))
    return backbone


def _build(name: str, image_size: int, alpha: float, *, weights: str | None) -> Any:
    import keras

    spec = BACKBONES[name]
    settings: dict[str, Any] = dict(spec.settings)
    if spec.widths != (1.0,):
        settings["alpha"] = alpha
    return getattr(keras.applications, spec.keras_name)(
        input_shape=(image_size, image_size, 3),
        include_top=False,
        weights=weights,
        name=name,
        **settings,
    )


def bundled_weights(weights: str = "imagenet") -> AbstractContextManager[Path]:
    """A file with weights that ships with edgebee, for a `with` block: `imagenet` or `field`."""
    name = dict(BACKBONES[DEFAULT_BACKBONE].bundled)[weights]
    return importlib.resources.as_file(
        importlib.resources.files("edgebee.train") / "weights" / name
    )


def _build_with_download(name: str, image_size: int, alpha: float) -> Any:
    """ImageNet weights through Keras' own download and cache."""
    spec = BACKBONES[name]
    if alpha not in spec.widths:
        widths = ", ".join(map(str, spec.widths))
        raise WeightsError(
            f"--alpha {alpha}: ImageNet weights exist for the widths {widths}; "
            "take one of them or --weights none"
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it downloads
            return _build(name, image_size, alpha, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when it cannot fetch
        if "fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"the ImageNet weights of {name} of width {alpha} could not be downloaded "
            f"({str(error).rsplit('-- ', 1)[-1]}); take --backbone {DEFAULT_BACKBONE} "
            "--alpha 1.0 (its weights are here), --weights FILE or --weights none"
        ) from error


def _load_local(backbone: Any, path: Path) -> None:
    """Load a weights file of the user's own."""
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file; --weights takes a file, field, imagenet or none"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not fit is reported below, in one line
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        first = str(error).strip().split("\n", 1)[0][:200]
        raise WeightsError(
            f"{path}: not weights of {BACKBONES[backbone.name].keras_name} without top at this "
            f"width ({first})"
        ) from error


def build_classifier(
    backbone: Any,
    kernel: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    neither: NeitherBranch | None = None,
) -> Any:
    """Pixels to scores: rescaling, backbone, pooling, head and softmax in one Keras model.

    Args:
        backbone: from `build_backbone`.
        kernel: of the head, `[features, classes]`.
        bias: `[classes]`.
        neither: adds a last label.

    Returns:
        A model `float32 [N, S, S, 3]` in 0..255 -> `float32 [N, labels]`, scores that add
        up to 1. BatchNorm stays in inference mode.
    """
    import keras

    pixels = keras.Input(backbone.input_shape[1:], name="pixels")
    scale, offset = pixel_scaling(backbone)
    scaled = pixels
    if (scale, offset) != (1.0, 0.0):
        scaled = keras.layers.Rescaling(scale, offset=offset, name="rescaling")(pixels)
    maps = backbone(scaled, training=False)
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(maps)
    logits = _dense("head", kernel, bias)(features)
    if neither is not None:
        logits = keras.layers.Concatenate(name="logits")([logits, _last_logit(features, neither)])
    scores = keras.layers.Softmax(name="scores")(logits)
    return keras.Model(pixels, scores, name="edgebee")


def _last_logit(features: Any, neither: NeitherBranch) -> Any:
    """The logit of `neither`, `[N, 1]`."""
    from keras import ops

    # As the sum of two halves: TFLite takes a kernel of one row for one with a scale per channel,
    # which tflite-runtime 2.14 does not know (FULLY_CONNECTED version 12, in `dynamic`).
    halves = _dense(
        NEITHER, np.repeat(neither.kernel / 2, 2, axis=1), np.full(2, neither.bias / 2, np.float32)
    )(features)
    row = ops.sum(halves, axis=-1, keepdims=True)
    products = _dense("prototypes", neither.prototypes.T)(features)
    slope = np.array([[-neither.slope]], np.float32)
    nearness = _dense("nearness", slope)(ops.max(products, axis=-1, keepdims=True))
    return ops.clip(ops.add(row, nearness), *neither.bounds)


def _dense(
    name: str, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32] | None = None
) -> Any:
    """A built `Dense` layer with these weights."""
    import keras

    layer = keras.layers.Dense(kernel.shape[1], use_bias=bias is not None, name=name)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer


def cut_below(backbone: Any, index: int) -> Any:
    """The last operation below layer `index` whose single output carries everything upwards.

    A residual connection that jumps over a place would need a second tensor, so for
    MobileNetV2 and layer 100, inside block 11, the cut is the end of block 10. Some backbones
    compute between their layers, so that there are more operations than layers.

    Returns:
        The operation whose output crosses the cut; the input itself is the lowest.
    """
    operations = backbone.operations
    place_of = {operation.name: place for place, operation in enumerate(operations)}
    first_released = len(operations)
    if index < len(backbone.layers):
        first_released = place_of[backbone.layers[index].name]
    lowest_source = len(operations) - 1  # the lowest that is read by any operation above the cut
    for place in range(len(operations) - 1, 0, -1):
        if place < first_released and lowest_source >= place:
            return operations[place]
        lowest_source = min(
            lowest_source,
            *(
                place_of[tensor._keras_history.operation.name]
                for tensor in operations[place]._inbound_nodes[0].input_tensors
            ),
        )
    return operations[0]


def layers_above(backbone: Any, cut: Any) -> Any:
    """The part of the backbone above `cut`, as a model that shares its layers.

    Returns:
        A model from the output of `cut` to the backbone's output. Training it trains the
        backbone.
    """
    import keras

    return keras.Model(cut.output, backbone.output, name="above")
