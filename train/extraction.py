"""Extraction: the photos of a data set, augmented, as features of the frozen base."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebee.errors import TrainingError
from edgebee.photos.dataset import Dataset, Photos
from edgebee.photos.duplicates import Signature, group_same_pictures
from edgebee.progress import Progress, ProgressCallback
from edgebee.train.augmentation import AugmentedImage, DecodedPhoto, augment_photo
from edgebee.train.crops import background_boxes, cut_box, draw_blank_frame
from edgebee.train.features import (
    Features,
    FrozenBase,
    extract_features,
    extract_pooled,
    sign_pixels,
)
from edgebee.train.recipe import Recipe

__all__ = ["Others", "extract_blank_frames", "extract_dataset", "extract_others"]

logger = logging.getLogger("edgebee.train")

BACKGROUND_CROPS = 3
"""Of a photo: three of some photos taught more than one or two of all."""
BACKGROUND_PHOTOS, MOST_BACKGROUND_PHOTOS = 100, 1_000
"""Whose background is cut out; with many photos, of every eighth, up to the second number."""
BACKGROUND_SHARE = 1 / 8
BLANK_FRAMES = 40
"""As many again give no better row."""


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
    training = _extract(base, dataset.train, recipe, "training", scratch, progress, recipe.neither)
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
    with_backgrounds: bool = False,
) -> Features:
    """Extract features; each photo's augmented images follow from the seed."""
    decoded: dict[int, DecodedPhoto] = {}
    rng = np.random.default_rng(recipe.seed)
    wanted = max(BACKGROUND_PHOTOS, round(BACKGROUND_SHARE * len(photos)))
    cut = set(rng.permutation(len(photos))[: min(wanted, MOST_BACKGROUND_PHOTOS)].tolist())

    def augment(path: Path, photo: int) -> Iterator[AugmentedImage]:
        source = DecodedPhoto(path, recipe.image_size)
        if with_backgrounds and photo in cut:
            decoded[photo] = source
        return augment_photo(
            source, recipe.augmentations, np.random.default_rng([recipe.seed, photo])
        )

    def backgrounds(photo: int, norms: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.uint8]]:
        if photo in cut:
            source = decoded.pop(photo)
            for box in background_boxes(norms, BACKGROUND_CROPS):
                yield cut_box(source.large, box, recipe.image_size)

    return extract_features(
        base,
        photos.paths,
        photos.classes,
        augment,
        recipe.augmentations,
        scratch,
        backgrounds=backgrounds if with_backgrounds else None,
        progress=_counted(f"reading {half} photos", len(photos), progress),
    )


def _counted(task: str, total: int, progress: ProgressCallback) -> Callable[[], None]:
    """What reports one more of `total` as done whenever it is called."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(Progress(task, done, total))

    return count


def extract_blank_frames(base: FrozenBase, recipe: Recipe) -> npt.NDArray[np.float32]:
    """Features `[frames, features]` of frames with nothing on them; they follow from the seed."""

    def draw(number: int) -> Iterator[npt.NDArray[np.uint8]]:
        yield draw_blank_frame(recipe.image_size, np.random.default_rng([recipe.seed, number, 1]))

    found = extract_pooled(base, BLANK_FRAMES, draw)
    return np.concatenate([one for one in found if not isinstance(one, str)])


@dataclass(frozen=True)
class Others:
    """Features of the user's photos of what is none of the classes."""

    pooled: npt.NDArray[np.float32]
    """`[photos, images, features]`, of those to learn from, augmented."""
    held_out: npt.NDArray[np.float32]
    """`[photos, features]`, of those to check with, as they are."""
    left_out: dict[Path, str]
    """Photo -> why it could not be read."""


def extract_others(
    base: FrozenBase,
    dataset: Dataset,
    signatures: Sequence[Signature | None],
    recipe: Recipe,
    progress: ProgressCallback,
) -> Others:
    """Extract the features of the photos that show none of the classes.

    Args:
        base: from `freeze_base`.
        dataset: with `others`.
        signatures: of the training, then of the validation photos.
        recipe: the settings.
        progress: called with the photos that were read.

    Raises:
        TrainingError: one of them is a photo of a class, or none can be read.
    """
    paths = (*dataset.others, *dataset.others_validation)
    shown: dict[int, Signature | None] = {}

    def augment(number: int) -> Iterator[npt.NDArray[np.uint8]]:
        source = DecodedPhoto(paths[number], recipe.image_size)
        shown[number] = sign_pixels(source.plain)
        count = recipe.augmentations if number < len(dataset.others) else 1
        rng = np.random.default_rng([recipe.seed, number, 2])
        return (image.pixels for image in augment_photo(source, count, rng))

    counted = _counted("reading other photos", len(paths), progress)
    found = extract_pooled(base, len(paths), augment, progress=counted)
    left_out = {}
    for path, one in zip(paths, found, strict=True):
        if isinstance(one, str):
            logger.warning("%s; left out", one)
            left_out[path] = one.rsplit(": ", 1)[-1]
    half = len(dataset.others)
    learned = [one for one in found[:half] if not isinstance(one, str)]
    checked = [one[0] for one in found[half:] if not isinstance(one, str)]
    if not learned:
        raise TrainingError(
            f"{paths[0].parent}: no photo of what is none of the classes can be read; "
            "add some, or leave them out"
        )
    _refuse_known(dataset, signatures, paths, shown)
    return Others(
        np.stack(learned), np.array(checked, np.float32).reshape(-1, base.feature_count), left_out
    )


def _refuse_known(
    dataset: Dataset,
    signatures: Sequence[Signature | None],
    paths: Sequence[Path],
    shown: dict[int, Signature | None],
) -> None:
    """Refuse other photos that are photos of a class.

    Raises:
        TrainingError: naming the first of them.
    """
    known = (*dataset.train.paths, *dataset.validation.paths)
    numbers = sorted(shown)
    both = [*signatures, *(shown[number] for number in numbers)]
    for group in group_same_pictures([b""] * len(both), both):
        ours = [member for member in group.members if member < len(known)]
        theirs = [numbers[member - len(known)] for member in group.members if member >= len(known)]
        if ours and theirs:
            raise TrainingError(
                f"{paths[theirs[0]]}: shows the same as {known[ours[0]]}, which is a photo of a "
                "class; an other photo shows none of them: remove it from one of the two"
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
