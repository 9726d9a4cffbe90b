"""A pen that draws in an insect's own frame, and the colours it mixes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["OUTLINE", "Colour", "Pen", "Points", "mix", "vary"]

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0-255."""

Points: TypeAlias = npt.NDArray[np.float64]
"""Points as rows of x and y, float64 [n, 2]."""

OUTLINE = np.linspace(0, 2 * math.pi, 32, endpoint=False)
"""The angles at which a curved outline has its corners, in radians."""


@dataclass(frozen=True)
class Pen:
    """Draws on a layer in a frame of reference of its own.

    Attributes:
        draw: the layer.
        frame: the affine matrix from that frame to the layer's pixels, float64 [2, 3].
    """

    draw: ImageDraw.ImageDraw
    frame: Points

    def at(self, x: float, y: float, turn: float = 0.0) -> Pen:
        """Return this pen in a frame moved to (x, y) and turned by `turn` radians."""
        cos, sin = math.cos(turn), math.sin(turn)
        return replace(
            self, frame=self.frame @ np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])
        )

    def on(self, layer: Image.Image) -> Pen:
        """Return a pen of the same frame on another layer."""
        return replace(self, draw=ImageDraw.Draw(layer))

    def pixels(self, points: Points | Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return where `points` of the frame lie on the layer."""
        xy = np.asarray(points, np.float64) @ self.frame[:, :2].T + self.frame[:, 2]
        return list(map(tuple, xy.tolist()))

    def polygon(self, points: Points, colour: tuple[int, ...]) -> None:
        """Fill the outline `points`."""
        self.draw.polygon(self.pixels(points), fill=colour)

    def egg(self, rx: float, ry: float, colour: tuple[int, ...], taper: float = 0.0) -> None:
        """Fill an egg around the origin; `taper` > 0 makes its end at -x the slim one."""
        self.polygon(_egg(rx, ry, taper), colour)

    def stroke(self, points: Sequence[tuple[float, float]], width: float, colour: Colour) -> None:
        """Draw a round-ended line, `width` in the frame's unit."""
        corners = self.pixels(points)
        width_px = max(1.0, width * math.hypot(self.frame[0, 0], self.frame[1, 0]))
        self.draw.line(corners, fill=colour, width=round(width_px), joint="curve")
        r = width_px / 2
        for x, y in corners:
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def hairline(self, points: Sequence[tuple[float, float]], colour: tuple[int, ...]) -> None:
        """Draw a line two pixels of the layer wide."""
        self.draw.line(self.pixels(points), fill=colour, width=2)

    def gloss(self, rx: float, ry: float, light: tuple[float, float], strength: int) -> None:
        """Lay ever brighter spots towards `light` in an egg, which makes it look round.

        `strength` is the opacity of the brightest, 0-255.
        """
        for step in range(1, 9):
            size = 1 - step / 9
            shift = np.array(light) * (1 - size) * min(rx, ry)
            spot = _egg(rx * size, ry * size, 0.0) + shift
            self.polygon(spot, (255, 250, 235, strength * step // 8))


def _egg(rx: float, ry: float, taper: float) -> Points:
    cos, sin = np.cos(OUTLINE), np.sin(OUTLINE)
    return np.stack([rx * cos, ry * sin * (1 + taper * cos)], axis=1)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return `one` with a `share` of `other` in it, 0-1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def vary(colour: Colour, rng: np.random.Generator, spread: float = 12.0) -> Colour:
    """Return a neighbour: lighter or darker by about `spread`, of nearly the same hue."""
    shifted = rng.normal(colour, 0.3 * spread) + rng.normal(0, spread)
    red, green, blue = (int(c) for c in np.clip(shifted, 0, 255))
    return (red, green, blue)
