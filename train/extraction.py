"""Extraction: the photos of a data set, augmented, as features of the frozen base."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import available_cpus
from edgebee.errors import TrainingError
from edgebee.photos.dataset import Dataset, Photos
from edgebee.photos.duplicates import Signature, group_same_pictures
from edgebee.progress import Progress, ProgressCallback
from edgebee.train.crops import draw_blank_frame
from edgebee.train.features import Features, FrozenBase, extract_features
from edgebee.train.photo_features import (
    Exits,
    ImageFeatures,
    PhotoTask,
    RunTasks,
    concatenate,
    gather,
    invoke_base,
    run_here,
)
from edgebee.train.recipe import Recipe

__all__ = ["Others", "extract_blank_frames", "extract_dataset", "extract_others", "photo_tasks"]

logger = logging.getLogger("edgebee.train")

BACKGROUND_CROPS = 4
"""Of a photo: several of some photos teach more than one of each."""
BACKGROUND_PHOTOS, MOST_BACKGROUND_PHOTOS = 56, 1_000
"""Whose background is cut out; with many photos, of every eighth, up to the second number."""
BACKGROUND_SHARE = 1 / 8
BLANK_FRAMES = 40
"""As many again give no better row."""


def extract_dataset(
    base: FrozenBase,
    dataset: Dataset,
    recipe: Recipe,
    scratch: Path,
    progress: ProgressCallback,
    run: RunTasks = run_here,
) -> tuple[Features, Features, dict[str, str]]:
    """Extract the features of all photos; those that cannot be read are left out.

    Returns:
        Of the training photos, augmented; of the validation photos as they are; and the photos
        that were left out, relative to the data set, each with the reason.

    Raises:
        TrainingError: a class has no readable photo.
    """
    plain = replace(recipe, augmentations=1, subject_crops=False, neither=False)
    training = _extract(base, dataset.train, recipe, "training", scratch, progress, run)
    validation = _extract(base, dataset.validation, plain, "validation", scratch, progress, run)
    left_out = {
        **_left_out(dataset, dataset.train, training),
        **_left_out(dataset, dataset.validation, validation),
    }
    return training, validation, left_out


def photo_tasks(photos: Photos, recipe: Recipe) -> list[PhotoTask]:
    """What is made of each photo; all follows from its place and the seed."""
    rng = np.random.default_rng(recipe.seed)
    wanted = max(BACKGROUND_PHOTOS, round(BACKGROUND_SHARE * len(photos)))
    cut = set(rng.permutation(len(photos))[: min(wanted, MOST_BACKGROUND_PHOTOS)].tolist())
    return [
        PhotoTask(
            path,
            recipe.image_size,
            recipe.augmentations,
            (recipe.seed, photo),
            subject_crops=recipe.subject_crops_a_photo,
            background_crops=BACKGROUND_CROPS if recipe.neither and photo in cut else 0,
        )
        for photo, path in enumerate(photos.paths)
    ]


def _extract(
    base: FrozenBase,
    photos: Photos,
    recipe: Recipe,
    half: str,
    scratch: Path,
    progress: ProgressCallback,
    run: RunTasks,
) -> Features:
    return extract_features(
        base,
        photo_tasks(photos, recipe),
        photos.classes,
        scratch,
        run=run,
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


def extract_blank_frames(base: FrozenBase, recipe: Recipe) -> ImageFeatures:
    """Features of frames with nothing on them; they follow from the seed."""

    def extract(number: int) -> Exits:
        rng = np.random.default_rng([recipe.seed, number, 1])
        return invoke_base(base.graph, draw_blank_frame(recipe.image_size, rng))

    with ThreadPoolExecutor(available_cpus()) as pool:
        return gather(pool.map(extract, range(BLANK_FRAMES)))


@dataclass(frozen=True)
class Others:
    """Features of the user's photos of what is none of the classes."""

    augmented: npt.NDArray[np.float32]
    """`[photos, images, features]`, of those to learn from."""
    plain: ImageFeatures
    """Of the same as they are."""
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
    run: RunTasks = run_here,
) -> Others:
    """Extract the features of the photos that show none of the classes.

    Args:
        base: from `freeze_base`.
        dataset: with `others`.
        signatures: of the training, then of the validation photos.
        recipe: the settings.
        progress: called with the photos that were read.
        run: does the work of the photos.

    Raises:
        TrainingError: one of them is a photo of a class, or none can be read.
    """
    paths = (*dataset.others, *dataset.others_validation)
    half = len(dataset.others)  # those that are learned from come first
    tasks = [
        PhotoTask(
            path,
            recipe.image_size,
            recipe.augmentations if number < half else 1,
            (recipe.seed, number, 2),
            subject_crops=recipe.subject_crops_a_photo if number < half else 0,
        )
        for number, path in enumerate(paths)
    ]
    counted = _counted("reading other photos", len(paths), progress)
    plain: dict[int, ImageFeatures] = {}
    augmented: dict[int, npt.NDArray[np.float32]] = {}
    shown: dict[int, Signature | None] = {}
    unread: dict[int, str] = {}
    for number, outcome in run(base.graph, tasks):
        if isinstance(outcome, str):
            unread[number] = outcome
        else:
            # A copy: a part of an array would keep the whole of it in memory.
            plain[number] = outcome.images[np.array([0])]
            augmented[number], shown[number] = outcome.images.pooled, outcome.signature
        counted()
    for _, reason in sorted(unread.items()):
        logger.warning("%s; left out", reason)
    learned = sorted(number for number in plain if number < half)
    checked = sorted(number for number in plain if number >= half)
    if not learned:
        raise TrainingError(
            f"{paths[0].parent}: no photo of what is none of the classes can be read; "
            "add some, or leave them out"
        )
    _refuse_known(dataset, signatures, paths, shown)
    return Others(
        augmented=np.stack([augmented[number] for number in learned]),
        plain=concatenate([plain[number] for number in learned]),
        held_out=concatenate([base.no_images(), *(plain[number] for number in checked)]).pooled,
        left_out={paths[number]: one.rsplit(": ", 1)[-1] for number, one in unread.items()},
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
