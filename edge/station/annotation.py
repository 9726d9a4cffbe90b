"""Pictures with the answer drawn on: upright, in full resolution, readable at any size."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFont

from edgebee.edge.classify import UNKNOWN, Prediction, read_photo

__all__ = ["annotate", "caption", "full_pixels", "save_jpeg"]

Font: TypeAlias = ImageFont.ImageFont | ImageFont.FreeTypeFont

_TEXT_SHARE = 0.05  # height of the letters, of the picture's short side
_TEXT_MIN_PX = 16
_TEXT_MAX_PX = 400
_BAND_SHARE_MOST = 0.25  # a taller band would hide the subject: it goes below the picture
_BAND_OPACITY = 0.62
_LETTERS = (255, 255, 255)
_BAND = (16, 16, 16)
_JPEG_QUALITY = 90
_BROKEN_EXIF = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error)


def caption(answer: Prediction) -> str:
    """What is written on the picture: `bees 0.957`, or `unknown (ants 0.531)`."""
    best = next(iter(answer.scores), answer.label)
    said = f"{best} {answer.score:.3f}"
    return f"{UNKNOWN} ({said})" if answer.label == UNKNOWN else said


def full_pixels(photo: Path) -> npt.NDArray[np.uint8]:
    """Read a photo upright and in its full resolution: `uint8 [H, W, 3]`, RGB, 0-255.

    Raises:
        PhotoError: it cannot be read.
    """
    size = None
    with contextlib.suppress(*_BROKEN_EXIF), Image.open(photo) as image:
        size = image.size
        orientation = 1
        if image.format == "TIFF":  # Pillow turns it while loading
            image.load()
            size = image.size
        else:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        size = size[::-1] if orientation in (5, 6, 7, 8) else size
    width, height = size or (1, 1)  # no picture: `read_photo` says what is wrong with it
    return read_photo(photo, (height, width))


def annotate(pixels: npt.NDArray[np.uint8], text: str) -> Image.Image:
    """Draw `text` on a picture.

    The letters are a twentieth of the picture's short side, and at least 16 pixels. They
    stand on a dark band along the lower edge, or below the picture where the band would
    hide more than a quarter of it, or the text be wider than the picture.

    Args:
        pixels: `uint8 [H, W, 3]`, RGB, 0-255; left as it is.
        text: one line.

    Returns:
        An RGB picture, at least as wide and high.
    """
    photo = Image.fromarray(pixels)
    letters = min(max(round(min(photo.size) * _TEXT_SHARE), _TEXT_MIN_PX), _TEXT_MAX_PX)
    line = _render_line(text, letters)
    margin = letters // 2
    band_height = line.height + 2 * margin
    width = max(photo.width, line.width + 2 * margin)
    inside = band_height <= photo.height * _BAND_SHARE_MOST and width == photo.width
    top = photo.height - band_height if inside else photo.height
    picture = Image.new("RGB", (width, top + band_height), _BAND)
    picture.paste(photo, ((width - photo.width) // 2, 0))
    if inside:
        box = (0, top, width, top + band_height)
        darkened = Image.blend(picture.crop(box), Image.new("RGB", line_box(box), _BAND),
                               _BAND_OPACITY)  # fmt: skip
        picture.paste(darkened, box)
    picture.paste(_LETTERS, (margin, top + margin), line)
    return picture


def line_box(box: tuple[int, int, int, int]) -> tuple[int, int]:
    """Width and height of a box (left, top, right, bottom)."""
    return box[2] - box[0], box[3] - box[1]


def save_jpeg(image: Image.Image, path: Path) -> None:
    """Write a picture as JPEG, whatever the path ends in."""
    image.save(path, "JPEG", quality=_JPEG_QUALITY)


def _render_line(text: str, height: int) -> Image.Image:
    """`text` as a grey mask, letters about `height` pixels high."""
    font = _font(height)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    if isinstance(font, ImageFont.FreeTypeFont):
        return mask
    # Pillow's built-in bitmap font has one size, 11 pixels.
    scale = max(height / mask.height, 1)
    return mask.resize((round(mask.width * scale), round(mask.height * scale)))


def _font(height: int) -> Font:
    """A font that can write the label: the system's DejaVu (most alphabets), else Pillow's own."""
    with contextlib.suppress(OSError):
        return ImageFont.truetype("DejaVuSans.ttf", height)
    try:
        return ImageFont.load_default(height)
    except (TypeError, ImportError):  # before Pillow 10.1, or without FreeType
        return ImageFont.load_default()
