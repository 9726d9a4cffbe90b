"""The page's icon: a bee, as in the documentation's, drawn in any size."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

__all__ = ["draw_icon"]

_OVERSAMPLING = 4
_GROUND, _BODY, _STRIPES, _WINGS = "#fff4d6", "#ffb300", "#222222", "#9ec9e8"


def draw_icon(side: int, *, rounded: bool = True) -> bytes:
    """A square PNG picture.

    Args:
        side: pixels.
        rounded: with round corners, transparent outside; without, systems cut it to their shape.
    """
    big = side * _OVERSAMPLING
    unit = big / 48
    image = Image.new("RGBA", (big, big), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, big - 1, big - 1), 10 * unit if rounded else 0, fill=_GROUND)
    for x, angle in ((19, 30), (29, -30)):
        _draw_wing(image, (x * unit, 18 * unit), unit, angle)
    body = Image.new("L", (big, big))
    ImageDraw.Draw(body).ellipse([16 * unit, 18 * unit, 32 * unit, 38 * unit], fill=255)
    bee = Image.new("RGBA", (big, big), _BODY)
    for y in (22.5, 27.5, 32.5):
        ImageDraw.Draw(bee).rectangle([0, y * unit, big, (y + 3) * unit], fill=_STRIPES)
    image.paste(bee, mask=body)
    buffer = io.BytesIO()
    image.resize((side, side), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _draw_wing(image: Image.Image, centre: tuple[float, float], unit: float, angle: int) -> None:
    wing = Image.new("L", image.size)
    x, y = centre
    box = (x - 5 * unit, y - 8 * unit, x + 5 * unit, y + 8 * unit)
    ImageDraw.Draw(wing).ellipse(box, fill=255)
    wing = wing.rotate(angle, Image.Resampling.BICUBIC, center=centre)
    image.paste(Image.new("RGBA", image.size, _WINGS), mask=wing)
