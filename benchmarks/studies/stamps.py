"""Pictures to measure `neither` on, of the cut-out photos in Debian's tuxpaint-stamps-default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from edgebee.errors import BenchmarkError

__all__ = ["stamps"]

Pixels = npt.NDArray[np.uint8]
RNG = np.random.Generator

SIDE_PX = 224
LEAST_SIDE_PX = 40
LEAST_COLOURS = 60
"""Of a stamp, counted in steps of 8; with fewer it is a drawing."""
NOT_PHOTOS = {"cartoon", "toys", "plastic"}
FEW, PICTURES_OF_FEW = {"insects", "slugs and shells"}, 10
"""Strangers of which there are few stamps, and the pictures of each before either background."""
BLANK_FRAMES = 100
BACKGROUNDS = Path(__file__).with_name("stamp_backgrounds.txt")
"""Parts of hymenoptera's validation photos, three sevenths of the side, that show nothing of an
insect, by eye: photo, and its left and top edge in sevenths."""

INSECTS = "animals/insects"
STRANGERS = {
    "insects": [
        f"{INSECTS}/{name}.png"
        for name in ("grasshopper", "hoverfly", "mantis", "xanthia", "Woodlouse")
    ],
    "slugs and shells": [f"{INSECTS}/Brown_slug.png", "animals/shellfish/*.png"],
    "flowers": ["plants/flowers/*.png"],
    "animals": [
        f"animals/{kind}/**/*.png"
        for kind in ("birds", "mammals", "marsupials", "lizards", "amphibians", "fish")
    ],
    "food and plants": [
        *("food/**/*.png", "plants/*.png"),
        *("plants/trees/*.png", "plants/mushrooms/*.png"),
    ],
    "things": [
        *("household/**/*.png", "clothes/hats/*.png", "hobbies/music/**/*.png"),
        *("symbols/money/*/*.png", "vehicles/**/*.png", "sports/*.png"),
    ],
    "drawn hands": ["symbols/alphabets/asl/*.png"],
}
"""Folder -> stamps; nothing of them is an ant or a bee."""
OTHER = ("grasshopper", "mantis", "Woodlouse", "hornet")
"""Insects of `--other`."""
PICTURES_OF_OTHER = 15
"""Of each of them."""
NOT_IN_OTHER = ("xanthia", "hoverfly")
PICTURES_BESIDE = 20

KINDS = {
    "birds": ["animals/birds/*.png"],
    "fish": ["animals/fish/*.png", "animals/mammals/aquatic/*.png"],
    "flowers": ["plants/flowers/*.png"],
    "fruit": ["food/fruit/*.png"],
    "household": ["household/**/*.png"],
    "hoofed": [f"animals/mammals/{kind}/*.png" for kind in ("bovines", "equines", "deer")],
    "vegetables": ["food/vegetables/*.png"],
    "hats and clothes": ["clothes/**/*.png"],
    "money": ["symbols/money/*/*.png", "symbols/money/*/coins/*.png"],
    "music": ["hobbies/music/**/*.png"],
    "pets": [f"animals/mammals/{kind}/*.png" for kind in ("cats", "dogs", "rodents")],
    "sports": ["sports/*.png"],
}
"""Class -> stamps, the five with most of them first."""
MOST_STAMPS = 30
"""Of a class; every other one is a validation photo."""
CLASSES = {
    "two kinds close up": (2, 3, 1.3, 1.8),
    "five kinds": (5, 2, 0.7, 1.0),
    "twelve kinds": (12, 2, 0.7, 1.0),
}
"""Data set -> number of classes, pictures of each stamp, and the least and most of the picture's
side that its longer side takes."""


@click.command("stamps")
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("output", type=click.Path(path_type=Path))
def stamps(source: Path, output: Path) -> None:
    """Make folders to measure neither on from the stamps of Tux Paint.

    SOURCE is /usr/share/tuxpaint/stamps. OUTPUT gets strangers/ to ants and bees, insects for
    --other with what is beside them, and classes/: data sets of two, five and twelve kinds.
    """
    from edgebee.photos.dataset import load_dataset

    if output.exists():
        raise BenchmarkError(f"{output}: exists already; name another folder")
    rng = np.random.default_rng(0)
    backgrounds = _backgrounds(load_dataset("hymenoptera").root)
    _save_strangers(source, output / "strangers", backgrounds, rng)
    for name, insects, count in (
        ("other", OTHER, PICTURES_OF_OTHER),
        ("beside other/the same hornet", OTHER[-1:], PICTURES_BESIDE),
        *((f"beside other/{insect}", (insect,), PICTURES_BESIDE) for insect in NOT_IN_OTHER),
    ):
        found = _stamps(source, [f"{INSECTS}/{insect}.png" for insect in insects])
        pictures = (
            _place(stamp, _any(backgrounds, rng), rng, 0.5, 0.9)
            for stamp in found
            for _ in range(count)
        )
        _save(output / name, pictures)
    for name, (kinds, pictures_of_each, least, most) in CLASSES.items():
        for kind in list(KINDS)[:kinds]:
            found = _stamps(source, KINDS[kind])
            chosen = [found[place] for place in rng.permutation(len(found))[:MOST_STAMPS]]
            for half, part in (("train", chosen[::2]), ("val", chosen[1::2])):
                pictures = (
                    _place(stamp, _soft(rng), rng, least, most)
                    for stamp in part
                    for _ in range(pictures_of_each)
                )
                _save(output / "classes" / name / half / kind, pictures)


def _save_strangers(source: Path, folder: Path, backgrounds: Sequence[Pixels], rng: RNG) -> None:
    """Each stamp before a plain colour and before a background of a photo; and blank frames."""
    for name, patterns in STRANGERS.items():
        found = _stamps(source, patterns, drawn=name == "drawn hands")
        repeated = [stamp for stamp in found for _ in range(PICTURES_OF_FEW if name in FEW else 1)]
        _save(folder / name, _pictures(repeated, backgrounds, rng))
    _save(folder / "blank frames", (_blank(rng) for _ in range(BLANK_FRAMES)))


def _stamps(source: Path, patterns: Sequence[str], *, drawn: bool = False) -> list[Image.Image]:
    """The photographed stamps, cut out, or all.

    Raises:
        BenchmarkError: there are none.
    """
    paths = sorted({path for pattern in patterns for path in source.glob(pattern)})
    found = []
    for path in paths:
        if NOT_PHOTOS.isdisjoint(path.parts):
            stamp = Image.open(path).convert("RGBA")
            if drawn or _is_photo(stamp):
                found.append(stamp.crop(stamp.getbbox()))
    if not found:
        raise BenchmarkError(f"{source}: no stamps {', '.join(patterns)}")
    return found


def _is_photo(stamp: Image.Image) -> bool:
    pixels = np.asarray(stamp)
    shown = pixels[pixels[..., 3] > 128][:, :3]
    colours = np.unique(shown // 8, axis=0)
    return min(stamp.size) >= LEAST_SIDE_PX and len(colours) >= LEAST_COLOURS


def _pictures(
    found: Sequence[Image.Image], backgrounds: Sequence[Pixels], rng: RNG
) -> Iterator[Pixels]:
    """Each before a plain colour and before the background of a photo."""
    for stamp in found:
        plain = np.full((SIDE_PX, SIDE_PX, 3), rng.integers(170, 250), np.uint8)
        yield _place(stamp, plain, rng, 0.6, 0.95)
        yield _place(stamp, _any(backgrounds, rng), rng, 0.5, 0.9)


def _any(backgrounds: Sequence[Pixels], rng: RNG) -> Pixels:
    return backgrounds[int(rng.integers(len(backgrounds)))]


def _place(stamp: Image.Image, background: Pixels, rng: RNG, least: float, most: float) -> Pixels:
    """A stamp somewhere before a background, its longer side `least` to `most` of the picture's."""
    factor = SIDE_PX * rng.uniform(least, most) / max(stamp.size)
    size = [max(1, round(side * factor)) for side in stamp.size]
    shown = stamp.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    free = [SIDE_PX - side for side in size]
    corner = [int(rng.integers(min(0, room), max(0, room) + 1)) for room in free]
    layer = Image.new("RGBA", (SIDE_PX, SIDE_PX))
    layer.paste(shown, (corner[0], corner[1]))
    picture = Image.alpha_composite(Image.fromarray(background).convert("RGBA"), layer)
    return np.asarray(picture.convert("RGB"))


def _backgrounds(root: Path) -> list[Pixels]:
    """Parts of hymenoptera's validation photos without an insect."""
    from edgebee.train.augmentation import DecodedPhoto
    from edgebee.train.crops import Box, cut_box

    found = []
    for line in BACKGROUNDS.read_text(encoding="utf-8").splitlines():
        name, *corner = line.split()
        left, top = (int(sevenths) / 7 for sevenths in corner)
        box = Box(left, top, left + 3 / 7, top + 3 / 7)
        found.append(cut_box(DecodedPhoto(root / name, SIDE_PX).large, box, SIDE_PX))
    return found


def _soft(rng: RNG) -> Pixels:
    """Soft clouds of one colour."""
    noise = rng.uniform(60, 220, 3) + 25 * rng.standard_normal((4, 4, 3))
    small = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
    return np.asarray(small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


def _blank(rng: RNG) -> Pixels:
    """A frame with nothing on it, drawn otherwise than training draws them.

    A covered lens, an overexposed frame with dark corners, a plain colour, blurred blotches, or a
    grey with the stripes of a sensor.
    """
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    from_centre = (x**2 + y**2)[..., np.newaxis]
    kind = rng.integers(5)
    if kind == 0:
        pixels = rng.exponential(rng.uniform(1, 8), (SIDE_PX, SIDE_PX, 3))
    elif kind == 1:
        pixels = (255 - 60 * rng.random() * from_centre) * np.array([1, 0.99, 0.97])
    elif kind == 2:
        pixels = np.broadcast_to(rng.uniform(0, 255, 3), (SIDE_PX, SIDE_PX, 3))
    elif kind == 3:
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        blotches = small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        pixels = np.asarray(blotches.filter(ImageFilter.GaussianBlur(20)), np.float64)
    else:
        stripes = 5 * rng.standard_normal((SIDE_PX, 1, 1))
        pixels = rng.uniform(60, 200, 3) * (1 - 0.4 * from_centre) + stripes
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _save(folder: Path, pictures: Iterator[Pixels]) -> None:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
