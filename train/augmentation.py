"""Augmentation: what one training photo could also have looked like.

A camera in a field gives blur, motion, sensor noise, dusk, strong compression, low detail
and small subjects off the centre. The first image of a photo is plain, as the runner will
see it; the others show it framed and lit differently, each with one of these corruptions.
Which mix, and how strong, was chosen by cross-validation within the training photos
(`python -m edgebee.benchmarks.studies settings`).

Everything is done at the size of the model's input, in Pillow and NumPy, from one decoded
photo, so that an image costs a millisecond or two.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from edgebee.edge.classify import read_photo

__all__ = [
    "CORRUPTIONS",
    "AugmentedImage",
    "DecodedPhoto",
    "augment_photo",
    "light",
    "random_crop",
    "small_subject",
]

Pixels = npt.NDArray[np.uint8]
RNG = np.random.Generator


@dataclass(frozen=True)
class AugmentedImage:
    """One image made of a photo."""

    pixels: Pixels
    """`uint8 [side, side, 3]`, RGB."""
    uncorrupted: int
    """Number of the image that shows the same without corruption; its own if it has none."""


class DecodedPhoto:
    """A photo at the size of the model's input and at twice that, each decoded when asked for.

    Args:
        photo: its path or its content.
        side_px: side of the model's input.
    """

    def __init__(self, photo: Path | bytes, side_px: int) -> None:
        self.photo, self.side_px = photo, side_px

    @cached_property
    def plain(self) -> Pixels:
        """As the runner will see it, `uint8 [side, side, 3]`.

        Raises:
            PhotoError: the photo cannot be read.
        """
        return read_photo(self.photo, (self.side_px, self.side_px))

    @cached_property
    def large(self) -> Image.Image:
        """The same at twice the size, so that crops of it stay sharp.

        Raises:
            PhotoError: the photo cannot be read.
        """
        return Image.fromarray(read_photo(self.photo, (2 * self.side_px, 2 * self.side_px)))


def augment_photo(source: DecodedPhoto, count: int, rng: RNG) -> Iterator[AugmentedImage]:
    """Make `count` images of one photo: plain, differently framed and lit, then corrupted.

    Image 0 is what the runner will see. Image 1 is a good photo taken a little differently.
    The others show one of them with a corruption each, no corruption twice while there are others.

    Args:
        source: the photo.
        count: how many, 1 or more.
        rng: decides everything but image 0.

    Raises:
        PhotoError: the photo cannot be read.
    """
    plain, side_px = source.plain, source.side_px
    yield AugmentedImage(plain, 0)
    if count == 1:
        return
    photo = source.large
    varied = light(rng, random_crop(rng, photo, side_px))
    yield AugmentedImage(varied, 1)
    corruptions: list[int] = []
    for _ in range(count - 2):
        corruptions = corruptions or rng.permutation(len(CORRUPTIONS) + 1).tolist()
        corruption = corruptions.pop()
        if corruption == len(CORRUPTIONS):
            yield AugmentedImage(light(rng, small_subject(rng, photo, side_px)), 0)
        elif rng.random() < 0.5:
            yield AugmentedImage(CORRUPTIONS[corruption](rng, varied), 1)
        else:
            yield AugmentedImage(
                CORRUPTIONS[corruption](rng, plain if rng.random() < 0.5 else plain[:, ::-1]), 0
            )


def _log_uniform(rng: RNG, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def random_crop(
    rng: RNG, photo: Image.Image, side_px: int, *, scale: tuple[float, float] = (0.35, 1.0)
) -> Pixels:
    """Random resized crop (share `scale` of the central square's area), flip, small turn."""
    w, h = photo.size
    area = min(w, h) ** 2 * rng.uniform(*scale)
    r = _log_uniform(rng, 3 / 4, 4 / 3)
    cw, ch = min(w, math.sqrt(area * r)), min(h, math.sqrt(area / r))
    # Stay near the centre: the model will always see the central square.
    span_x = min(w - cw, max(0.0, (min(w, h) * 1.15 - cw)))
    span_y = min(h - ch, max(0.0, (min(w, h) * 1.15 - ch)))
    x = (w - cw) / 2 + rng.uniform(-0.5, 0.5) * span_x
    y = (h - ch) / 2 + rng.uniform(-0.5, 0.5) * span_y
    x, y = min(max(x, 0.0), w - cw), min(max(y, 0.0), h - ch)
    out = photo.resize(
        (side_px, side_px), Image.Resampling.BILINEAR, box=(x, y, x + cw, y + ch), reducing_gap=2.0
    )
    if rng.random() < 0.5:
        out = out.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.5:
        fill = tuple(int(c) for c in np.asarray(out.resize((1, 1), Image.Resampling.BOX))[0, 0])
        out = out.rotate(float(rng.uniform(-15, 15)), Image.Resampling.BILINEAR, fillcolor=fill)
    return np.asarray(out)


def light(rng: RNG, pixels: Pixels) -> Pixels:
    """Random exposure, contrast, saturation and white balance, in one linear map per pixel."""
    gain = np.exp(rng.uniform(-0.25, 0.25)) * np.exp(rng.uniform(-0.08, 0.08, 3))
    contrast = np.exp(rng.uniform(-0.25, 0.25))
    saturation = np.exp(rng.uniform(-0.35, 0.35))
    grey = np.tile(np.array([[0.299], [0.587], [0.114]]), (1, 3))
    matrix = (saturation * np.eye(3) + (1 - saturation) * grey) * gain[None] * contrast
    flat = pixels.reshape(-1, 3).astype(np.float32)
    mean = np.full(len(flat), 1 / len(flat), np.float32) @ flat  # 20 times faster than flat.mean(0)
    offset = (mean @ (np.diag(gain))) - mean @ matrix
    out = flat @ matrix.astype(np.float32)
    out += offset.astype(np.float32) + 0.5
    lit: Pixels = np.clip(out, 0, 255).astype(np.uint8).reshape(pixels.shape)
    return lit


def defocus(rng: RNG, pixels: Pixels) -> Pixels:
    """Blur of 0.6-2.7 % of the side: Gaussian, or two boxes (flatter, nearer a lens's disk)."""
    sigma = _log_uniform(rng, 0.005, 0.022) * pixels.shape[0]
    image = Image.fromarray(pixels)
    if rng.random() < 0.5:
        return np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)))
    return np.asarray(
        image.filter(ImageFilter.BoxBlur(sigma * 1.2)).filter(ImageFilter.BoxBlur(sigma * 0.7))
    )


def motion_blur(rng: RNG, pixels: Pixels) -> Pixels:
    """Straight motion of 3-12 % of the side in any direction: mean of shifted copies."""
    side = pixels.shape[0]
    length = rng.uniform(0.03, 0.12) * side
    angle = rng.uniform(0, math.pi)
    n = max(2, round(length / 1.5))
    t = np.linspace(-length / 2, length / 2, n)
    dx, dy = np.rint(t * math.cos(angle)).astype(int), np.rint(t * math.sin(angle)).astype(int)
    m = int(max(abs(dx).max(), abs(dy).max()))
    wide = np.pad(pixels, ((m, m), (m, m), (0, 0)), mode="edge").astype(np.uint16)
    total = np.zeros(pixels.shape, np.uint16)
    for x, y in zip(dx, dy, strict=True):
        total += wide[m + y : m + y + side, m + x : m + x + side]
    moved: Pixels = (total // n).astype(np.uint8)
    return moved


def sensor_noise(rng: RNG, pixels: Pixels) -> Pixels:
    """Sensor noise: standard deviation grows with the square root of the light; may be blotchy."""
    s = _log_uniform(rng, 8, 42)
    shape = pixels.shape if rng.random() < 0.75 else (*pixels.shape[:2], 1)
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.3:  # in-camera smoothing makes grains of about two pixels
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) * np.float32(0.6)
    deviations = s * np.sqrt(np.arange(256, dtype=np.float32) / 255 + 0.08)
    noisy: Pixels = np.clip(pixels + deviations[pixels] * noise + 0.5, 0, 255).astype(np.uint8)
    return noisy


def dusk(rng: RNG, pixels: Pixels) -> Pixels:
    """Too little light: 12-50 % exposure, gamma, colour cast, noise that does not shrink."""
    exposure = _log_uniform(rng, 0.12, 0.5)
    gamma = rng.uniform(0.9, 1.4)
    warm = rng.uniform(-0.25, 0.25)
    cast = np.array([1 + warm, 1.0, 1 - warm], np.float32)
    levels = (np.arange(256, dtype=np.float32) / 255) ** np.float32(gamma) * (255 * exposure)
    x = levels[pixels] * cast
    x += _log_uniform(rng, 1.5, 10) * rng.standard_normal(x.shape, dtype=np.float32)
    dark: Pixels = np.clip(x + 0.5, 0, 255).astype(np.uint8)
    return dark


def jpeg_artifacts(rng: RNG, pixels: Pixels) -> Pixels:
    """JPEG at quality 5-35, sometimes at 1.5 x the side so that blocks come out smaller."""
    image = Image.fromarray(pixels)
    side = image.size[0]
    bigger = rng.random() < 0.5
    if bigger:
        image = image.resize((side * 3 // 2,) * 2, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(_log_uniform(rng, 5, 35)))
    image = Image.open(buffer).convert("RGB")
    if bigger:
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image)


def low_resolution(rng: RNG, pixels: Pixels) -> Pixels:
    """Far away, then enlarged: the image holds only 48-120 of 224 pixels' detail."""
    side = pixels.shape[0]
    small = round(side * _log_uniform(rng, 0.2, 0.55))
    image = Image.fromarray(pixels).resize((small, small), Image.Resampling.BOX)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def small_subject(rng: RNG, photo: Image.Image, side_px: int) -> Pixels:
    """The photo at 30-75 % of the image, anywhere; the rest mirrored, blurred or plain."""
    w, h = photo.size
    k = side_px * rng.uniform(0.3, 0.75) / min(w, h)
    tw, th = max(8, round(w * k)), max(8, round(h * k))
    tile = photo.resize((tw, th), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if rng.random() < 0.5:
        tile = tile.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    free_x, free_y = side_px - tw, side_px - th
    x = round(free_x / 2 + rng.uniform(-0.5, 0.5) * abs(free_x))
    y = round(free_y / 2 + rng.uniform(-0.5, 0.5) * abs(free_y))
    kind = rng.random()
    if kind < 0.4:
        pixels: Pixels = np.asarray(tile)
        rows, cols = _mirror(np.arange(side_px) - y, th), _mirror(np.arange(side_px) - x, tw)
        mirrored: Pixels = pixels[rows[:, None], cols[None]]
        return mirrored
    if kind < 0.8:
        a = min(w, h)
        back = photo.resize((side_px // 4,) * 2, Image.Resampling.BILINEAR, box=(0, 0, a, a))
        back = back.filter(ImageFilter.GaussianBlur(rng.uniform(1, 4)))
        back = back.resize((side_px, side_px), Image.Resampling.BILINEAR)
    else:
        mean = np.asarray(photo.resize((1, 1), Image.Resampling.BOX))[0, 0]
        back = Image.new("RGB", (side_px, side_px), tuple(int(c) for c in mean))
    back.paste(tile, (x, y))
    return np.asarray(back)


def _mirror(index: npt.NDArray[np.int_], n: int) -> npt.NDArray[np.int_]:
    """Indices of an endlessly mirrored axis of length `n`."""
    index = index % (2 * n)
    return np.minimum(index, 2 * n - 1 - index)


CORRUPTIONS: tuple[Callable[[RNG, Pixels], Pixels], ...] = (
    defocus,
    motion_blur,
    sensor_noise,
    dusk,
    jpeg_artifacts,
    low_resolution,
)
