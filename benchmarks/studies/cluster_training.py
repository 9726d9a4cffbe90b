"""A training of very many images on a cluster whose nodes make features up.

Simulated: the photos (links to two drawings of 64 pixels), and what the nodes return for them:
random activations and features of the real shapes at 224 pixels, that follow from the photo's seed
and lie a little apart for each class. Real: Ray, two processes that are nodes' processors, what
travels to and from them, how this process stores it, and all of the training after that.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgebee.cluster import Cluster, connect
from edgebee.photos.dataset import Dataset, Photos
from edgebee.train.photo_features import ImageFeatures, Outcome, PhotoFeatures, PhotoTask
from edgebee.train.recipe import Recipe

__all__ = ["TrainingRun", "train_images"]

BOUNDARY, FEATURES = (14, 14, 96), 1280
IN_A_FOLDER = 1000
LABELS = ("ants", "bees")
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class TrainingRun:
    """What a training took; megabytes are of 10^6 bytes."""

    images: int
    peak_mb: float
    """The most that this process occupied, TensorFlow with it."""
    seconds: dict[str, float]
    """Part of the training -> wall-clock time."""
    correct: float
    """Share of the validation photos, 0-1: the made-up features are learned."""


class _MakesUp(Cluster):
    """A cluster whose nodes call `make_up` in the place of what they are given."""

    def map(self, function: Any, shared: Any, items: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """As `Cluster.map`."""
        return super().map(make_up, shared, items)


def make_up(graph: bytes, tasks: Sequence[PhotoTask]) -> list[Outcome]:
    """Random features of photos, in the place of `extract_photos`."""
    return [_make_up(task) for task in tasks]


def _make_up(task: PhotoTask) -> PhotoFeatures:
    from edgebee.photos.duplicates import sign

    rng = np.random.default_rng(task.seed)
    of_class = np.random.default_rng(LABELS.index(task.path.parent.parent.name))
    boundary = (2 * of_class.random(BOUNDARY[-1], np.float32)).astype(np.float16)
    pooled = of_class.random(FEATURES, np.float32) * np.float32(0.5)
    crops = _noise(rng, task.background_crops)
    images = _noise(rng, task.images)
    return PhotoFeatures(
        ImageFeatures(images.boundary + boundary, images.pooled + pooled),
        tuple(min(number, 1) for number in range(task.images)),
        sign(rng.integers(0, 256, (32, 32), np.uint8)),
        crops if task.background_crops else None,
    )


def _noise(rng: np.random.Generator, images: int) -> ImageFeatures:
    return ImageFeatures(
        rng.random((images, *BOUNDARY), np.float32).astype(np.float16),
        rng.random((images, FEATURES), np.float32),
    )


def train_images(count: int, recipe: Recipe) -> TrainingRun:
    """Train on `count` augmented images, on this machine's processors through Ray.

    Args:
        count: images of training photos.
        recipe: with the number of images of each photo.
    """
    from edgebee.train.training import train_classifier

    with tempfile.TemporaryDirectory(prefix="edgebee-cluster-") as name, connect("local") as local:
        dataset = _made_up_dataset(Path(name, "photos"), count // recipe.augmentations)
        scratch = Path(name, "scratch")
        scratch.mkdir()
        training = train_classifier(
            dataset, recipe, checkpoints=scratch, cluster=_MakesUp(local.address)
        )
    status = Path("/proc/self/status").read_text("utf-8")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return TrainingRun(
        count,
        int(peak[1]) * 1024 / 1e6 if peak else float("nan"),
        training.seconds,
        training.validation.correct / len(training.validation.paths),
    )


def _made_up_dataset(root: Path, photos: int) -> Dataset:
    """Links to two drawings: so many for training, a tenth as many for validation."""
    halves = []
    for half, number in (("train", photos), ("val", round(VALIDATION_SHARE * photos))):
        paths, classes = list[Path](), list[int]()
        for label, class_name in enumerate(LABELS):
            original = root / f"{half}-{class_name}.jpg"
            root.mkdir(exist_ok=True)
            Image.new("RGB", (64, 64), (80 * label, 90, 100)).save(original)
            for place in range(number // len(LABELS)):
                path = root / half / class_name / f"{place // IN_A_FOLDER:04}" / f"{place:07}.jpg"
                if place % IN_A_FOLDER == 0:
                    path.parent.mkdir(parents=True)
                path.hardlink_to(original)
                paths.append(path)
                classes.append(label)
        halves.append(Photos(tuple(paths), tuple(classes)))
    return Dataset("made up", str(root), root, LABELS, halves[0], halves[1], drawn=True)
