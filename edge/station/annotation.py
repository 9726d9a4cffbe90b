"""Photos with the prediction drawn on: upright, in full resolution, readable at any size."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from edgebee.edge.classify import (
    UNKNOWN,
    DecodedImage,
    PhotoError,
    Prediction,
    decode_image,
    resize_image,
)

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
_SIDES = (1_000_000, 3000, 1500, 700)
"""Sides that a decoded JPEG has to cover, in pixels: in full first, then smaller and smaller."""

_FONTS = (
    "DejaVuSans.ttf",  # Latin, Greek, Cyrillic, Arabic, Hebrew, ...
    "NotoSansCJK-Regular.ttc",  # Chinese, Japanese, Korean
    "wqy-zenhei.ttc",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "Symbola.ttf",
    "unifont.ttf",
    "Arial Unicode.ttf",  # macOS
    "msyh.ttc",  # Windows
    "malgun.ttf",
    "segoeui.ttf",
)
_NO_LETTER = "\U0010ffff"  # which no font has

_log = logging.getLogger("edgebee.edge.station")


def caption(prediction: Prediction) -> str:
    """What is written on the photo: `bees 0.957`, or `unknown (ants 0.531)`."""
    best = next(iter(prediction.scores), prediction.label)
    text = f"{best} {prediction.score:.3f}"
    return f"{UNKNOWN} ({text})" if prediction.label == UNKNOWN else text


def full_pixels(photo: Path) -> npt.NDArray[np.uint8]:
    """Read a photo upright, in its full resolution: `uint8 [H, W, 3]`, RGB, 0-255.

    A JPEG that is too large to be held in full is read smaller.

    Raises:
        PhotoError: it cannot be read.
    """
    *larger, smallest = _SIDES
    for side in larger:
        try:
            return _upright_pixels(decode_image(photo, (side, side)))
        except PhotoError as error:
            if not isinstance(error.__cause__, Image.DecompressionBombError):
                raise
    return _upright_pixels(decode_image(photo, (smallest, smallest)))


def _upright_pixels(decoded: DecodedImage) -> npt.NDArray[np.uint8]:
    width, height = round(decoded.width), round(decoded.height)
    on_its_side = decoded.orientation in (5, 6, 7, 8)
    return resize_image(decoded, (width, height) if on_its_side else (height, width))


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
        band = picture.crop((0, top, width, top + band_height))
        dark = Image.new("RGB", band.size, _BAND)
        picture.paste(Image.blend(band, dark, _BAND_OPACITY), (0, top))
    picture.paste(_LETTERS, (margin, top + margin), line)
    return picture


def save_jpeg(image: Image.Image, path: Path) -> None:
    """Write a picture as JPEG, whatever the path ends in."""
    image.save(path, "JPEG", quality=_JPEG_QUALITY)


def _render_line(text: str, height: int) -> Image.Image:
    """`text` as a grey mask, letters about `height` pixels high."""
    font = _font(text, height)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    if isinstance(font, ImageFont.FreeTypeFont):
        return mask
    # Pillow's built-in bitmap font has one size, 11 pixels.
    scale = max(height / mask.height, 1)
    return mask.resize((round(mask.width * scale), round(mask.height * scale)))


def _font(text: str, height: int) -> Font:
    """A font that has all letters of a text, else the first there is; Pillow's own if none."""
    found = [font for name in _FONTS if (font := _load_font(name, height))]
    for font in found:
        if _has_letters(font, text):
            return font
    if not text.isascii():
        _log_missing_letters(text.rpartition(" ")[0])
    if found:
        return found[0]
    try:
        return ImageFont.load_default(height)
    except (TypeError, ImportError):  # before Pillow 10.1, or without FreeType
        return ImageFont.load_default()


@functools.lru_cache(maxsize=64)
def _load_font(name: str, height: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, height)
    except (OSError, ImportError):  # it is not installed; Pillow without FreeType
        return None


def _has_letters(font: ImageFont.FreeTypeFont, text: str) -> bool:
    """Whether no letter is drawn as the box that stands for a missing one."""
    missing = bytes(font.getmask(_NO_LETTER))
    return all(char.isascii() or bytes(font.getmask(char)) != missing for char in text)


@functools.cache  # once for each label
def _log_missing_letters(label: str) -> None:
    _log.warning(
        "%s: no font here has all its letters, so boxes are drawn: sudo apt install "
        "fonts-noto-cjk fonts-noto-core",
        label,
    )
