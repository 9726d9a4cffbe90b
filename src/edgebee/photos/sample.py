"""The `sample` dataset: ants and bees that the project draws itself, from a seed.

They stand in for photos where none can be had: in the demo and in the tests. They are
drawings: they prove that everything works, never how good a model is.

Background, light, pose, place and size come from the same distributions for both classes, and the
coats overlap (black bees, banded ants). What distinguishes them is shape: a slender waist and long
legs against a stout body with wings.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["DRAWINGS_VERSION", "JPEG_QUALITY", "LABELS", "SIZES_PX", "draw_photo", "draw_sample"]

DRAWINGS_VERSION = 3
"""Raised whenever the same seed gives other drawings, so that a kept set is drawn again."""

LABELS = ("ants", "bees")
TRAINING_PER_CLASS = 60
VALIDATION_PER_CLASS = 30
JPEG_QUALITY = 90

SIZES_PX = ((320, 240), (320, 214), (333, 250), (240, 320), (214, 320), (280, 280))
"""Widths and heights."""

LENGTH_PX = 240
"""Of an insect as it is drawn, larger than any in a picture: scaling it smooths its outlines."""

Colour: TypeAlias = tuple[int, int, int]

# The darkest and the lightest colour of a background: soil, sand, stone, wood, a leaf, grass, sky.
GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((58, 40, 28), (138, 104, 74)),
    ((176, 150, 108), (232, 212, 172)),
    ((126, 124, 122), (196, 194, 190)),
    ((120, 78, 44), (204, 154, 100)),
    ((40, 84, 34), (112, 164, 70)),
    ((96, 84, 36), (196, 166, 84)),
    ((110, 160, 212), (226, 234, 240)),
)


# Front, back and bands of each kind.
COATS: dict[str, tuple[tuple[Colour, Colour, Colour], ...]] = {
    "ants": (
        ((34, 28, 26), (24, 20, 20), (60, 52, 46)),
        ((128, 56, 26), (52, 28, 20), (128, 56, 26)),
        ((156, 92, 40), (120, 66, 30), (196, 140, 70)),
        ((70, 44, 26), (36, 26, 22), (220, 180, 80)),
    ),
    "bees": (
        ((188, 138, 64), (66, 42, 24), (206, 158, 76)),
        ((214, 176, 74), (34, 28, 26), (228, 190, 70)),
        ((92, 70, 50), (40, 32, 28), (150, 116, 74)),
        ((52, 46, 44), (30, 26, 26), (84, 76, 68)),
    ),
}
# Ellipses in shares of an insect's length, the abdomen first: place from the middle backward, half
# width, half length, and which colour of its coat.
BODIES: dict[str, tuple[tuple[float, float, float, int], ...]] = {
    "ants": (
        (0.29, 0.13, 0.2, 1),
        (0.07, 0.03, 0.03, 0),
        (-0.08, 0.06, 0.14, 0),
        (-0.22, 0.025, 0.06, 0),
        (-0.33, 0.09, 0.1, 0),
    ),
    "bees": ((0.25, 0.19, 0.29, 1), (-0.35, 0.12, 0.09, 1), (-0.12, 0.17, 0.17, 0)),
}
# Angles of the links of a limb, 0 forward: front, middle and hind leg, antenna; and their roots.
LIMBS = (
    ((0.9, 0.3, 0.1), -0.15),
    ((1.6, 2.1, 2.3), -0.09),
    ((2.1, 2.7, 2.9), -0.03),
    ((0.8, 0.1), -0.4),
)


def draw_sample(folder: Path, seed: int = 0) -> None:
    """Draw the whole set as `folder/{train,val}/{ants,bees}/*.jpg`.

    Every picture has a stream of random numbers of its own, so that one more picture in a
    class changes no other. The same seed gives the same bytes with the same Pillow and NumPy.

    Raises:
        OSError: a folder or file cannot be written.
    """
    counts = {"train": TRAINING_PER_CLASS, "val": VALIDATION_PER_CLASS}
    for half_index, (half, count) in enumerate(counts.items()):
        for class_index, label in enumerate(LABELS):
            class_folder = folder / half / label
            class_folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                rng = np.random.default_rng([seed, half_index, class_index, index])
                name = f"{label.removesuffix('s')}_{index:03d}.jpg"
                draw_photo(label, rng).save(class_folder / name, "JPEG", quality=JPEG_QUALITY)


def draw_photo(label: str, rng: np.random.Generator) -> Image.Image:
    """Draw one picture of class `label`, `ants` or `bees`.

    Returns:
        An RGB picture of one of `SIZES_PX`.
    """
    picture = _background(rng, *SIZES_PX[rng.integers(len(SIZES_PX))])
    # An ant is slim: its longer body covers the same share of the picture as a bee's.
    length = (0.8 if label == "ants" else 0.68) * rng.uniform(0.55, 1.0) * min(picture.size)
    insect = _draw_insect(label, rng)
    narrow = rng.uniform(0.75, 1.0)  # seen somewhat aslant
    insect = insect.resize((round(2 * narrow * length), round(2 * length)), Image.Resampling.BOX)
    insect = insect.rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC, expand=True)
    centre = rng.normal(0.5, 0.09, 2).clip(0.3, 0.7) * picture.size
    x, y = (round(at - side_px / 2) for at, side_px in zip(centre, insect.size, strict=True))
    depth, soft_px = rng.uniform(0.2, 0.6), rng.uniform(2, 6)
    shadow = insect.getchannel("A").point([round(depth * opacity) for opacity in range(256)])
    picture.paste(
        (22, 20, 24), (x, y + round(soft_px)), shadow.filter(ImageFilter.BoxBlur(soft_px))
    )
    picture.paste(insect, (x, y), insect)
    return _photograph(picture, rng)


def _draw_insect(label: str, rng: np.random.Generator) -> Image.Image:
    """An insect that heads up, on a transparent square of twice its length."""
    insect = Image.new("RGBA", (2 * LENGTH_PX, 2 * LENGTH_PX))
    draw, bee = ImageDraw.Draw(insect), label == "bees"
    coat = [_vary(colour, rng, 12) for colour in COATS[label][rng.integers(len(COATS[label]))]]
    length, width = (0.15, 0.038) if bee else (0.21, 0.026)
    for side in (-1, 1):
        for angles, root in LIMBS:
            joints = np.array([[0.03 * side, root]])
            for link, angle in enumerate(angles + rng.normal(0, 0.16, len(angles))):
                step = np.array([side * math.sin(angle), -math.cos(angle)])
                joints = np.vstack([joints, joints[-1] + length * (1 - 0.2 * link) * step])
                _stroke(draw, joints[-2:], width * (1 - 0.25 * link), coat[1])
    plump = rng.uniform(0.85, 1.15)
    for y, half_width, half_length, part in BODIES[label]:
        corners = ((-plump * half_width, y - half_length), (plump * half_width, y + half_length))
        draw.ellipse(_pixels(corners), coat[part])
    middle, half_width, half_length, _ = BODIES[label][0]
    for share in np.linspace(-0.6, 0.6, int(rng.integers(3, 6) if bee else rng.integers(2, 4))):
        x, y = 0.95 * plump * half_width * math.sqrt(1 - share**2), middle + share * half_length
        _stroke(draw, ((-x, y), (0, y + 0.03), (x, y)), 0.05 if bee else 0.016, coat[2])
    if bee:
        insect.alpha_composite(_draw_wings(rng))
    return insect


def _draw_wings(rng: np.random.Generator) -> Image.Image:
    """Two pairs of clear wings, to lay over a bee that heads up."""
    wings = Image.new("RGBA", (2 * LENGTH_PX, 2 * LENGTH_PX))
    glass, spread, around = (
        _vary((206, 206, 200), rng, 20),
        rng.uniform(0.3, 1.1),
        np.arange(0, 6.3, 0.2),
    )
    for side in (-1, 1):
        for length, width, back in ((0.27, 0.1, 0.0), (0.2, 0.08, 0.3)):  # fore wing, hind wing
            cos, sin = math.cos(spread - back), side * math.sin(spread - back)
            along, across = length * (1 + np.cos(around)), width * np.sin(around)
            outline = np.stack([sin * along - cos * across, cos * along + sin * across - 0.1], 1)
            ImageDraw.Draw(wings).polygon(_pixels(outline), (*glass, 110), (90, 80, 70, 180), 3)
    return wings


def _pixels(points: npt.ArrayLike) -> list[tuple[float, ...]]:
    """Places in an insect's lengths from its middle, `[n, 2]`, as pixels of its drawing."""
    return [tuple(point) for point in LENGTH_PX * (1 + np.asarray(points))]


def _stroke(draw: ImageDraw.ImageDraw, points: npt.ArrayLike, width: float, colour: Colour) -> None:
    draw.line(_pixels(points), colour, round(LENGTH_PX * width), joint="curve")


def _background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Soil, stone, wood, a leaf, grass or sky, with stones, petals and stems, out of focus."""
    dark, light = (_vary(tone, rng, 14) for tone in GROUNDS[rng.integers(len(GROUNDS))])
    relief = np.zeros((height, width), np.float32)
    stretch = rng.choice([1, 1, 6], 2)  # drawn out along a side, as the grain of wood is
    for octave in range(5):  # fine detail on coarse
        shape = [max(2, round(4 * 2**octave / along)) for along in stretch]
        hills = Image.fromarray(rng.standard_normal(shape, np.float32))
        relief += 0.62**octave * np.asarray(hills.resize((width, height), Image.Resampling.BICUBIC))
    share = np.clip(relief * rng.uniform(0.1, 0.33) + 0.5, 0, 1)[..., None]
    pixels = np.array(dark) * (1 - share) + np.array(light) * share
    picture = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 25)):  # stones, petals, lights far away
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.gamma(1.5, 7)
        tone = _vary(GROUNDS[rng.integers(len(GROUNDS))][1] if r > 20 else dark, rng, 24)
        draw.ellipse((x - r, y - 0.8 * r, x + r, y + 0.8 * r), tone)
    for _ in range(rng.integers(0, 5)):  # stems
        ends = rng.uniform(-0.3, 1.3, (2, 2)) * (width, height)
        draw.line(ends.ravel().tolist(), _vary((90, 110, 60), rng, 24), int(rng.integers(3, 14)))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 3.5)))


def _photograph(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What light and camera add: a slope of light, blur, white balance, gamma, noise."""
    picture = picture.filter(ImageFilter.GaussianBlur(min(rng.gamma(1.2, 0.7), 2.2)))
    pixels = np.asarray(picture, np.float32) / 255
    height, width, _ = pixels.shape
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    slope_x, slope_y = rng.normal(0, 0.14, 2).astype(np.float32)
    balance = np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    lit = np.clip(pixels * (1 + slope_x * across + slope_y * down) * balance, 0, 1)
    noise = rng.uniform(0.004, 0.05) * rng.standard_normal(pixels.shape, np.float32)
    seen = lit ** math.exp(rng.normal(0, 0.22)) + noise
    return Image.fromarray((255 * np.clip(seen, 0, 1)).astype(np.uint8))


def _vary(colour: Colour, rng: np.random.Generator, spread: float) -> Colour:
    """A colour near `colour`: lighter or darker, and a little of another hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    red, green, blue = (int(channel) for channel in (np.array(colour) + shift).clip(0, 255))
    return red, green, blue
