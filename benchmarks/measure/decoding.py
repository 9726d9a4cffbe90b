"""Every photo decoded once, for all the models that are measured on it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebee.benchmarks.measure.results import Stranger
from edgebee.edge.classify import PhotoError, available_cpus, read_photo
from edgebee.errors import BenchmarkError
from edgebee.photos.blank_frames import BLANK_KINDS, draw_blank_frames

__all__ = [
    "BLANK_FRAMES_PER_KIND",
    "Decoded",
    "decode_photos",
    "decode_strangers",
    "first_readable",
    "name_blank_frames",
    "spread_evenly",
]

BLANK_FRAMES_PER_KIND = 10


_NONE = "no validation photo could be read; name others with --data"


@dataclass(frozen=True)
class Decoded:
    """Photos as pixels in a file, which processes share without copying.

    Attributes:
        pixels: an `.npy` file of `uint8 [N, H, W, 3]`.
        readable: the indices, in the list that was given, of its photos.
        skipped: a message for each photo that is not among them.
    """

    pixels: Path
    readable: tuple[int, ...]
    skipped: tuple[str, ...]


def decode_photos(paths: Sequence[Path], size: tuple[int, int], folder: Path) -> Decoded:
    """Read photos on all cores, as the runner does.

    Args:
        paths: photos.
        size: height and width, in pixels.
        folder: for the file of pixels.

    Raises:
        BenchmarkError: none of them can be read.
    """

    def read(path: Path) -> npt.NDArray[np.uint8] | str:
        try:
            return read_photo(path, size)
        except PhotoError as error:
            return str(error)

    whole = folder / f"all-{size[0]}x{size[1]}.npy"
    readable: list[int] = []
    skipped: list[str] = []
    pixels = np.lib.format.open_memmap(whole, "w+", np.uint8, (len(paths), *size, 3))
    with ThreadPoolExecutor(available_cpus()) as pool:
        for number, photo in enumerate(pool.map(read, paths)):
            if isinstance(photo, str):
                skipped.append(photo)
            else:
                pixels[len(readable)] = photo
                readable.append(number)
    if not readable:
        raise BenchmarkError(_NONE)
    pixels.flush()
    if not skipped:
        return Decoded(whole, tuple(readable), ())
    kept = folder / f"readable-{size[0]}x{size[1]}.npy"
    np.save(kept, pixels[: len(readable)])
    return Decoded(kept, tuple(readable), tuple(skipped))


def name_blank_frames() -> list[Stranger]:
    """What the frames of `draw_blank_frames(BLANK_FRAMES_PER_KIND)` are called."""
    return [
        Stranger(f"{kind} {number}", "blank frames")
        for kind in BLANK_KINDS
        for number in range(1, BLANK_FRAMES_PER_KIND + 1)
    ]


def decode_strangers(others: Sequence[Path], size: tuple[int, int], folder: Path) -> Decoded:
    """Photos of none of the classes and, behind them, blank frames.

    Args:
        others: the photos; those that cannot be read are skipped.
        size: height and width, in pixels.
        folder: for the file of pixels.
    """
    frames = draw_blank_frames(BLANK_FRAMES_PER_KIND, size)
    decoded = Decoded(folder / "none", (), ())
    if others:
        (folder / "others").mkdir(exist_ok=True)
        decoded = decode_photos(others, size, folder / "others")
        frames = np.concatenate([np.load(decoded.pixels), frames])
    path = folder / f"strangers-{size[0]}x{size[1]}.npy"
    np.save(path, frames)
    return Decoded(path, decoded.readable, decoded.skipped)


def first_readable(paths: Sequence[Path]) -> Path:
    """The first photo that can be read.

    Raises:
        BenchmarkError: there is none.
    """
    for path in paths:
        with contextlib.suppress(PhotoError):  # reported when all photos are decoded
            read_photo(path)
            return path
    raise BenchmarkError(_NONE)


def spread_evenly(total: int, wanted: int) -> list[int]:
    """At most `wanted` of `total` indices, evenly spread, so that every class has its share."""
    return sorted({round(place) for place in np.linspace(0, total - 1, min(wanted, total))})
