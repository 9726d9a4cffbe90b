"""The `sample` dataset: ants and bees that the project draws itself, from a seed.

They stand in for photos where none can be had: in the demo and in the tests. They are
drawings: they prove that everything works, never how good a model is.

Background, light, pose, place and size come from the same distributions for both classes, and the
coats overlap (black bees, banded ants). What distinguishes them is shape: a slender waist and long
legs against a furry, stout body with wings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from edgebee.errors import DataError

__all__ = [
    "DRAWINGS_VERSION",
    "JPEG_QUALITY",
    "LABELS",
    "SIZES_PX",
    "TRAINING_PER_CLASS",
    "VALIDATION_PER_CLASS",
    "draw_photo",
    "draw_sample",
]

DRAWINGS_VERSION = 2
"""Raised whenever the same seed gives other drawings, so that a kept set is drawn again."""

LABELS = ("ants", "bees")
TRAINING_PER_CLASS = 60
VALIDATION_PER_CLASS = 30
JPEG_QUALITY = 90

SIZES_PX = ((320, 240), (320, 214), (333, 250), (240, 320), (214, 320), (280, 280))
"""Widths and heights."""

SUPERSAMPLE = 2
"""Insects are drawn this many times larger and scaled down, which smooths their outlines."""

Pixels: TypeAlias = npt.NDArray[np.float32]
Colour: TypeAlias = tuple[int, ...]
Point: TypeAlias = tuple[float, float]

# The darkest and the lightest colour of a background: soils, sand, stone, wood, leaves, grass, sky.
GROUNDS: tuple[tuple[Colour, Colour], ...] = (
    ((58, 40, 28), (138, 104, 74)),
    ((176, 150, 108), (232, 212, 172)),
    ((126, 124, 122), (196, 194, 190)),
    ((110, 62, 40), (190, 128, 88)),
    ((120, 78, 44), (204, 154, 100)),
    ((40, 84, 34), (112, 164, 70)),
    ((76, 110, 44), (170, 196, 92)),
    ((96, 84, 36), (196, 166, 84)),
    ((110, 160, 212), (226, 234, 240)),
    ((206, 202, 192), (236, 232, 224)),
)
PETALS: tuple[Colour, ...] = (
    (246, 240, 236),
    (240, 196, 60),
    (206, 110, 190),
    (150, 110, 206),
    (226, 84, 84),
)
# Front, back and bands of an ant; fur, abdomen and bands of a bee.
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

    Raises:
        DataError: `label` is neither of the two.
    """
    if label not in LABELS:
        raise DataError(f"{label}: cannot be drawn; the sample has {' and '.join(LABELS)} only")
    picture = _background(rng, *SIZES_PX[rng.integers(len(SIZES_PX))])
    centres = [rng.normal(0.5, 0.09, 2).clip(0.3, 0.7)]
    if rng.random() < 0.15:
        centres = [np.array([0.3, 0.3]), np.array([0.68, 0.7])]
    for centre in centres:
        picture = _add_insect(
            picture, label, rng, centre, rng.uniform(0.55, 1.0) / len(centres) ** 0.5
        )
    return _photograph(picture, rng)


# ------------------------------------------------------------------------------- insects


@dataclass(frozen=True)
class _Pen:
    """Draws in an insect's own coordinates: x forward, y to its right, 1 is its length.

    Attributes:
        draw: takes what is opaque.
        clear: takes what one can see through, colours of four channels.
        frame: own coordinates to pixels, float64 [2, 3].
    """

    draw: ImageDraw.ImageDraw
    clear: ImageDraw.ImageDraw
    frame: npt.NDArray[np.float64]

    def pixels(self, points: npt.ArrayLike) -> list[Point]:
        """Turn points [n, 2] into pixels."""
        moved = np.asarray(points) @ self.frame[:, :2].T + self.frame[:, 2]
        return [(float(x), float(y)) for x, y in moved]

    def turned(self, angle: float) -> _Pen:
        """The same pen, turned about the insect's middle: what it draws is bent aside."""
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return replace(self, frame=self.frame @ turn)

    def egg(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """An ellipse, wider behind."""
        angle = np.linspace(0, 2 * math.pi, 40)
        wide = ry * (1 - 0.2 * np.cos(angle))
        outline = np.stack([x + rx * np.cos(angle), y + wide * np.sin(angle)], axis=1)
        self._on(colour).polygon(self.pixels(outline), fill=colour)

    def stroke(self, points: list[Point], width: float, colour: Colour) -> None:
        """A line with joints."""
        scale = math.sqrt(abs(float(np.linalg.det(self.frame[:, :2]))))
        self._on(colour).line(
            self.pixels(points), colour, max(1, round(width * scale)), joint="curve"
        )

    def _on(self, colour: Colour) -> ImageDraw.ImageDraw:
        return self.clear if len(colour) == 4 else self.draw

    def fur(self, x: float, r: float, colour: Colour, rng: np.random.Generator) -> None:
        """Hairs that point outward from a disc, lighter and darker ones."""
        for angle in rng.uniform(0, 2 * math.pi, 130):
            near, far = r * math.sqrt(rng.random()), 0.05
            aim = angle + rng.normal(0, 0.4)
            root = (x + near * math.cos(angle), near * math.sin(angle))
            tip = (root[0] + far * math.cos(aim), root[1] + far * math.sin(aim))
            self.stroke([root, tip], 0.008, _vary(colour, rng, 26))


def _add_insect(
    picture: Image.Image, label: str, rng: np.random.Generator, centre: npt.ArrayLike, size: float
) -> Image.Image:
    """Lay an insect with its shadow over a picture, its `centre` given in shares of the sides."""
    layer = Image.new("RGBA", (picture.width * SUPERSAMPLE, picture.height * SUPERSAMPLE))
    # An ant is slim: its longer body covers the same share of the picture as a bee's.
    scale = size * min(layer.size) * (0.8 if label == "ants" else 0.68)
    turn, narrow = rng.uniform(0, 2 * math.pi), rng.uniform(0.75, 1.0)  # seen somewhat aslant
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    x, y = np.asarray(centre) * layer.size
    clear = Image.new("RGBA", layer.size)
    frame = np.array([[cos, -narrow * sin, x], [sin, narrow * cos, y]])
    pen = _Pen(ImageDraw.Draw(layer), ImageDraw.Draw(clear), frame)
    coat = [_vary(colour, rng, 12) for colour in COATS[label][rng.integers(len(COATS[label]))]]
    (_draw_ant if label == "ants" else _draw_bee)(pen, coat, rng)
    layer.alpha_composite(clear)
    insect = layer.resize(picture.size, Image.Resampling.BOX)
    depth, soft_px = rng.uniform(0.2, 0.6), rng.uniform(2, 6)
    shadow = insect.getchannel("A").point([round(depth * opacity) for opacity in range(256)])
    offset = (round(rng.normal(0, soft_px)), round(rng.uniform(2, 2 * soft_px)))
    picture.paste((22, 20, 24), offset, shadow.filter(ImageFilter.BoxBlur(soft_px)))
    picture.paste(insect, (0, 0), insect)
    return picture


def _draw_ant(pen: _Pen, coat: list[Colour], rng: np.random.Generator) -> None:
    """Slim, in three parts with a thin waist, elbowed feelers, six long legs."""
    front, back, bands = coat
    plump, limb = rng.uniform(0.85, 1.15), _mix(front, (20, 14, 10), 0.3)
    _draw_legs(
        pen, limb, rng, hips_x=(0.15, 0.09, 0.03), length=rng.uniform(0.42, 0.54), width=0.026
    )
    head, tail = pen.turned(rng.normal(0, 0.15)), pen.turned(rng.normal(0, 0.2))
    _draw_feelers(head, limb, rng, x=0.38, scape=0.17, width=0.018)
    tail.stroke([(0.05, 0), (-0.12, 0)], 0.035, front)
    tail.egg(-0.07, 0, 0.03, 0.03, front)
    tail.egg(-0.29, 0, 0.2, 0.125 * plump, back)
    for x in np.linspace(-0.4, -0.2, int(rng.integers(2, 4))):
        half = 0.115 * plump * math.sqrt(1 - ((x + 0.29) / 0.2) ** 2)
        tail.stroke([(x, -half), (x - 0.02, 0), (x, half)], 0.016, bands)
    pen.egg(0.03, 0, 0.1, 0.05 * plump, front)
    pen.egg(0.14, 0, 0.09, 0.065 * plump, front)
    head.stroke([(0.2, 0), (0.28, 0)], 0.04, front)
    head.egg(0.33, 0, 0.1, 0.088 * plump, front)
    for side in (-1, 1):
        head.stroke([(0.4, side * 0.05), (0.47, side * 0.03), (0.49, 0)], 0.02, limb)
        head.egg(0.35, side * 0.066, 0.018, 0.016, (12, 10, 10))
    _shine(tail, -0.27, 0.09, rng)
    _shine(head, 0.33, 0.05, rng)


def _draw_bee(pen: _Pen, coat: list[Colour], rng: np.random.Generator) -> None:
    """Stout, furry, banded, with short legs and two pairs of clear wings."""
    fur, back, bands = coat
    plump, limb = rng.uniform(0.88, 1.15), _mix(back, (20, 16, 14), 0.6)
    _draw_legs(pen, limb, rng, hips_x=(0.2, 0.12, 0.04), length=rng.uniform(0.3, 0.38), width=0.038)
    head, tail = pen.turned(rng.normal(0, 0.12)), pen.turned(rng.normal(0, 0.12))
    _draw_feelers(head, limb, rng, x=0.42, scape=0.07, width=0.02)
    tail.egg(-0.25, 0, 0.29, 0.185 * plump, back)
    for x in np.linspace(-0.43, -0.1, int(rng.integers(3, 6))):
        half = 0.18 * plump * math.sqrt(1 - ((x + 0.25) / 0.29) ** 2)
        tail.stroke([(x, -half), (x - 0.04, 0), (x, half)], rng.uniform(0.04, 0.06), bands)
    head.egg(0.35, 0, 0.09, 0.12 * plump, _mix(fur, (24, 20, 18), 0.6))
    for side in (-1, 1):
        head.egg(0.37, side * 0.09 * plump, 0.055, 0.036, (26, 20, 20))
    pen.egg(0.12, 0, 0.17, 0.16 * plump, fur)
    pen.fur(0.12, 0.15 * plump, fur, rng)
    _shine(tail, -0.22, 0.1, rng)
    spread, glass = rng.uniform(0.2, 1.1), _vary((206, 206, 200), rng, 20)
    for side in (-1, 1):
        for swing, length, width in ((0.0, 0.3, 0.1), (0.3, 0.2, 0.085)):  # fore wing, hind wing
            wing = pen.turned(math.pi - side * max(0.1, spread - swing))
            wing.egg(-0.06 + length, side * 0.05, length, width, (*glass, 100))
            for slope in (-0.5, 0.0, 0.5):
                veins = [(-0.05, side * 0.05), (1.6 * length, side * 0.05 + slope * width)]
                wing.stroke(veins, 0.007, (*_mix(glass, (40, 30, 24), 0.7), 170))


def _draw_legs(
    pen: _Pen,
    colour: Colour,
    rng: np.random.Generator,
    *,
    hips_x: tuple[float, ...],
    length: float,
    width: float,
) -> None:
    """Six legs of three links: the front pair reaches forward, the hind pair back."""
    for side in (-1, 1):
        for hip, aim, bend in zip(hips_x, (0.95, 1.65, 2.15), (-0.55, 0.45, 0.6), strict=True):
            joints, angle = [(hip, side * 0.03)], side * (aim + rng.normal(0, 0.16))
            for share, thickness in ((0.42, 1.0), (0.4, 0.75), (0.25, 0.5)):
                step = (share * length * math.cos(angle), share * length * math.sin(angle))
                joints.append((joints[-1][0] + step[0], joints[-1][1] + step[1]))
                pen.stroke(joints[-2:], thickness * width, colour)
                angle += side * bend * rng.uniform(0.6, 1.2)


def _draw_feelers(
    pen: _Pen, colour: Colour, rng: np.random.Generator, *, x: float, scape: float, width: float
) -> None:
    """Two elbowed antennae: outward, then forward again."""
    for side in (-1, 1):
        out, back = rng.uniform(0.6, 1.1), rng.uniform(-0.3, 0.4)
        elbow = (x + scape * math.cos(out), side * (0.03 + scape * math.sin(out)))
        tip = (
            elbow[0] + 1.4 * scape * math.cos(back),
            elbow[1] + side * 1.4 * scape * math.sin(back),
        )
        pen.stroke([(x, side * 0.03), elbow, tip], width, colour)


def _shine(pen: _Pen, x: float, r: float, rng: np.random.Generator) -> None:
    """A gloss on a smooth shell, off its middle."""
    strength = rng.uniform(10, 30)
    for share in (1.0, 0.7, 0.4):
        shine = (255, 250, 240, round(strength / share))
        pen.egg(x, -0.4 * r, share * r, 0.4 * share * r, shine)


# -------------------------------------------------------------------- background and camera


def _background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Soil, stone, wood, a leaf, grass or sky, with stones, stems or a flower, out of focus."""
    dark, light = (_vary(tone, rng, 14) for tone in GROUNDS[rng.integers(len(GROUNDS))])
    relief = np.zeros((height, width), np.float32)
    stretch = rng.choice([1, 1, 6], 2)  # drawn out along a side, as the grain of wood is
    for octave in range(5):  # fine detail on coarse
        shape = [max(2, round(4 * 2**octave / along)) for along in stretch]
        hills = Image.fromarray(rng.standard_normal(shape, np.float32))
        relief += 0.62**octave * np.asarray(hills.resize((width, height), Image.Resampling.BICUBIC))
    share = np.clip(relief * rng.uniform(0.1, 0.33) + 0.5, 0, 1)[..., None]
    picture = Image.fromarray(
        (np.array(dark) * (1 - share) + np.array(light) * share).astype(np.uint8)
    )
    draw, reach = ImageDraw.Draw(picture), float(max(width, height))
    for _ in range(rng.integers(0, 25)):  # stones, or lights far away
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.gamma(2, 3.5)
        draw.ellipse(
            (x - r, y - 0.8 * r, x + r, y + 0.8 * r),
            _vary(_mix(dark, light, rng.random()), rng, 24),
        )
    for _ in range(rng.integers(0, 5)):  # stems
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, math.pi)
        dx, dy = reach * math.cos(angle), reach * math.sin(angle)
        tone = _vary(_mix(dark, (90, 120, 60), 0.6), rng, 20)
        draw.line((x - dx, y - dy, x + dx, y + dy), tone, int(rng.integers(3, 14)))
    if rng.random() < 0.3:
        _draw_flower(
            draw, rng, rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height, reach
        )
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 3.5)))


def _draw_flower(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, reach: float
) -> None:
    petal, count = PETALS[rng.integers(len(PETALS))], int(rng.integers(6, 15))
    for angle in np.linspace(0, 2 * math.pi, count, endpoint=False) + rng.random():
        cos, sin = 0.6 * reach * math.cos(angle), 0.6 * reach * math.sin(angle)
        blade = _Pen(draw, draw, np.array([[cos, -sin, x], [sin, cos, y]]))
        blade.egg(0.5, 0, 0.5, 2.2 / count, _vary(petal, rng, 14))
    r = rng.uniform(0.07, 0.13) * reach
    draw.ellipse((x - r, y - r, x + r, y + r), _vary((196, 142, 36), rng, 20))


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
    seen: Pixels = lit ** math.exp(rng.normal(0, 0.22)) + noise
    return Image.fromarray((255 * np.clip(seen, 0, 1)).astype(np.uint8))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: `one` at share 0, `other` at 1."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def _vary(colour: Colour, rng: np.random.Generator, spread: float) -> Colour:
    """A colour near `colour`: lighter or darker, and a little of another hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    return tuple(int(channel) for channel in (np.array(colour) + shift).clip(0, 255))
