"""Crops of a photo, of its subject and of its parts, and frames with nothing on them.

Where the subject is, the backbone's map of features is strong: the strongest window shows most of
it. What is around it is cut out anywhere; which crops show nothing of the subject is found out
later, see `edgebee.train.rejection`. Crops from where the map is weakest would show the plainest
parts alone, and what was learned from those accepted more flowers and animals as ants or bees. All
are cut from the photo at twice the input's size, so that they are as sharp as photos are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.train.augmentation import CORRUPTIONS, DecodedPhoto, light

__all__ = ["Box", "cut_box", "draw_blank_frame", "random_box", "subject_box", "vary_subject"]

Pixels = npt.NDArray[np.uint8]
Norms = npt.NDArray[np.float32]
RNG = np.random.Generator

SUBJECT_SIDE = 3 / 7
"""Side of a crop of the subject, of the photo's."""

BACKGROUND_SIDES = (0.15, 0.35)
"""Least and largest side of a crop of the background, of the photo's."""


class Box(NamedTuple):
    """A part of a square photo, in shares of its side."""

    left: float
    top: float
    right: float
    bottom: float


def subject_box(norms: Norms) -> Box:
    """Where a photo shows most of its subject.

    Args:
        norms: `float32 [h, w]`, lengths of the feature vectors, 0 and more.

    Returns:
        The whole photo where the map is too coarse.
    """
    rows, columns = norms.shape
    cells = round(SUBJECT_SIDE * min(rows, columns))
    if cells < 1 or min(rows, columns) < 2:
        return Box(0, 0, 1, 1)
    windows = np.lib.stride_tricks.sliding_window_view(norms, (cells, cells)).mean(axis=(2, 3))
    row, column = divmod(int(windows.argmax()), windows.shape[1])
    return Box(column / columns, row / rows, (column + cells) / columns, (row + cells) / rows)


def random_box(rng: RNG) -> Box:
    """Some part of a photo, of the size of a crop of the background."""
    side = rng.uniform(*BACKGROUND_SIDES)
    left, top = rng.uniform(0, 1 - side, 2)
    return Box(left, top, left + side, top + side)


def cut_box(photo: Image.Image, box: Box, side_px: int) -> Pixels:
    """A part of a photo, enlarged.

    Args:
        photo: RGB, square.
        box: the part.
        side_px: of the result.

    Returns:
        `uint8 [side, side, 3]`.
    """
    left, top, right, bottom = (share * photo.size[0] for share in box)
    corners = (left, top, right, bottom)
    part = photo.resize((side_px, side_px), Image.Resampling.BICUBIC, box=corners)
    return np.asarray(part)


def vary_subject(source: DecodedPhoto, box: Box, count: int, rng: RNG) -> Iterator[Pixels]:
    """Make `count` images of the subject of a photo: cut out, then corrupted as well.

    Args:
        source: the photo.
        box: from `subject_box`.
        count: how many, 0 or more.
        rng: decides everything but the first image.
    """
    if count == 0:
        return
    subject = cut_box(source.large, box, source.side_px)
    yield subject
    for _ in range(count - 1):
        varied = subject[:, ::-1] if rng.random() < 0.5 else subject
        if rng.random() < 0.5:
            varied = light(rng, varied)
        yield CORRUPTIONS[rng.integers(len(CORRUPTIONS))](rng, np.ascontiguousarray(varied))


def draw_blank_frame(side_px: int, rng: RNG) -> Pixels:
    """A frame with nothing on it: dark, overexposed, of one colour, a gradient, or fog.

    Half of them have one of the corruptions of the photos, and all a little noise.

    Args:
        side_px: of the result.
        rng: decides everything.

    Returns:
        `uint8 [side, side, 3]`.
    """
    kinds = (_dark, _overexposed, _plain, _gradient, _fog)
    frame = kinds[rng.integers(len(kinds))](side_px, rng)
    noise_level = float(np.exp(rng.uniform(0, np.log(40))))
    channels = 3 if rng.random() < 0.6 else 1
    noise = noise_level * rng.standard_normal((side_px, side_px, channels), dtype=np.float32)
    pixels: Pixels = np.clip(frame + noise + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        return light(rng, pixels)
    return CORRUPTIONS[rng.integers(len(CORRUPTIONS))](rng, pixels)


def _colour(rng: RNG, low: float, high: float) -> npt.NDArray[np.float32]:
    return (rng.uniform(low, high) + rng.uniform(-25, 25, 3)).astype(np.float32)


def _filled(side_px: int, colour: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.broadcast_to(colour, (side_px, side_px, 3))


def _dark(side_px: int, rng: RNG) -> npt.NDArray[np.float32]:
    return _filled(side_px, _colour(rng, 0, 30))


def _overexposed(side_px: int, rng: RNG) -> npt.NDArray[np.float32]:
    return _filled(side_px, _colour(rng, 225, 255))


def _plain(side_px: int, rng: RNG) -> npt.NDArray[np.float32]:
    return _filled(side_px, _colour(rng, 30, 225))


def _gradient(side_px: int, rng: RNG) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * x + np.sin(angle) * y
    share = ((slope - slope.min()) / np.ptp(slope))[..., np.newaxis]
    mixed = _colour(rng, 10, 245) * (1 - share) + _colour(rng, 10, 245) * share
    return np.asarray(mixed, np.float32)


def _fog(side_px: int, rng: RNG) -> npt.NDArray[np.float32]:
    """Soft clouds over a gradient."""
    coarse = Image.fromarray(rng.standard_normal((6, 6), dtype=np.float32))
    clouds = np.asarray(coarse.resize((side_px, side_px), Image.Resampling.BICUBIC))
    foggy = _gradient(side_px, rng) + clouds[..., np.newaxis] * rng.uniform(3, 25)
    return np.asarray(foggy, np.float32)
