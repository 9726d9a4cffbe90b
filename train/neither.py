"""Learning to say `neither`: what it is learned from, and what it is worth on what was held out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgebee.photos.dataset import Dataset
from edgebee.progress import ProgressCallback
from edgebee.run import NeitherRecord, RejectionRecord
from edgebee.stats import auroc, fpr95, wilson_interval
from edgebee.train.batches import StrangerExamples
from edgebee.train.cross_validation import OutOfFold
from edgebee.train.extraction import Others, extract_blank_frames, extract_others
from edgebee.train.features import Backgrounds, Features, FrozenBase
from edgebee.train.photo_features import ImageFeatures, RunTasks, concatenate, run_here
from edgebee.train.recipe import Recipe
from edgebee.train.rejection import (
    Rejection,
    Strangers,
    judge_left_out,
    learn_rejection,
    neither_logits,
    strangeness,
)

if TYPE_CHECKING:
    from edgebee.train.training import Validation

__all__ = ["LearnedNeither", "learn_neither"]

LEAST_CLASSES, MOST_CLASSES = 3, 12
"""Between which every class is left out once, to see whether its photos are taken for others."""

logger = logging.getLogger("edgebee.train")


@dataclass(frozen=True)
class LearnedNeither:
    """What was learned of `neither`, with its measurements."""

    rejection: Rejection | None = None
    """None: the model goes without."""
    examples: StrangerExamples | None = None
    """For fine-tuning: crops of background, blank frames, and the other photos as they are."""
    blank_frames: int = 0
    other_photos: int = 0
    measurements: tuple[RejectionRecord, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    """Other photo that could not be read -> why."""

    def tuned(self, kernel: npt.NDArray[np.float32], bias: float) -> LearnedNeither:
        """The same with the row that fine-tuning made of it, `[features]`."""
        assert self.rejection is not None
        return replace(self, rejection=replace(self.rejection, kernel=kernel, bias=bias))

    def record(self, validation: Validation) -> NeitherRecord | None:
        """For `history.json`; None for a model that goes without."""
        if self.rejection is None:
            return None
        correct = validation.predictions == validation.classes
        kept = (correct & ~validation.called_neither).sum() / max(1, correct.sum())
        return NeitherRecord(
            background_crops=int(self.rejection.kept.sum()),
            blank_frames=self.blank_frames,
            other_photos=self.other_photos,
            slope=round(self.rejection.slope, 4),
            offset=round(self.rejection.offset, 4),
            prototypes=self.rejection.prototypes_per_class,
            kept=round(float(kept), 4),
            measurements=self.measurements,
        )


def learn_neither(
    base: FrozenBase,
    dataset: Dataset,
    training: Features,
    validation: Features,
    out_of_fold: OutOfFold | None,
    recipe: Recipe,
    progress: ProgressCallback,
    run: RunTasks = run_here,
) -> LearnedNeither:
    """Learn when a photo shows none of the classes, or log why not.

    Args:
        base: from `freeze_base`.
        dataset: the photos.
        training: features of the training photos, with crops of their background.
        validation: features of the validation photos.
        out_of_fold: from `cross_validate`.
        recipe: the settings.
        progress: called with the other photos that were read.
        run: does the work of those.

    Raises:
        TrainingError: an other photo is a photo of a class, or none can be read.
    """
    if not recipe.neither:
        if dataset.others:
            logger.warning("photos of what is none of the classes are not used: --no-neither")
        return LearnedNeither()
    if out_of_fold is None or training.backgrounds is None:
        logger.info("Without neither: there are too few photos to learn it from")
        return LearnedNeither()
    backgrounds = _of(training.backgrounds, out_of_fold.photos)
    blank = extract_blank_frames(base, recipe)
    others = None
    if dataset.others:
        signatures = (*training.signatures, *validation.signatures)
        others = extract_others(base, dataset, signatures, recipe, progress, run)
    strangers = _strangers(backgrounds, blank, others)
    rows = training.rows(out_of_fold.photos)
    known = training.pooled.take(rows.ravel()).reshape(*rows.shape, -1)
    classes = training.classes[out_of_fold.photos]
    rejection = learn_rejection(known, classes, out_of_fold.heads, strangers, recipe.seed)
    if isinstance(rejection, str):
        logger.warning("without neither: %s", rejection)
        return LearnedNeither()
    seen = {"background crops": rejection.background, "blank frames": rejection.blank}
    if LEAST_CLASSES <= len(dataset.labels) <= MOST_CLASSES:
        seen["photos of classes left out"] = judge_left_out(
            known, classes, out_of_fold.heads, strangers, rejection, recipe.seed
        )
    images = [backgrounds.images[rejection.kept], blank]
    learned = LearnedNeither(rejection, blank_frames=len(blank))
    if others is not None:
        kernel, bias = out_of_fold.heads.mean()
        last = neither_logits(others.held_out, rejection)
        seen["other photos"] = strangeness(others.held_out @ kernel + bias, last)
        learned = replace(
            learned,
            other_photos=len(others.plain),
            left_out={str(path): reason for path, reason in others.left_out.items()},
        )
        images.append(others.plain)
    return replace(
        learned,
        examples=StrangerExamples(
            concatenate(images), len(dataset.labels), rejection.kernel, rejection.bias
        ),
        measurements=tuple(
            _measure(source, rejection.known, strange)
            for source, strange in seen.items()
            if len(strange)
        ),
    )


def _of(backgrounds: Backgrounds, photos: npt.NDArray[np.int64]) -> Backgrounds:
    """The crops of `photos`, each with its photo's place in them."""
    place_of = {photo: place for place, photo in enumerate(photos.tolist())}
    places = np.array([place_of.get(photo, -1) for photo in backgrounds.photos.tolist()], np.int64)
    return Backgrounds(places[places >= 0], backgrounds.images[places >= 0])


def _strangers(backgrounds: Backgrounds, blank: ImageFeatures, others: Others | None) -> Strangers:
    """Crops of background, blank frames, and all images of the other photos."""
    width = blank.pooled.shape[1]
    augmented = np.zeros((0, 1, width), np.float32) if others is None else others.augmented
    return Strangers(
        background=backgrounds.images.pooled,
        background_of=backgrounds.photos,
        blank=blank.pooled,
        others=augmented.reshape(-1, width),
        others_of=np.repeat(np.arange(len(augmented)), augmented.shape[1]),
    )


def _measure(
    source: str, known: npt.NDArray[np.float64], strange: npt.NDArray[np.float64]
) -> RejectionRecord:
    """How well strangers are distinguished from photos held out."""
    accepted = int((strange <= 0).sum())
    interval = wilson_interval(accepted, len(strange))
    return RejectionRecord(
        source=source,
        count=len(strange),
        auroc=round(auroc(known, strange), 4),
        fpr95=round(fpr95(known, strange), 4),
        accepted=round(accepted / len(strange), 4),
        interval=(round(interval.low, 4), round(interval.high, 4)),
    )
