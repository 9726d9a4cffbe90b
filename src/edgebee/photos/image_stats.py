"""Statistics of one image file, decoded as the runner decodes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.edge.classify import PhotoError, decode_image
from edgebee.photos.duplicates import Signature, sign

__all__ = ["ImageStats", "inspect_photo"]

DECODED_SIDE_PX = 128
"""A photo is decoded with its long side this long: a JPEG decodes to that quickly."""

FLAT_STEP = 1
"""Neighbouring pixels that differ by no more than this, of 255, are flat."""

COLOUR_SHARE = 0.97
"""Colours are counted until they cover this share of the picture."""

FILLING, FILLING_STEP = 128, 2
"""The grey that a JPEG decoder puts where data is missing, and how far scaling moves it."""


@dataclass(frozen=True, slots=True)
class ImageStats:
    """Statistics of one file.

    Attributes:
        digest: SHA-256 of its bytes; empty when it could not be opened.
        fault: why it cannot be read, in the runner's words; empty when it can.
        short_side_px: of the picture, up to `DECODED_SIDE_PX` or more.
        contrast: standard deviation of its grey values, 0-127.5.
        flat_share: share of pixels that hardly differ from their neighbours, 0-1.
        colours: how many colours, at 4 bits a channel, cover nearly all of it.
        missing_share: share of its height, from below, that is a decoder's filling, 0-1.
        signature: to compare it with others; None when it cannot be read or shows nothing.
    """

    digest: bytes
    fault: str = ""
    short_side_px: float = 0.0
    contrast: float = 0.0
    flat_share: float = 0.0
    colours: int = 0
    missing_share: float = 0.0
    signature: Signature | None = None


def inspect_photo(path: Path) -> ImageStats:
    """Decode the file `path`; a problem with it is in the result, not raised."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageStats(b"", fault=f"cannot be opened ({error.strerror or error})")
    digest = hashlib.sha256(content).digest()
    try:
        decoded = decode_image(path, (DECODED_SIDE_PX, DECODED_SIDE_PX))
    except PhotoError as error:
        reason = str(error).removeprefix(f"{path}: unreadable (")
        return ImageStats(digest, fault="".join(reason.rsplit(")", 1)))
    scale = DECODED_SIDE_PX / max(decoded.width, decoded.height)
    small = decoded.image.resize(
        (max(1, round(decoded.width * scale)), max(1, round(decoded.height * scale))),
        Image.Resampling.BICUBIC,
        box=(0, 0, decoded.width, decoded.height),
        reducing_gap=3.0,
    )
    grey, pixels = np.asarray(small.convert("L")), np.asarray(small)
    return ImageStats(
        digest,
        short_side_px=min(decoded.width, decoded.height),
        contrast=float(grey.std()),
        flat_share=_flat_share(pixels),
        colours=_count_colours(pixels),
        missing_share=_missing_share(pixels),
        signature=sign(grey),
    )


def _flat_share(pixels: npt.NDArray[np.uint8]) -> float:
    """Share of pixels like both their right and their lower neighbour, 0-1.

    Args:
        pixels: `[height, width, 3]`.
    """
    if min(pixels.shape[:2]) < 2:
        return 1.0
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.int16)  # three times faster
    down = np.abs(planes[:, 1:, :-1] - planes[:, :-1, :-1]).max(axis=0)
    right = np.abs(planes[:, :-1, 1:] - planes[:, :-1, :-1]).max(axis=0)
    return float(np.mean(np.maximum(down, right) <= FLAT_STEP))


def _count_colours(pixels: npt.NDArray[np.uint8]) -> int:
    """How many colours, at 4 bits a channel, cover nearly all of a picture."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32) >> 4, 2, 0)
    counts = np.bincount((red << 8 | green << 4 | blue).ravel())
    covered = np.cumsum(np.sort(counts)[::-1])
    return int(np.searchsorted(covered, COLOUR_SHARE * covered[-1])) + 1


def _missing_share(pixels: npt.NDArray[np.uint8]) -> float:
    """Share of rows, from below, that hold nothing but a decoder's grey, 0-1."""
    off = np.abs(pixels.astype(np.int16) - FILLING).max(axis=(1, 2))
    real = np.flatnonzero(off > FILLING_STEP)
    return 1 - (int(real[-1]) + 1) / len(pixels) if len(real) else 1.0
