"""The representative dataset: the training photos that int8's value ranges are measured on."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import PhotoError, read_photo
from edgebee.errors import ConversionError
from edgebee.manifest import RepresentativePhotos
from edgebee.photos.blank_frames import draw_blank_frames
from edgebee.photos.layout import list_some
from edgebee.progress import Progress, ProgressCallback, ignore_progress

__all__ = [
    "RepresentativeDataset",
    "check_representative",
    "draw_order",
    "photo_name",
    "read_photos",
    "read_representative_dataset",
    "read_strangers",
]

MIN_SAMPLES = 8
"""Fewer photos than this do not show a layer's range."""

MIN_SPREAD = 64
"""Of the 256 levels that all photos together use, from the 1st to the 99th percentile."""

_log = logging.getLogger("edgebee.convert")


@dataclass(frozen=True)
class RepresentativeDataset:
    """Training photos as the runner reads them."""

    pixels: npt.NDArray[np.uint8]
    """`[photos, H, W, 3]`, RGB, 0-255, with both 0 and 255 in it."""
    names: tuple[str, ...]
    """Where they come from, in the same order: their place below the dataset's folder."""
    classes: tuple[int, ...]
    """The class of each."""
    strangers: npt.NDArray[np.uint8] | None = None
    """`[pictures, H, W, 3]` of none of the classes, for a model that knows `neither`: its score
    has values on them that it has on no photo of a class."""

    def samples(self) -> Iterator[list[npt.NDArray[np.float32]]]:
        """What the TFLite converter asks for: one `float32 [1, H, W, 3]` at a time."""
        strangers = () if self.strangers is None else self.strangers
        for photo in (*self.pixels, *strangers):
            yield [photo[np.newaxis].astype(np.float32)]


def photo_name(root: Path, path: Path) -> str:
    """A photo's name below its dataset's folder, with `/`."""
    return (path.relative_to(root) if path.is_relative_to(root) else Path(path.name)).as_posix()


def draw_order(classes: Sequence[int], seed: int) -> list[int]:
    """Indices of all photos in the order in which they are drawn: one of each class, repeatedly.

    Whatever number is taken from its start, every class has its share, and a class with
    few photos gives all it has before the others go on alone.

    Args:
        classes: class index of each photo.
        seed: which photos of a class come first.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(classes))
    drawn: Counter[int] = Counter()
    rounds = {}
    for index in shuffled:
        rounds[int(index)] = (drawn[classes[index]], classes[index])
        drawn[classes[index]] += 1
    return sorted(rounds, key=rounds.__getitem__)


def read_photos(
    paths: Sequence[Path],
    order: Sequence[int],
    size: tuple[int, int],
    *,
    kind: str,
    most: int,
    progress: ProgressCallback,
) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Read photos as the runner does; those that cannot be read are logged and left out.

    Args:
        paths: the photos.
        order: indices of those to read, one after another.
        size: height and width of the model's input, in pixels.
        kind: `training` or `validation`.
        most: the largest number of photos to read.
        progress: called after each photo.

    Returns:
        `[photos, H, W, 3]` and the index of each.

    Raises:
        ConversionError: none could be read.
    """
    read: list[npt.NDArray[np.uint8]] = []
    used: list[int] = []
    for index in order:
        if len(used) == most:
            break
        try:
            read.append(read_photo(paths[index], size))
        except PhotoError as error:
            _log.warning("%s; left out", error)
            continue
        used.append(index)
        progress(Progress(f"reading {kind} photos", len(used), min(most, len(order))))
    if not read:
        raise ConversionError(
            f"there are no readable {kind} photos; add some, or name others with --data"
        )
    return np.stack(read), used


def read_strangers(
    others: Sequence[Path],
    size: tuple[int, int],
    *,
    frames_per_kind: int,
    most: int,
    seed: int,
    progress: ProgressCallback,
) -> npt.NDArray[np.uint8]:
    """Pictures of none of the classes: blank frames, and photos where there are any.

    Args:
        others: the photos.
        size: height and width of the model's input, in pixels.
        frames_per_kind: blank frames of each kind.
        most: the largest number of photos to read.
        seed: which frames and which photos.
        progress: called after each photo.

    Returns:
        `[pictures, H, W, 3]`.
    """
    frames = draw_blank_frames(frames_per_kind, size, seed=seed)
    if not others:
        return frames
    order = draw_order([0] * len(others), seed)
    photos, _ = read_photos(others, order, size, kind="other", most=most, progress=progress)
    return np.concatenate([frames, photos])


def read_representative_dataset(
    paths: Sequence[Path],
    classes: Sequence[int],
    *,
    root: Path,
    samples: int,
    size: tuple[int, int],
    seed: int,
    progress: ProgressCallback = ignore_progress,
) -> RepresentativeDataset:
    """Choose and read the representative dataset, from training photos only.

    Two pixels in the corner of the first photo are set to 0 and 255: the quantizer maps the
    smallest and the largest input it sees to the ends of the byte, and only if those are 0
    and 255 does the model take pixels exactly as they are (scale 1, zero point 0).

    Args:
        paths: training photos.
        classes: class index of each.
        root: the dataset's folder; photos are named by their place below it.
        samples: how many to choose; all, when there are fewer.
        size: height and width of the model's input, in pixels.
        seed: which photos.
        progress: called after each photo.

    Raises:
        ConversionError: no photo could be read.
    """
    order = draw_order(classes, seed)
    pixels, used = read_photos(paths, order, size, kind="training", most=samples, progress=progress)
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    return RepresentativeDataset(
        pixels,
        tuple(photo_name(root, paths[index]) for index in used),
        tuple(classes[index] for index in used),
    )


def check_representative(
    photos: RepresentativeDataset, labels: Sequence[str]
) -> RepresentativePhotos:
    """Describe the photos that int8's value ranges will be measured on.

    Args:
        photos: the representative dataset.
        labels: names of all classes.

    Raises:
        ConversionError: there are too few, or none of a class.
    """
    count, of_class = len(photos.names), Counter(photos.classes)
    needed = max(MIN_SAMPLES, len(labels))
    if count < needed:
        raise ConversionError(
            f"{count} photos are too few for the representative dataset: it takes {needed} "
            "at least, 100 are better; raise --samples, or add training photos"
        )
    if missing := [label for index, label in enumerate(labels) if not of_class[index]]:
        raise ConversionError(
            f"no photo of {list_some(missing)} is among the {count} representative photos; "
            "raise --samples, or add training photos of it that can be read"
        )
    low, high = (int(level) for level in np.percentile(photos.pixels, (1, 99)))
    remarks: tuple[str, ...] = ()
    if high - low < MIN_SPREAD:
        remarks = (
            f"the representative photos use levels {low} to {high} of 0 to 255 only; "
            "add photos in other light, or int8 will be wrong in it",
        )
    return RepresentativePhotos(
        files=photos.names,
        distinct=len({hashlib.sha256(one.tobytes()).digest() for one in photos.pixels}),
        of_class={label: of_class[index] for index, label in enumerate(labels)},
        level_range=(low, high),
        remarks=remarks,
    )
