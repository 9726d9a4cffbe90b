"""Frames with nothing on them, as cameras give at night, in fog or with the cap on: drawn.

What a model that knows `neither` is checked with where nobody gave photos of something else.
Training draws its own ones in another way, so that these stay unseen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["BLANK_KINDS", "draw_blank_frames"]

Pixels = npt.NDArray[np.uint8]
_Plane = npt.NDArray[np.float64]


def _dark(rng: np.random.Generator, radius: _Plane) -> _Plane:
    """Night: little light, amplified."""
    return rng.exponential(rng.uniform(2, 8), (*radius.shape, 3))


def _overexposed(rng: np.random.Generator, radius: _Plane) -> _Plane:
    """Full sun into the lens, darker in the corners."""
    return (255 - rng.uniform(0, 60) * radius)[..., np.newaxis] * rng.uniform(0.96, 1, 3)


def _fog(rng: np.random.Generator, radius: _Plane) -> _Plane:
    """Soft, pale blotches."""
    coarse = rng.normal(0, 1, (5, 5)).astype(np.float32)
    soft = Image.fromarray(coarse).resize(radius.shape[::-1], Image.Resampling.BICUBIC)
    return rng.uniform(140, 210) + np.asarray(soft)[..., np.newaxis] * rng.uniform(4, 20, 3)


def _noise(rng: np.random.Generator, radius: _Plane) -> _Plane:
    """A sensor without a picture."""
    return rng.uniform(0, 255, (*radius.shape, 3)) * rng.uniform(0.2, 1)


def _lens_cap(rng: np.random.Generator, radius: _Plane) -> _Plane:
    """Black but for a glow at the edge and stripes of the read-out."""
    stripes = rng.normal(0, 1.5, (radius.shape[0], 1))
    return (rng.uniform(0, 30) * radius**2 + 6 + stripes)[..., np.newaxis] * rng.uniform(0.7, 1, 3)


def _gradient(rng: np.random.Generator, radius: _Plane) -> _Plane:
    """A plain surface: one colour, less light to one side."""
    height, width = radius.shape
    across = np.linspace(0, 1, width)[np.newaxis, :, np.newaxis]
    down = np.linspace(0, 1, height)[:, np.newaxis, np.newaxis]
    share = rng.uniform(0, 1)
    light = 1 - rng.uniform(0.1, 0.8) * (share * across + (1 - share) * down)
    return rng.uniform(40, 250, 3) * light + rng.normal(0, 2, (height, width, 1))


BLANK_KINDS: dict[str, Callable[[np.random.Generator, _Plane], _Plane]] = {
    "dark": _dark,
    "overexposed": _overexposed,
    "fog": _fog,
    "noise": _noise,
    "lens cap": _lens_cap,
    "gradient": _gradient,
}


def draw_blank_frames(
    per_kind: int, size: tuple[int, int] = (224, 224), *, seed: int = 0
) -> Pixels:
    """Draw frames of every kind, the same ones every time.

    Args:
        per_kind: how many of each kind.
        size: height and width, in pixels.
        seed: which ones.

    Returns:
        `[kinds * per_kind, height, width, 3]`, RGB, 0-255, in the order of `BLANK_KINDS`.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    down, across = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    radius = np.hypot(down[:, np.newaxis], across) / np.sqrt(2)
    frames = [draw(rng, radius) for draw in BLANK_KINDS.values() for _ in range(per_kind)]
    return np.stack([np.rint(frame.clip(0, 255)).astype(np.uint8) for frame in frames])
