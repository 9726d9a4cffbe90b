"""Corruptions: the validation photos as a bad day in the field would have taken them.

Seven ways, each at two severities, moderate (0) and strong (1), applied to the whole photo
before it is cropped. Lengths are shares of the photo's short side, so that a severity means
the same at every resolution. They share no code with the images that a training is shown
(`edgebee.train.augmentation`): a model must not be judged with the very functions that made it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["DISTORTIONS", "SEVERITIES"]

Pixels = npt.NDArray[np.uint8]
RNG = np.random.Generator

SEVERITIES = {"moderate": 0.0, "strong": 1.0}


def _mix(severity: float, moderate: float, strong: float) -> float:
    return moderate + (strong - moderate) * severity


def _convolve(photo: Pixels, kernel: npt.NDArray[np.float64]) -> Pixels:
    """The photo seen through a small kernel `[k, k]`, k odd; mirrored beyond its edges."""
    m = kernel.shape[0] // 2
    padded = np.pad(photo.astype(np.float32), ((m, m), (m, m), (0, 0)), mode="reflect")
    size = padded.shape[:2]
    response = np.fft.rfft2(kernel, size)[..., np.newaxis]
    blurred = np.fft.irfft2(np.fft.rfft2(padded, axes=(0, 1)) * response, size, axes=(0, 1))
    return np.clip(blurred[2 * m :, 2 * m :] + 0.5, 0, 255).astype(np.uint8)


def corrupt_defocus(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """Disk of radius 1.2 % (moderate) to 2.5 % (strong) of the short side."""
    r = _mix(severity, 0.012, 0.025) * min(photo.shape[:2])
    m = math.ceil(r)
    y, x = np.mgrid[-m : m + 1, -m : m + 1]
    disk = np.clip(r + 0.5 - np.hypot(x, y), 0, 1)
    return _convolve(photo, disk / disk.sum())


def corrupt_motion(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """Line of length 5 % to 10 % of the short side at a random angle."""
    length = _mix(severity, 0.05, 0.10) * min(photo.shape[:2])
    angle = rng.uniform(0, math.pi)
    m = math.ceil(length / 2) + 1
    y, x = np.mgrid[-m : m + 1, -m : m + 1]
    along = abs(x * math.cos(angle) + y * math.sin(angle))
    across = abs(-x * math.sin(angle) + y * math.cos(angle))
    line = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return _convolve(photo, line / line.sum())


def corrupt_noise(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """Shot and read noise of standard deviation 25 to 50 (of 255) at mid-grey, every pixel."""
    full_well = (127.5 / _mix(severity, 25, 50)) ** 2 * 2
    shot = rng.poisson(photo / 255 * full_well) / full_well * 255
    noisy = shot + rng.normal(0, 6, photo.shape)
    return np.asarray(np.clip(noisy + 0.5, 0, 255), np.uint8)


def corrupt_dusk(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """Light cut to 30 % to 15 %, bluish cast, read noise of 4 to 8."""
    cast = np.array([0.85, 0.95, 1.15])
    x = photo * _mix(severity, 0.30, 0.15) * cast
    x += rng.normal(0, _mix(severity, 4, 8), photo.shape)
    return np.asarray(np.clip(x + 0.5, 0, 255), np.uint8)


def corrupt_jpeg(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """JPEG at quality 12 to 5, chroma halved."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=round(_mix(severity, 12, 5)), subsampling=2)
    return np.asarray(Image.open(buffer))


def _smaller(photo: Pixels, share: float) -> Pixels:
    h, w = photo.shape[:2]
    size = (max(1, round(w * share)), max(1, round(h * share)))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def corrupt_far(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """Photo shrunk to 50 % to 35 %, centred on its own blurred enlargement."""
    h, w = photo.shape[:2]
    tile = _smaller(photo, _mix(severity, 0.50, 0.35))
    blur = ImageFilter.GaussianBlur(0.08 * min(h, w))
    out = np.array(Image.fromarray(photo).filter(blur))
    y, x = (h - tile.shape[0]) // 2, (w - tile.shape[1]) // 2
    out[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return out


def corrupt_small(rng: RNG, photo: Pixels, severity: float) -> Pixels:
    """Photo shrunk to 60 % to 45 % and off-centre; mirrored outwards to fill the frame.

    It is put so that its centre lies 15 % of the short side from the frame's centre.
    """
    h, w = photo.shape[:2]
    tile = _smaller(photo, _mix(severity, 0.60, 0.45))
    angle = rng.uniform(0, 2 * math.pi)
    away = 0.15 * min(h, w)
    top = round((h - tile.shape[0]) / 2 + away * math.sin(angle))
    left = round((w - tile.shape[1]) / 2 + away * math.cos(angle))
    top = min(max(top, 0), h - tile.shape[0])
    left = min(max(left, 0), w - tile.shape[1])
    pad = ((top, h - tile.shape[0] - top), (left, w - tile.shape[1] - left), (0, 0))
    return np.pad(tile, pad, mode="symmetric")


DISTORTIONS: dict[str, Callable[[RNG, Pixels, float], Pixels]] = {
    "defocus": corrupt_defocus,
    "motion": corrupt_motion,
    "noise": corrupt_noise,
    "dusk": corrupt_dusk,
    "jpeg": corrupt_jpeg,
    "far": corrupt_far,
    "small": corrupt_small,
}
