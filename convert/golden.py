"""Golden samples: small pictures with the scores that a model gives for them.

They travel inside the model file, and show on any machine within a second whether it computes
there what it computed here. They are patterns, not photos, so that nobody's pictures travel
along, and a few pixels wide, so that they take no room.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = [
    "TOLERANCE",
    "Pixels",
    "choose_pictures",
    "draw_pictures",
    "draw_spots",
    "encode_png",
    "enlarge",
]

TOLERANCE = 0.1
"""A score on a device may differ by so much from what was recorded for either kind of kernel.

int8 scores of one model differ by up to 0.04 between LiteRT's kernels and tflite-runtime's, a
model that computes something else differs by far more."""

_SIDES_PX = (4, 8, 16)
_CANDIDATES_PER_SIDE = 8
_CHOSEN = 4
_CHOSEN_NEITHER = 2
_SPOTS_SIDE_PX = 32
_SPOTS_CANDIDATES = 64
_MIN_LEAD = 0.3
"""Of the best score over the second, so that numerical noise cannot swap them."""
_MIN_LEAD_NEITHER = 0.5
"""Likewise, of models that know `neither`: spots lie nearer to its border, and int8 moves them
more."""


Pixels = npt.NDArray[np.uint8]
"""`[side, side, 3]`, at most 64 by 64 pixels."""


def encode_png(pixels: Pixels) -> bytes:
    """A picture as a lossless file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def draw_pictures() -> list[Pixels]:
    """Candidates: coarse patterns in random colours, the same ones every time."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (side, side, 3), np.uint8)
        for side in _SIDES_PX
        for _ in range(_CANDIDATES_PER_SIDE)
    ]


def enlarge(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Enlarge a picture to the model's input by repeating its pixels.

    Args:
        pixels: `[h, w, 3]`.
        size: height and width to reach.
    """
    rows, columns = (
        np.arange(full) * part // full for full, part in zip(size, pixels.shape[:2], strict=True)
    )
    return np.asarray(pixels[rows][:, columns])


def draw_spots() -> list[Pixels]:
    """Further candidates, for models that know `neither`, to whom patterns are none of the classes.

    A few soft spots on a plain ground look most like something.
    """
    rng = np.random.default_rng(0)
    down, across = np.mgrid[-1 : 1 : _SPOTS_SIDE_PX * 1j, -1 : 1 : _SPOTS_SIDE_PX * 1j]
    pictures = []
    for _ in range(_SPOTS_CANDIDATES):
        picture = np.tile(rng.uniform(60, 230, 3), (_SPOTS_SIDE_PX, _SPOTS_SIDE_PX, 1))
        for _ in range(rng.integers(2, 5)):
            (left, top), (width, height) = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.05, 0.3, 2)
            spot = np.exp(-(((across - left) / width) ** 2) - ((down - top) / height) ** 2)
            picture += spot[..., np.newaxis] * (rng.uniform(0, 255, 3) - picture)
        pictures.append(np.rint(picture.clip(0, 255)).astype(np.uint8))
    return pictures


def choose_pictures(
    pictures: Sequence[Pixels], scores: npt.NDArray[np.float32], *, neither: bool = False
) -> list[Pixels]:
    """Choose the pictures that reveal most.

    A score near 1 stays there whatever goes wrong. The least certain ones are taken, except
    undecided ones, and a label that is not there yet before one that is.

    Args:
        pictures: the candidates.
        scores: `[pictures, labels]`, the Keras model's.
        neither: whether the last score is that of `neither`. Two pictures that show it are chosen
            too, and more where too few show a class.
    """
    if not neither:
        return _choose(pictures, scores, _CHOSEN, _MIN_LEAD)
    strange = scores.argmax(axis=1) == scores.shape[1] - 1
    known, rest = (
        [picture for picture, inside in zip(pictures, group, strict=True) if inside]
        for group in (~strange, strange)
    )
    chosen = _choose(known, scores[~strange], _CHOSEN, _MIN_LEAD_NEITHER)
    more = _CHOSEN + _CHOSEN_NEITHER - len(chosen)
    return chosen + _choose(rest, scores[strange], more, _MIN_LEAD_NEITHER)


def _choose(
    pictures: Sequence[Pixels], scores: npt.NDArray[np.float32], most: int, min_lead: float
) -> list[Pixels]:
    ordered = np.sort(scores, axis=1)
    lead = ordered[:, -1] - ordered[:, -2] if scores.shape[1] > 1 else ordered[:, -1]
    predicted = scores.argmax(axis=1)
    rank_of_label: dict[int, int] = {}
    ranked: list[tuple[bool, int, int, int]] = []
    for index in np.lexsort((lead, lead < min_lead)):
        label = int(predicted[index])
        rank_of_label[label] = rank_of_label.get(label, -1) + 1
        undecided = bool(lead[index] < min_lead)
        ranked.append((undecided, rank_of_label[label], len(ranked), int(index)))
    return [pictures[index] for *_, index in sorted(ranked)[:most]]
