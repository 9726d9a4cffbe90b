"""Find photos that are the same picture: re-saved, resized, recoloured, mirrored or turned.

Two comparisons, both correlations of grey thumbnails in which every frequency has the same say, so
that light and vignette, which unrelated photos share, count little:

1. the 63 lowest frequencies of the whole, in all eight mirrored and turned positions, every
   photo against every other by matrix products;
2. for what that leaves, finer detail of the inner half: frames, borders and letterboxes,
   which make unrelated photos alike in the first comparison, are gone there.

A 64-bit perceptual hash (`imagehash`) is the usual tool. It keeps only the signs of the same
63 numbers, and that loses much: trimmed by 3 % a side, one in ten of the hymenoptera photos
is 10 bits or more from itself, where unrelated ones start at 14. The numbers themselves
leave a wide gap (see below), turn and mirror without a second decoding, and need NumPy alone
where imagehash brings SciPy and PyWavelets, 150 MB for thirty lines.

Not found: the same scene taken twice, and the same picture trimmed by about 5 % a side or
more, but for its centre square, which is compared as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgebee.photos.image_stats import MAX_THUMBNAILS, NO_THUMBNAILS, THUMBNAIL_SIDE_PX, Pixels

__all__ = ["BLOCK", "Group", "Signatures", "group_same_pictures"]

Rows: TypeAlias = npt.NDArray[np.float32]

FIRST_THRESHOLD, SECOND_THRESHOLD = 0.85, 0.75
"""Correlations from which two photos are the same.

Of the 397 hymenoptera photos no two, in no position, come above 0.80 in the first comparison or
above 0.40 in both. The same photos saved at JPEG quality 30, halved, squeezed to 100 px, made
grey, 40 % brighter or darker, blurred, written on, or trimmed by 2 % a side are all found, by
3 % a side 97 % of them. Given frames or letterboxes all alike, still no two are mistaken.
"""

COARSE_BAND = (0, 8)
FINE_BAND = (4, 12)
"""Frequencies of the two comparisons, in half waves: lowest, one past highest."""

UPRIGHT = (0, 2)
"""Positions, see `_turned`: as it is, and mirrored left to right."""

INNER = slice(THUMBNAIL_SIDE_PX // 4, THUMBNAIL_SIDE_PX - THUMBNAIL_SIDE_PX // 4)
"""Rows and columns that the second comparison takes."""

MIN_CONTRAST = 3.0
"""Thumbnails with a smaller standard deviation, of 255, show nothing to compare."""

MAX_CANDIDATES = 50_000
"""Pairs of a block that get a second comparison, the likeliest ones; bounds the time for a folder
in which everything looks alike."""

BLOCK = 1024
"""Photos compared at once with all others, or decoded for their signatures."""

MAX_PRODUCTS = 1 << 23
"""Correlations held at once, 4 bytes each: with very many photos the blocks get smaller."""


@dataclass(frozen=True)
class Group:
    """Photos that are the same picture.

    Attributes:
        members: their indices, ascending; two at least.
        identical: whether all of them are the same bytes.
        alike: the least correlation by which one of them was recognised, 0-1; 1 for bytes.
    """

    members: tuple[int, ...]
    identical: bool
    alike: float


class Signatures:
    """What is kept of photos to compare them with each other, 0.8 KB a thumbnail.

    Row i is that of the whole of photo i, row i + `photos` that of its centre square; zeros, which
    are like nothing, where there is none or too little to see.

    Attributes:
        coarse: for the first comparison, float32 [2 * photos, 64].
        fine: for the second, float32 [2 * photos, 144].
    """

    def __init__(self, photos: int) -> None:
        # Zeroed pages take no memory before something else is written to them.
        self.coarse = np.zeros((MAX_THUMBNAILS * photos, COARSE_BAND[1] ** 2), np.float32)
        self.fine = np.zeros((MAX_THUMBNAILS * photos, FINE_BAND[1] ** 2), np.float32)
        self.photos = photos

    def add(self, first: int, thumbnails: Sequence[Pixels]) -> None:
        """Add photos from number `first` on; for each uint8 [n, 32, 32], n from 0 to 2.

        At most about `BLOCK` at once: on the way, one takes many times what is kept of it.
        """
        rows = [
            first + number + self.photos * part
            for number, cuts in enumerate(thumbnails)
            for part in range(len(cuts))
        ]
        pixels = np.concatenate([*thumbnails, NO_THUMBNAILS])
        shows = pixels.std(axis=(1, 2)) >= MIN_CONTRAST
        kept, shown = np.array(rows, np.intp)[shows], pixels[shows].astype(np.float32)
        self.coarse[kept] = _transformed(shown, COARSE_BAND)
        self.fine[kept] = _transformed(shown[:, INNER, INNER], FINE_BAND)

    def forget(self, photos: Sequence[int]) -> None:
        """Have these photos be like nothing."""
        for part in range(MAX_THUMBNAILS):
            rows = np.array(photos, np.intp) + self.photos * part
            self.coarse[rows] = self.fine[rows] = 0


def group_same_pictures(digests: Sequence[bytes], signatures: Signatures) -> list[Group]:
    """Group photos that are the same, byte for byte or to the eye.

    Args:
        digests: a hash of each file's bytes; empty for a file that could not be opened.
        signatures: of all of them; those of photos whose bytes occur twice are forgotten.

    Returns:
        Groups of two and more, ordered by their first member; no photo is in two of them.
    """
    first_with: dict[bytes, int] = {}
    same: list[tuple[int, int, float]] = []
    for index, digest in enumerate(digests):
        if digest and first_with.setdefault(digest, index) != index:
            same.append((first_with[digest], index, 1.0))
    # One of each set of identical files stands for the rest.
    signatures.forget([copy for _, copy, _ in same])
    return _joined(digests, same + _near_pairs(signatures))


def _joined(digests: Sequence[bytes], same: list[tuple[int, int, float]]) -> list[Group]:
    """Join pairs that share a photo into groups."""
    parent = list(range(len(digests)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    for one, other, _ in same:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    members: dict[int, list[int]] = {}
    for index in range(len(digests)):
        members.setdefault(root(index), []).append(index)
    alike: dict[int, float] = {}
    for one, _, correlation in same:
        alike[root(one)] = min(correlation, alike.get(root(one), 1.0))
    return [
        Group(tuple(group), len({digests[index] for index in group}) == 1, alike[first])
        for first, group in members.items()
        if len(group) > 1
    ]


def _near_pairs(signatures: Signatures) -> list[tuple[int, int, float]]:
    """Pairs of photos of which the whole of one is the whole or another cut of the other.

    Returns:
        (smaller index, larger index, correlation in the first comparison), sorted.
    """
    coarse, fine, photos = signatures.coarse, signatures.fine, signatures.photos
    size = max(1, min(BLOCK, MAX_PRODUCTS // max(1, len(coarse))))
    best: dict[tuple[int, int], float] = {}
    for position in range(8):
        # Every whole is compared with those after it; only upright and mirrored, with parts too.
        stop = len(coarse) if position in UPRIGHT else photos
        for start in range(0, photos, size):
            block, after = slice(start, min(start + size, photos)), slice(start, stop)
            ones, others, alike = _agreeing(
                _turned(coarse[block], position),
                coarse[after],
                _turned(fine[block], position),
                fine[after],
            )
            pairs = np.sort([start + ones, (start + others) % photos], axis=0).T.tolist()
            for (one, other), correlation in zip(pairs, alike.tolist(), strict=True):
                if one != other:
                    best[one, other] = max(correlation, best.get((one, other), 0.0))
    return sorted((one, other, min(alike, 1.0)) for (one, other), alike in best.items())


def _agreeing(
    coarse: Rows, all_coarse: Rows, fine: Rows, all_fine: Rows
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Rows]:
    """Rows of a block and rows of all that agree in both comparisons, and how well in the first."""
    first = coarse @ all_coarse.T
    rows, columns = np.nonzero(first >= FIRST_THRESHOLD)
    alike = first[rows, columns]
    if len(alike) > MAX_CANDIDATES:
        kept = np.sort(np.argsort(-alike, kind="stable")[:MAX_CANDIDATES])
        rows, columns, alike = rows[kept], columns[kept], alike[kept]
    second = np.einsum("nf,nf->n", fine[rows], all_fine[columns])
    agreed = second >= SECOND_THRESHOLD
    return rows[agreed], columns[agreed], alike[agreed]


def _turned(rows: Rows, position: int) -> Rows:
    """Signatures of the pictures in one of the eight positions of a square.

    Mirrored, a cosine transform changes the sign of its odd frequencies.

    Args:
        rows: float32 [n, side squared].
        position: bits for rows, columns, diagonal.
    """
    side = math.isqrt(rows.shape[1])
    spectrum = rows.reshape(len(rows), side, side)
    signs = 1 - 2 * (np.arange(side, dtype=np.float32) % 2)
    if position & 4:
        spectrum = spectrum.transpose(0, 2, 1)
    if position & 1:
        spectrum = spectrum * signs[:, np.newaxis]
    if position & 2:
        spectrum = spectrum * signs
    return spectrum.reshape(rows.shape)


def _transformed(thumbnails: Rows, band: tuple[int, int]) -> Rows:
    """Cosine transform of a band of frequencies, each weighted by its frequency.

    Natural pictures have amplitudes that fall as 1/frequency (Field 1987), so that the
    weighting gives every frequency the same say.

    Args:
        thumbnails: float32 [n, side, side].
        band: half waves across the picture, lowest and the one past the highest.

    Returns:
        float32 [n, highest squared], each row of length 1, so that products are correlations.
    """
    side, (low, high) = thumbnails.shape[1], band
    waves = np.arange(high)
    basis = np.cos(np.pi / side * waves[:, None] * (np.arange(side) + 0.5))
    basis = (basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32)
    weights = np.hypot(waves[:, None], waves).astype(np.float32)
    weights[:low, :low] = 0
    spectrum: Rows = (basis @ thumbnails @ basis.T * weights).reshape(-1, high * high)
    length = np.linalg.norm(spectrum, axis=1, keepdims=True)
    rows: Rows = spectrum / np.maximum(length, np.float32(1e-6))
    return rows
