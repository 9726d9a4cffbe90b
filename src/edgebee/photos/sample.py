"""The `sample` data set: ants and bees that the project draws itself, from a seed.

They stand in for photos where none can be had: in the demo and in the tests. They are
drawings: they prove that the chain works, never how good a model is.

A drawing is made back to front: a ground (soil, leaf, petals, sky ...), clutter, one or two
insects with their shadow, then what light and camera add. Ground, clutter, light, pose and
place are drawn from the same distributions for both classes, and the coats overlap (black
bees, yellow banded ants). What tells them apart is shape: a slender waist and long legs
against a furry, stout body with wings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from edgebee.errors import DataError
from edgebee.photos.insects import Pose, draw_ant, draw_bee
from edgebee.photos.pen import Colour, Pen, mix, vary

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

DRAWINGS_VERSION = 1
"""Raised whenever the same seed gives other drawings, so that a kept set is drawn anew."""

LABELS = ("ants", "bees")
TRAINING_PER_CLASS = 60
VALIDATION_PER_CLASS = 30
JPEG_QUALITY = 90

SIZES_PX = ((320, 240), (320, 214), (333, 250), (240, 320), (214, 320), (280, 280))
"""Widths and heights."""

SUPERSAMPLE = 2
"""Insects are drawn this many times larger and scaled down, which smooths their outlines."""

Canvas: TypeAlias = npt.NDArray[np.float32]
Tones: TypeAlias = tuple[tuple[Colour, Colour], ...]

# A ground's darkest and lightest colour.
EARTHS: Tones = (
    ((58, 40, 28), (138, 104, 74)),
    ((176, 150, 108), (232, 212, 172)),
    ((96, 84, 76), (176, 164, 150)),
    ((126, 124, 122), (196, 194, 190)),
    ((110, 62, 40), (190, 128, 88)),
)
WOODS: Tones = (
    ((64, 48, 38), (150, 126, 104)),
    ((120, 78, 44), (204, 154, 100)),
    ((150, 130, 108), (222, 204, 178)),
)
LEAVES: Tones = (
    ((40, 84, 34), (112, 164, 70)),
    ((76, 110, 44), (170, 196, 92)),
    ((96, 84, 36), (196, 166, 84)),
)
MEADOWS: Tones = (
    ((40, 62, 30), (138, 170, 92)),
    ((84, 96, 50), (206, 206, 140)),
    ((66, 52, 40), (158, 140, 104)),
)
PETALS: tuple[Colour, ...] = (
    (246, 240, 236),
    (240, 196, 60),
    (206, 110, 190),
    (150, 110, 206),
    (226, 84, 84),
    (244, 170, 188),
)
CLUTTER: tuple[Colour, ...] = (
    (96, 128, 60),
    (60, 84, 40),
    (122, 92, 58),
    (54, 40, 32),
    (206, 190, 110),
    (190, 90, 110),
)


def draw_sample(folder: Path, seed: int = 0) -> None:
    """Draw the whole set as `folder/{train,val}/{ants,bees}/*.jpg`.

    Every picture has a stream of random numbers of its own, so that one more picture in a
    class changes no other. The same seed gives the same bytes with the same Pillow and
    NumPy. Files appear one after the other: whoever needs the set whole gives a folder that
    is renamed afterwards.

    Raises:
        OSError: a folder or file cannot be written.
    """
    counts = {"train": TRAINING_PER_CLASS, "val": VALIDATION_PER_CLASS}
    for split_index, (split, count) in enumerate(counts.items()):
        for class_index, label in enumerate(LABELS):
            class_folder = folder / split / label
            class_folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                rng = np.random.default_rng([seed, split_index, class_index, index])
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
    width, height = SIZES_PX[rng.integers(len(SIZES_PX))]
    ground = GROUNDS[rng.integers(len(GROUNDS))]
    picture = _add_clutter(_to_picture(ground(rng, width, height)), rng)
    if rng.random() < 0.15:
        near, far = rng.permutation([[0.3, 0.32], [0.7, 0.68]]) + rng.normal(0, 0.03, (2, 2))
        picture = _add_insect(picture, label, rng, centre=far, size=0.6)
        picture = _add_insect(picture, label, rng, centre=near, size=0.75)
    else:
        centre = rng.normal(0.5, 0.1, 2).clip(0.28, 0.72)
        size = 1.0 if rng.random() < 0.7 else rng.uniform(0.42, 0.75)
        picture = _add_insect(picture, label, rng, centre=centre, size=size)
    if rng.random() < 0.2:
        picture = _add_blade_in_front(picture, rng)
    return _photograph(picture, rng)


# --------------------------------------------------------------------------- insects


def _add_insect(
    picture: Image.Image,
    label: str,
    rng: np.random.Generator,
    *,
    centre: npt.NDArray[np.float64],
    size: float,
) -> Image.Image:
    """Lay an insect over an RGB picture, its `centre` given in shares of the two sides."""
    layer = Image.new("RGBA", (picture.width * SUPERSAMPLE, picture.height * SUPERSAMPLE))
    from_side = rng.random() < 0.35
    # From the side an insect mostly stands on something; from above it may head anywhere.
    turn = rng.normal(0, 0.35) if from_side else rng.uniform(-math.pi, math.pi)
    # An ant is slim: its longer body covers the same share of the picture as a bee's.
    length = rng.uniform(0.42, 0.82) if label == "ants" else rng.uniform(0.36, 0.66)
    scale = size * length * min(layer.size)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    mirror = rng.choice([-1.0, 1.0])
    x, y = centre * layer.size
    frame = np.array([[mirror * cos, -mirror * sin, x], [sin, cos, y]])
    pose = Pose(
        from_side=from_side,
        neck=rng.normal(0.25 if from_side else 0.0, 0.18),
        waist=rng.normal(-0.1 if from_side else 0.0, 0.2),
        light=(rng.uniform(-0.4, 0.4), -0.45 if from_side else rng.uniform(-0.4, 0.4)),
    )
    draw = draw_ant if label == "ants" else draw_bee
    draw(layer, frame, pose, rng)
    return _lay_over(picture, layer.resize(picture.size, Image.Resampling.BOX), rng)


def _lay_over(picture: Image.Image, layer: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Lay an RGBA layer over an RGB picture, with the shadow that it throws."""
    depth, radius = rng.uniform(0.1, 0.6), rng.uniform(2, 7)
    shadow = layer.getchannel("A").point([round(depth * opacity) for opacity in range(256)])
    shadow = shadow.filter(ImageFilter.BoxBlur(radius))
    offset = (round(rng.normal(0, radius)), round(rng.uniform(2, 2 + 1.5 * radius)))
    picture = picture.copy()
    picture.paste((22, 20, 24), offset, shadow)
    picture.paste(layer, (0, 0), layer)
    return picture


# --------------------------------------------------------------------------- grounds


def _fractal(
    rng: np.random.Generator,
    width: int,
    height: int,
    *,
    cells: int = 3,
    octaves: int = 5,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Canvas:
    """Random relief with fine detail on coarse, float32 [height, width], about -2 to 2.

    `cells` is how many hills of the coarsest octave lie along a side; `stretch` draws them
    out along x and y, as the grain of wood is.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        shape = [max(2, round(cells * 2**octave / s)) for s in reversed(stretch)]
        hills = Image.fromarray(rng.standard_normal(shape, np.float32))
        total += 0.62**octave * np.asarray(hills.resize((width, height), Image.Resampling.BICUBIC))
    return total


def _tinted(relief: Canvas, dark: Colour, light: Colour) -> Canvas:
    """Colour a relief from `dark` at -1.5 to `light` at 1.5, float32 [height, width, 3]."""
    share = np.clip(relief / 3 + 0.5, 0, 1)[..., None]
    low, high = np.array(dark, np.float32), np.array(light, np.float32)
    return (low + (high - low) * share).astype(np.float32)


def _to_picture(canvas: npt.NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _blurred(picture: Image.Image, radius_px: float) -> Canvas:
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius_px)), np.float32)


def _earth(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """Soil, sand, gravel or concrete, with pebbles."""
    dark, light = EARTHS[rng.integers(len(EARTHS))]
    relief = _fractal(rng, width, height, cells=4, octaves=6)
    relief += rng.uniform(0.2, 0.9) * rng.standard_normal((height, width), np.float32)
    picture = _to_picture(_tinted(relief, vary(dark, rng), vary(light, rng)))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(0, 60)):
        x, y, rx = rng.uniform(0, width), rng.uniform(0, height), rng.gamma(2, 2.2)
        ry = rx * rng.uniform(0.6, 1)
        shade, stone = mix(dark, (0, 0, 0), 0.4), mix(dark, light, rng.uniform(0.2, 1))
        draw.ellipse((x - rx, y - ry + 2, x + rx + 1, y + ry + 2), fill=shade)
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=vary(stone, rng))
    return _blurred(picture, rng.uniform(0.3, 1.6))


def _wood(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """Bark or boards: relief drawn out along one side."""
    dark, light = WOODS[rng.integers(len(WOODS))]
    along = rng.uniform(4, 9)
    stretch = (along, 1.0) if rng.random() < 0.5 else (1.0, along)
    relief = _fractal(rng, width, height, cells=9, octaves=4, stretch=stretch)
    relief += 0.4 * _fractal(rng, width, height, cells=20, octaves=3)
    return _tinted(relief, vary(dark, rng), vary(light, rng))


def _leaf(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """A leaf that fills the picture, with midrib and side veins."""
    dark, light = LEAVES[rng.integers(len(LEAVES))]
    relief = _fractal(rng, width, height, octaves=4)
    picture = _to_picture(_tinted(relief, vary(dark, rng), vary(light, rng)))
    draw = ImageDraw.Draw(picture)
    angle, reach = rng.uniform(0, math.pi), float(width + height)
    along = reach * np.array([math.cos(angle), math.sin(angle)])
    middle = rng.uniform(0.25, 0.75, 2) * (width, height)
    rib = mix(light, (240, 244, 200), 0.35)
    slant = rng.uniform(0.6, 1.0)
    for share in np.arange(-0.5, 0.5, rng.uniform(24, 48) / reach):
        for lean in (angle - slant, angle + slant):
            root = middle + share * along
            end = root + reach * np.array([math.cos(lean), math.sin(lean)])
            draw.line([*root, *end], fill=mix(dark, rib, 0.55), width=2)
    draw.line([*(middle - along), *(middle + along)], fill=rib, width=5)
    return _blurred(picture, rng.uniform(0.8, 3))


def _blossom(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """A flower before something hazy: two whorls of petals around a dotted centre."""
    petal = PETALS[rng.integers(len(PETALS))]
    picture = _to_picture(_haze(rng, width, height))
    pen = Pen(ImageDraw.Draw(picture), np.eye(2, 3))
    flower = pen.at(rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
    count, reach = int(rng.integers(5, 16)), rng.uniform(0.45, 0.8) * max(width, height)
    turn = rng.uniform(0, math.pi)
    for whorl in range(2):
        for index in range(count):
            tone = vary(mix(petal, (60, 40, 50), 0.18 * (1 - whorl)), rng, 6)
            angle = turn + (index + 0.5 * whorl) * 2 * math.pi / count
            blade = flower.at(0, 0, angle).at(reach / 2, 0)
            blade.egg(reach / 2, 1.9 * reach / count, tone, taper=0.3)
            blade.hairline([(-reach / 2, 0), (reach / 3, 0)], mix(tone, (90, 60, 70), 0.25))
    radius = rng.uniform(0.1, 0.22) * reach
    flower.egg(radius, radius, (166, 112, 30))
    for _ in range(120):
        angle, r = rng.uniform(0, 2 * math.pi), radius * math.sqrt(rng.random())
        floret = flower.at(r * math.cos(angle), r * math.sin(angle))
        floret.egg(2.2, 2.2, vary((214, 160, 44), rng, 24))
    return _blurred(picture, rng.uniform(0.6, 2.5))


def _haze(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """A meadow far out of focus, or the sky with clouds, lighter towards the ground."""
    relief = _fractal(rng, width, height, cells=2, octaves=3)
    if rng.random() < 0.35:
        sky = _tinted(relief, vary((104, 156, 212), rng), (226, 234, 240))
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        return sky * (1 - 0.2 * down) + 40 * down
    dark, light = MEADOWS[rng.integers(len(MEADOWS))]
    return _tinted(relief, vary(dark, rng), vary(light, rng))


def _paper(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """Plain paper or cloth."""
    tone = np.array(vary((218, 214, 204), rng, 18), np.float32)
    return tone + rng.uniform(2, 9) * _fractal(rng, width, height, cells=2, octaves=2)[..., None]


GROUNDS: tuple[Callable[[np.random.Generator, int, int], Canvas], ...] = (
    _earth,
    _earth,
    _wood,
    _leaf,
    _leaf,
    _blossom,
    _blossom,
    _haze,
    _paper,
)


# ------------------------------------------------------------------ clutter and camera


def _add_clutter(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Stems and round lights out of focus behind the insect."""
    # Drawn at half size: blur hides that, and it takes a quarter of the time.
    width, height = picture.width // 2, picture.height // 2
    layer = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    for _ in range(rng.integers(0, 5)):
        tone = vary(CLUTTER[rng.integers(len(CLUTTER))], rng)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if rng.random() < 0.6:
            angle = rng.uniform(0, math.pi)
            dx, dy = (width + height) * math.cos(angle), (width + height) * math.sin(angle)
            stem = (x - dx, y - dy, x + dx, y + dy)
            draw.line(stem, fill=(*tone, 230), width=int(rng.integers(2, 8)))
        else:
            r = rng.uniform(5, 20)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(*tone, 150))
    return _lay_blurred(picture, layer, rng.uniform(0.8, 3.5))


def _add_blade_in_front(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A blurred blade of grass before the insect, mostly off the middle."""
    width, height = picture.width // 2, picture.height // 2
    layer = Image.new("RGBA", (width, height))
    x = rng.beta(0.6, 0.6) * width
    blade = (x, height, x + rng.normal(0, 0.25) * width, 0)
    tone = vary((110, 140, 70), rng, 24)
    ImageDraw.Draw(layer).line(blade, fill=(*tone, 235), width=int(rng.integers(3, 10)))
    return _lay_blurred(picture, layer, rng.uniform(1.5, 3.5))


def _lay_blurred(picture: Image.Image, layer: Image.Image, radius_px: float) -> Image.Image:
    layer = layer.filter(ImageFilter.GaussianBlur(radius_px))
    layer = layer.resize(picture.size, Image.Resampling.BILINEAR)
    picture = picture.copy()
    picture.paste(layer, (0, 0), layer)
    return picture


def _photograph(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What light and camera add: a slope of light, vignette, blur, white balance, noise."""
    blur_px = rng.gamma(1.2, 0.8)
    if blur_px > 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(min(blur_px, 2.4)))
    canvas = np.asarray(picture, np.float32) / 255
    height, width, _ = canvas.shape
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    slope_x, slope_y = (float(slope) for slope in rng.normal(0, 0.14, 2))
    vignette = rng.uniform(0, 0.15) * (across**2 + down**2)
    light = 1 + slope_x * across + slope_y * down - vignette
    balance = np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    gamma = math.exp(rng.normal(0, 0.22))
    canvas = np.clip(canvas * light * balance, 0, 1) ** gamma
    noise = rng.uniform(0.004, 0.05) * rng.standard_normal(canvas.shape, np.float32)
    return _to_picture((canvas + noise) * 255)
