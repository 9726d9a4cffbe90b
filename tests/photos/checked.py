"""A picture for every number, and the problems of a folder, for the tests of the checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edgebee.photos.checks import check_dataset
from edgebee.photos.dataset import load_dataset
from edgebee.photos.sample import LABELS, draw_photo

PER_CLASS = 4
"""Photos of each class on each side, in the folder with nothing wrong."""


def picture(index: int) -> Image.Image:
    """A picture that no other index gives, 320 x 240 or thereabouts."""
    return draw_photo(LABELS[index % 2], np.random.default_rng([7, index]))


def check(root: Path, **options):
    return check_dataset(load_dataset(str(root), **options))


def found(root: Path, **options) -> list[tuple[str, tuple[str, ...]]]:
    return [(problem.kind, problem.paths) for problem in check(root, **options).problems]
