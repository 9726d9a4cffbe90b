"""Grad-CAM: the regions of a photo that drove a Keras classifier's prediction.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization" (ICCV 2017, arXiv:1610.02391). Where one dense layer follows the pooling, as in every
model that edgebee trains, its gradients are that layer's weights, and no tape is needed.

It says where in the picture the evidence for a class lay, as coarse as the last convolution's maps
are (7x7 for MobileNetV2 at 224 pixels), not whether the evidence was good.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import NEITHER

__all__ = ["GradCam", "can_be_explained"]


def _ends(model: Any) -> tuple[Any, npt.NDArray[np.float32] | None]:
    """The last pooling, and the kernel `[features, labels]` of the dense layer behind it.

    A model that knows `neither` has a layer of that name for it, whose columns are summed. None
    for what a model has not, or not clearly.
    """
    import keras

    poolings = [one for one in model.layers if isinstance(one, keras.layers.GlobalAveragePooling2D)]
    dense = [one for one in model.layers if isinstance(one, keras.layers.Dense)]
    branch = [np.asarray(one.kernel) for one in dense if one.name == NEITHER]
    if poolings and branch:
        pooled = poolings[-1].output
        dense = [one for one in dense if one.input is pooled and one.name != NEITHER]
    if not poolings or len(dense) != 1:
        return None, None
    last = [one.sum(axis=1, keepdims=True) for one in branch]
    return poolings[-1], np.concatenate([np.asarray(dense[0].kernel), *last], axis=1)


def can_be_explained(model: Any) -> bool:
    """Whether a model's scores follow from pooled maps by one dense layer."""
    return _ends(model)[1] is not None


class GradCam:
    """A Keras classifier, up to the maps of its last convolution.

    Args:
        model: `float32 [N, H, W, 3]` -> `float32 [N, classes]`, one that can be explained.
    """

    def __init__(self, model: Any) -> None:
        import keras

        pooling, weights = _ends(model)
        assert weights is not None
        self._maps = keras.Model(model.inputs[0], pooling.input)
        self._weights = weights

    def __call__(self, pixels: npt.NDArray[np.uint8], label: int) -> npt.NDArray[np.float32]:
        """Where the evidence for a label lies in a photo.

        Args:
            pixels: `uint8 [H, W, 3]`, 0-255, as `read_photo` gives them.
            label: index of the one to explain.

        Returns:
            `float32 [h, w]`, as large as the maps: 0 for no evidence, 1 for the most in this
            photo. All zero where nothing in it speaks for the label.
        """
        maps = np.asarray(self._maps(pixels[np.newaxis].astype(np.float32), training=False))[0]
        heat: npt.NDArray[np.float32] = np.maximum(maps @ self._weights[:, label], 0)
        return heat / max(float(heat.max()), 1e-9)
