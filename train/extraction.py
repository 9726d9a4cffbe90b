"""Extraction: the photos of a data set, augmented, as features of the frozen base."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgebee.errors import TrainingError
from edgebee.photos.dataset import Dataset, Photos
from edgebee.progress import Progress, ProgressCallback
from edgebee.train.augmentation import AugmentedImage, augment_photo
from edgebee.train.features import Features, FrozenBase, extract_features
from edgebee.train.recipe import Recipe

__all__ = ["extract_dataset"]

logger = logging.getLogger("edgebee.train")


def extract_dataset(
    base: FrozenBase, dataset: Dataset, recipe: Recipe, scratch: Path, progress: ProgressCallback
) -> tuple[Features, Features, dict[str, str]]:
    """Extract the features of all photos; those that cannot be read are left out.

    Returns:
        Of the training photos, augmented; of the validation photos as they are; and the photos
        that were left out, relative to the data set, each with the reason.

    Raises:
        TrainingError: a class has no readable photo.
    """
    plain = replace(recipe, augmentations=1)
    training = _extract(base, dataset.train, recipe, "training", scratch, progress)
    validation = _extract(base, dataset.validation, plain, "validation", scratch, progress)
    left_out = {
        **_left_out(dataset, dataset.train, training),
        **_left_out(dataset, dataset.validation, validation),
    }
    return training, validation, left_out


def _extract(
    base: FrozenBase,
    photos: Photos,
    recipe: Recipe,
    half: str,
    scratch: Path,
    progress: ProgressCallback,
) -> Features:
    """Extract features; each photo's augmented images follow from the seed."""
    done = 0

    def augment(path: Path, photo: int) -> Iterator[AugmentedImage]:
        rng = np.random.default_rng([recipe.seed, photo])
        return augment_photo(path, recipe.image_size, recipe.augmentations, rng)

    def count() -> None:
        nonlocal done
        done += 1
        progress(Progress(f"reading {half} photos", done, len(photos)))

    return extract_features(
        base, photos.paths, photos.classes, augment, recipe.augmentations, scratch, progress=count
    )


def _left_out(dataset: Dataset, photos: Photos, features: Features) -> dict[str, str]:
    """Log which photos could not be read; refuse when a class has none left."""
    for message in features.unreadable.values():
        logger.warning("%s; left out", message)
    remaining = np.bincount(features.classes[features.photos], minlength=len(dataset.labels))
    for label, count in zip(dataset.labels, remaining, strict=True):
        if count == 0:
            raise TrainingError(
                f"{dataset.root}: no readable photo of '{label}' is left "
                f"({len(features.unreadable)} damaged); add photos or remove the class"
            )
    return {
        photos.paths[photo].relative_to(dataset.root).as_posix(): message.rsplit(": ", 1)[-1]
        for photo, message in features.unreadable.items()
    }
