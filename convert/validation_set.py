"""The validation photos that a conversion is verified on, with the Keras model's scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.representative import draw_order
from edgebee.edge.classify import PhotoError, read_photo
from edgebee.errors import ConversionError

__all__ = ["MAX_PHOTOS", "ValidationSet", "read_validation_set", "score_keras"]

MAX_PHOTOS = 1000
"""As many photos are kept decoded: 150 MB at 224 pixels."""

_BATCH = 32


@dataclass(frozen=True)
class ValidationSet:
    """Validation photos and what the Keras model predicts for them."""

    pixels: npt.NDArray[np.uint8]
    """`[photos, H, W, 3]`, as the runner reads them."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the true classes."""
    reference: npt.NDArray[np.float32]
    """`[photos, labels]`, Keras' scores."""
    skipped: tuple[str, ...] = ()
    """What could not be read, one message each."""

    @property
    def reference_correct(self) -> npt.NDArray[np.bool_]:
        """`[photos]`: where Keras is correct."""
        return np.asarray(self.reference.argmax(axis=1) == self.classes)


def read_validation_set(
    paths: Sequence[Path],
    classes: Sequence[int],
    model: Any,
    *,
    seed: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> ValidationSet:
    """Read validation photos, and let the Keras model score them.

    Args:
        paths: validation photos; of more than `MAX_PHOTOS` so many are drawn, class by class.
        classes: the class of each.
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        seed: which photos, of many.
        progress: called with the number of photos read so far.

    Raises:
        ConversionError: no photo could be read.
    """
    size = model.input_shape[1:3]
    read: list[npt.NDArray[np.uint8]] = []
    used: list[int] = []
    skipped: list[str] = []
    for index in sorted(draw_order(classes, seed)[:MAX_PHOTOS]):
        try:
            read.append(read_photo(paths[index], size))
        except PhotoError as error:
            skipped.append(str(error))
            continue
        used.append(classes[index])
        progress(len(used))
    if not read:
        raise ConversionError(
            "there is no readable validation photo to verify the conversion on; add photos, or "
            "name others with --data"
        )
    pixels = np.stack(read)
    return ValidationSet(pixels, np.array(used), score_keras(model, pixels), tuple(skipped))


def score_keras(model: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scores of the Keras model.

    Args:
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        pixels: `[photos, H, W, 3]`.

    Returns:
        `[photos, labels]`.
    """
    # Every batch is a full one, the last filled up with its first photo: for another size the
    # model would be traced again, which takes longer than the photos do.
    scores = []
    for start in range(0, len(pixels), _BATCH):
        batch = pixels[start : start + _BATCH]
        fill = np.repeat(batch[:1], _BATCH - len(batch), axis=0)
        full = np.concatenate([batch, fill]).astype(np.float32)
        scores.append(np.asarray(model.predict_on_batch(full), np.float32)[: len(batch)])
    return np.concatenate(scores)
