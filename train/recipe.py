"""The settings of a training, checked before any work starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgebee.errors import TrainingError
from edgebee.train.backbone import BACKBONES, DEFAULT_BACKBONE

__all__ = ["DEFAULT_LEARNING_RATE", "Recipe"]

DEFAULT_LEARNING_RATE = 5e-4
"""Of the head, when there are too few photos to choose by."""
SUBJECT_EVERY = 4
"""Every fourth image of a photo shows its subject cut out."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a training, besides the photos.

    The first block is the starting recipe's; the second was chosen by cross-validation
    within the hymenoptera training photos (`python -m edgebee.benchmarks.studies settings`).
    """

    epochs: int = 10
    """Epochs of feature extraction: the whole base frozen, the head learns."""
    fine_tune_epochs: int = 5
    """Epochs of fine-tuning after that: the base learns too, from `fine_tune_at` on."""
    fine_tune_at: int | None = None
    """Index of the first base layer that fine-tuning releases; None: the backbone's own."""
    image_size: int = 224
    """Input size in pixels."""
    batch_size: int = 32
    """Images in a step of feature extraction."""
    backbone: str = DEFAULT_BACKBONE
    """A key of `edgebee.train.backbone.BACKBONES`."""
    alpha: float = 1.0
    """Width of the backbone: a factor on the channels of every layer."""
    seed: int = 0
    weights: str | None = None
    """`field`, `imagenet`, `none` or the path of a weights file; None: see `starting_weights`."""

    learning_rate: float | None = None
    """The head's; None: chosen by cross-validation, see `edgebee.train.cross_validation`."""
    fine_tune_learning_rate: float = 5e-5
    fine_tune_batch_size: int = 16
    """Images in a step of fine-tuning. More and smaller steps learn more from a few hundred photos,
    at the price of the same computations."""
    augmentations: int = 8
    """Images made of each training photo: see `edgebee.train.augmentation`."""
    dropout: float = 0.2
    """Share of the features that the head does without in a step."""
    feature_distillation: float = 20.0
    """Weight of the loss that keeps fine-tuned features near those that the frozen base has for
    the image without corruption."""
    subject_crops: bool | None = None
    """Whether crops of the subject are learned from; None: chosen by cross-validation."""
    neither: bool = True
    """Whether the model learns to say that a photo shows none of the classes."""
    patience: int | None = None
    """A phase ends after so many epochs without a better validation loss; None: never."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            TrainingError: naming the option and what it takes.
        """
        for option, value, least in (
            ("--epochs", self.epochs, 0),
            ("--fine-tune-epochs", self.fine_tune_epochs, 0),
            ("--fine-tune-at", self.fine_tune_at, 0),
            ("--image-size", self.image_size, 32),
            ("--batch-size", self.batch_size, 1),
            ("--fine-tune-batch-size", self.fine_tune_batch_size, 1),
            ("--seed", self.seed, 0),
            ("--augmentations", self.augmentations, 1),
            ("--patience", self.patience, 1),
        ):
            if value is not None and value < least:
                raise TrainingError(f"{option} {value}: must be {least} or more")
        if self.total_epochs == 0:
            raise TrainingError("--epochs 0 --fine-tune-epochs 0: nothing to train")
        if self.subject_crops and self.augmentations < SUBJECT_EVERY:
            raise TrainingError(
                f"--subject-crops: takes --augmentations {SUBJECT_EVERY} or more, "
                f"not {self.augmentations}"
            )
        if self.seed >= 2**32:
            raise TrainingError(f"--seed {self.seed}: must be below {2**32}")
        if not 0 <= self.dropout < 1:
            raise TrainingError(f"--dropout {self.dropout}: must be 0 or more and below 1")
        if not 0 <= self.feature_distillation < math.inf:
            raise TrainingError(
                f"--feature-distillation {self.feature_distillation}: must be 0 or more"
            )
        if self.backbone not in BACKBONES:
            raise TrainingError(
                f"--backbone {self.backbone}: must be one of {', '.join(BACKBONES)}"
            )
        for option, rate in (
            ("--alpha", self.alpha),
            ("--learning-rate", self.learning_rate),
            ("--fine-tune-learning-rate", self.fine_tune_learning_rate),
        ):
            if rate is not None and not 0 < rate < math.inf:
                raise TrainingError(f"{option} {rate}: must be a number above 0")

    @property
    def starting_weights(self) -> str:
        """What the backbone begins with: `field` where it ships, else `imagenet`."""
        if self.weights is not None:
            return self.weights
        return BACKBONES[self.backbone].default_weights if self.alpha == 1.0 else "imagenet"

    @property
    def first_released_layer(self) -> int:
        """`fine_tune_at`, or the backbone's own."""
        if self.fine_tune_at is not None:
            return self.fine_tune_at
        return BACKBONES[self.backbone].fine_tune_at

    @property
    def subject_crops_a_photo(self) -> int:
        """How many of the images of a photo show its subject cut out."""
        return 0 if self.subject_crops is False else self.augmentations // SUBJECT_EVERY

    @property
    def total_epochs(self) -> int:
        """Epochs of both phases together."""
        return self.epochs + self.fine_tune_epochs
