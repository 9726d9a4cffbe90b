"""The page's icon: a bee, as in the documentation's, in any size."""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageDraw

__all__ = ["draw_icon"]

_DRAWN_PX = 1024
_UNITS = 48
"""Of the drawing's side."""
_GROUND, _BODY, _STRIPES, _WINGS = "#fff4d6", "#ffb300", "#222222", "#9ec9e8"


def draw_icon(side: int, *, rounded: bool = True) -> bytes:
    """A square PNG picture.

    Args:
        side: pixels, at most 512.
        rounded: with round corners, transparent outside; without, systems cut it to their shape.
    """
    buffer = io.BytesIO()
    icon = _draw_bee(rounded).resize((side, side), Image.Resampling.LANCZOS)
    icon.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


@functools.cache
def _draw_bee(rounded: bool) -> Image.Image:
    unit = _DRAWN_PX / _UNITS
    image = Image.new("RGBA", (_DRAWN_PX, _DRAWN_PX), (0, 0, 0, 0))
    corner = 10 * unit if rounded else 0
    whole = (0, 0, _DRAWN_PX - 1, _DRAWN_PX - 1)
    ImageDraw.Draw(image).rounded_rectangle(whole, corner, fill=_GROUND)
    for x, angle in ((19, 30), (29, -30)):
        _draw_wing(image, (x * unit, 18 * unit), unit, angle)
    body = Image.new("L", image.size)
    ImageDraw.Draw(body).ellipse([16 * unit, 18 * unit, 32 * unit, 38 * unit], fill=255)
    bee = Image.new("RGBA", image.size, _BODY)
    for y in (22.5, 27.5, 32.5):
        ImageDraw.Draw(bee).rectangle([0, y * unit, _DRAWN_PX, (y + 3) * unit], fill=_STRIPES)
    image.paste(bee, mask=body)
    return image


def _draw_wing(image: Image.Image, centre: tuple[float, float], unit: float, angle: int) -> None:
    wing = Image.new("L", image.size)
    x, y = centre
    box = (x - 5 * unit, y - 8 * unit, x + 5 * unit, y + 8 * unit)
    ImageDraw.Draw(wing).ellipse(box, fill=255)
    wing = wing.rotate(angle, Image.Resampling.BICUBIC, center=centre)
    image.paste(Image.new("RGBA", image.size, _WINGS), mask=wing)
