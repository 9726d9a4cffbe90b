"""Statistics of one image file, decoded as the runner decodes it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from edgebee.edge.classify import MAX_PIXELS, PhotoError, open_image, read_photo

__all__ = [
    "MAX_THUMBNAILS",
    "NO_THUMBNAILS",
    "THUMBNAIL_SIDE_PX",
    "Header",
    "ImageStats",
    "Pixels",
    "inspect_photo",
]

Pixels: TypeAlias = npt.NDArray[np.uint8]

DECODED_SIDE_PX = 128
"""A photo is decoded with its long side this long: a JPEG decodes to that quickly."""

THUMBNAIL_SIDE_PX = 32
"""Photos are compared as grey squares of this side."""

MAX_THUMBNAILS = 2
"""Of a photo: the whole, and its centre square."""

NO_THUMBNAILS = np.zeros((0, THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), np.uint8)

CENTRE_TRIM = 0.05
"""Where the centre square leaves out less than this share, it is the whole over again."""

FLAT_STEP = 1
"""Neighbouring pixels that differ by no more than this, of 255, are flat."""

COLOUR_SHARE = 0.97
"""Colours are counted until they cover this share of the picture."""

FILLING, FILLING_STEP = 128, 2
"""The grey that a JPEG decoder puts where data is missing, and how far scaling moves it."""

_SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations that exchange width and height
_TRANSPARENT_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
# What Pillow raises for files that are corrupted behind their first bytes.
_HEADER_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Attributes:
        format: in Pillow's words (`JPEG`, `MPO`, `PNG` ...), by content, not by ending.
        mode: what its pixels are, in Pillow's words (`RGB`, `CMYK`, `I;16` ...).
        width_px: of the upright picture.
        height_px: of the upright picture.
        animated: whether it has more frames or pages than one.
        transparent: whether a pixel of it is not opaque.
    """

    format: str
    mode: str
    width_px: int
    height_px: int
    animated: bool
    transparent: bool


@dataclass(frozen=True, slots=True)
class ImageStats:
    """Statistics of one file.

    Attributes:
        digest: SHA-256 of its bytes; empty when it could not be opened.
        fault: why it cannot be read, in the runner's words; empty when it can.
        header: what it says of itself; None when that makes no sense.
        contrast: standard deviation of its grey values, 0-127.5.
        flat_share: share of pixels that hardly differ from their neighbours, 0-1.
        colours: how many colours, at 4 bits a channel, cover nearly all of it.
        missing_share: share of its height, from below, that is a decoder's filling, 0-1.
        thumbnails: grey, uint8 [n, 32, 32]: the whole squeezed to a square, then its centre
            square where that shows less; n is 0 when it cannot be read.
    """

    digest: bytes
    fault: str = ""
    header: Header | None = None
    contrast: float = 0.0
    flat_share: float = 0.0
    colours: int = 0
    missing_share: float = 0.0
    thumbnails: Pixels = field(default_factory=lambda: NO_THUMBNAILS)


def inspect_photo(path: Path) -> ImageStats:
    """Decode the file `path`; a problem with it is in the result, not raised."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageStats(b"", fault=f"cannot be opened ({error.strerror or error})")
    digest = hashlib.sha256(content).digest()
    if not content:
        return ImageStats(digest, fault="cannot be read as a photo (empty file)")
    header = _header(content)
    try:
        pixels = read_photo(content, _decoded_size(header))
    except PhotoError as error:
        return ImageStats(digest, fault=str(error).removeprefix("photo: "), header=header)
    if header is not None:  # decodes in full, so only what the runner did not find too large
        header = replace(header, transparent=_is_transparent(content))
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    return ImageStats(
        digest,
        header=header,
        contrast=float(grey.std()),
        flat_share=_flat_share(pixels),
        colours=_colours(pixels),
        missing_share=_missing_share(pixels),
        thumbnails=_thumbnails(grey),
    )


def _header(content: bytes) -> Header | None:
    try:
        with open_image(content) as image:
            width, height = image.size
            # Of a PNG it is read with all pixels, which the runner refuses if they are too many.
            too_large = image.format == "PNG" and width * height > MAX_PIXELS
            if not too_large and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
                width, height = height, width
            return Header(
                format=image.format or "",
                mode=image.mode,
                width_px=width,
                height_px=height,
                # An MPO is a JPEG with a second one behind it, as many phones write.
                animated=image.format != "MPO" and bool(getattr(image, "is_animated", False)),
                transparent=False,
            )
    except _HEADER_FAULTS:
        return None  # the runner says why


def _is_transparent(content: bytes) -> bool:
    try:
        with open_image(content) as image:
            if image.mode not in _TRANSPARENT_MODES and "transparency" not in image.info:
                return False
            least, _ = image.convert("RGBA").getchannel("A").getextrema()
    except _HEADER_FAULTS:
        return False  # behind the first frame, or not as the runner reads it
    return isinstance(least, (int, float)) and least < 255


def _decoded_size(header: Header | None) -> tuple[int, int]:
    """Height and width at which the runner's centre crop shows the whole picture."""
    if header is None:
        return DECODED_SIDE_PX, DECODED_SIDE_PX
    scale = DECODED_SIDE_PX / max(header.width_px, header.height_px)
    return max(1, round(header.height_px * scale)), max(1, round(header.width_px * scale))


def _flat_share(pixels: Pixels) -> float:
    """Share of pixels like both their right and their lower neighbour, 0-1.

    `pixels`: uint8 [height, width, 3].
    """
    if min(pixels.shape[:2]) < 2:
        return 1.0
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.int16)  # three times faster
    down = np.abs(planes[:, 1:, :-1] - planes[:, :-1, :-1]).max(axis=0)
    right = np.abs(planes[:, :-1, 1:] - planes[:, :-1, :-1]).max(axis=0)
    return float(np.mean(np.maximum(down, right) <= FLAT_STEP))


def _colours(pixels: Pixels) -> int:
    red, green, blue = np.moveaxis(pixels.astype(np.int32) >> 4, 2, 0)
    counts = np.bincount((red << 8 | green << 4 | blue).ravel())
    covered = np.cumsum(np.sort(counts)[::-1])
    return int(np.searchsorted(covered, COLOUR_SHARE * covered[-1])) + 1


def _missing_share(pixels: Pixels) -> float:
    """Share of rows, from below, that hold nothing but a decoder's grey, 0-1."""
    off = np.abs(pixels.astype(np.int16) - FILLING).max(axis=(1, 2))
    real = np.flatnonzero(off > FILLING_STEP)
    return 1 - (int(real[-1]) + 1) / len(pixels) if len(real) else 1.0


def _thumbnails(grey: Pixels) -> Pixels:
    """Thumbnails of a grey picture, uint8 [1 or 2, 32, 32]."""
    picture, side = Image.fromarray(grey), min(grey.shape)
    boxes = [(0, 0, picture.width, picture.height)]
    if side < (1 - CENTRE_TRIM) * max(grey.shape):
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        boxes.append((left, top, left + side, top + side))
    size = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    return np.stack([np.asarray(picture.resize(size, Image.Resampling.BOX, box)) for box in boxes])
