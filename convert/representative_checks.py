"""Check the representative dataset before a model is quantized with it.

int8 maps the value range that every layer has on these photos to 256 steps. Too few photos, a
missing class or noise give a model that loads, predicts, and is wrong.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgebee.convert.representative import RepresentativeDataset
from edgebee.errors import ConversionError
from edgebee.manifest import RepresentativePhotos
from edgebee.photos.layout import list_some

__all__ = ["MIN_SAMPLES", "check_representative", "neighbour_correlation"]

MIN_SAMPLES = 8
"""Fewer photos than this do not show a layer's range."""

MIN_CORRELATION = 0.3
"""Of neighbouring pixels. White noise has 0 at the model's size and 0.16 when it was scaled
down to it; of the 244 hymenoptera photos the least regular has 0.48 (at 224 pixels)."""

MAX_NOISE_SHARE = 0.1
MAX_CONSTANT_SHARE = 0.5

MIN_SPREAD = 64
"""Of the 256 levels that all photos together use, from the 1st to the 99th percentile."""


def check_representative(
    photos: RepresentativeDataset, labels: Sequence[str]
) -> RepresentativePhotos:
    """Check the photos that int8's value ranges will be measured on.

    Args:
        photos: the representative dataset.
        labels: names of all classes.

    Raises:
        ConversionError: they would ruin the model; says why, and what to do.
    """
    pictures, count = photos.pixels, len(photos.names)
    _check_coverage(photos.classes, labels)
    distinct = len({hashlib.sha256(picture.tobytes()).digest() for picture in pictures})
    named = list(zip(photos.names, pictures, strict=True))
    constant = [name for name, one in named if np.ptp(one) == 0]
    noise = [
        name
        for name, one in named
        if np.ptp(one) > 0 and neighbour_correlation(one) < MIN_CORRELATION
    ]
    _check_pictures(count, distinct, constant, noise)
    low, high = (int(level) for level in np.percentile(pictures, (1, 99)))
    of_class = Counter(photos.classes)
    return RepresentativePhotos(
        files=photos.names,
        distinct=distinct,
        of_class={label: of_class[index] for index, label in enumerate(labels)},
        level_range=(low, high),
        remarks=tuple(_remarks(count, distinct, constant, noise, (low, high))),
    )


def neighbour_correlation(picture: npt.NDArray[np.uint8]) -> float:
    """How alike neighbouring pixels of `[H, W, 3]` are: 1 for a plain surface, 0 for noise.

    Pearson's correlation of the grey values with those one pixel further, the smaller of
    across and down.
    """
    grey = picture.mean(axis=-1, dtype=np.float64)
    pairs = (grey[:, 1:], grey[:, :-1]), (grey[1:], grey[:-1])
    return min(_correlation(one, other) for one, other in pairs)


def _correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    one, other = one - one.mean(), other - other.mean()
    power = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / power if power else 1.0


def _check_coverage(classes: Sequence[int], labels: Sequence[str]) -> None:
    """Refuse too few photos, and a class without any."""
    missing = [label for index, label in enumerate(labels) if index not in set(classes)]
    needed = max(MIN_SAMPLES, len(labels))
    if len(classes) < needed:
        raise ConversionError(
            f"{len(classes)} photos are too few for the representative dataset: it takes {needed} "
            "at least, 100 are better; raise --samples, or add training photos"
        )
    if missing:
        raise ConversionError(
            f"no photo of {list_some(missing)} is among the {len(classes)} "
            "representative photos; raise --samples, or add training photos of it that can be read"
        )


def _check_pictures(
    samples: int, distinct: int, constant: Sequence[str], noise: Sequence[str]
) -> None:
    """Refuse when too few of them are real, different photos."""
    if len(constant) > MAX_CONSTANT_SHARE * samples:
        raise ConversionError(
            f"{len(constant)} of {samples} representative photos are of a single colour "
            f"({list_some(constant)}); they show the model nothing: give it real photos"
        )
    if len(noise) > MAX_NOISE_SHARE * samples:
        raise ConversionError(
            f"{len(noise)} of {samples} representative photos are random noise "
            f"({list_some(noise)}); its layers would be scaled for what no camera sees: give it "
            "real photos"
        )
    if distinct < MIN_SAMPLES:
        raise ConversionError(
            f"only {distinct} of {samples} representative photos differ from each other; remove "
            "the duplicates (edgebee data check names them) and add photos"
        )


def _remarks(
    samples: int,
    distinct: int,
    constant: Sequence[str],
    noise: Sequence[str],
    levels: tuple[int, int],
) -> list[str]:
    remarks = []
    if samples > distinct:
        remarks.append(
            f"{samples - distinct} of {samples} representative photos are duplicates; remove them "
            "(edgebee data check names them)"
        )
    if constant:
        remarks.append(
            f"representative photos of a single colour, which show nothing: {list_some(constant)}"
        )
    if noise:
        remarks.append(
            f"random noise among the representative photos: {list_some(noise)}; remove it"
        )
    if levels[1] - levels[0] < MIN_SPREAD:
        remarks.append(
            f"the representative photos use levels {levels[0]} to {levels[1]} of 0 to 255 only; "
            "add photos in other light, or int8 will be wrong in it"
        )
    return remarks
