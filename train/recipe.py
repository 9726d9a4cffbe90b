"""The settings of a training, checked before any work starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgebee.errors import TrainingError

__all__ = ["DEFAULT_LEARNING_RATE", "HARDENED_ALPHA", "Recipe"]

DEFAULT_LEARNING_RATE = 5e-4
"""Of the head, when there are too few photos to choose by."""
HARDENED_ALPHA = 1.0
"""Width of MobileNetV2 that the weights for the field ship for."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a training, besides the photos.

    The first block is the starting recipe's; the second was chosen by cross-validation
    within the hymenoptera training photos (`edgebee study settings`).
    """

    epochs: int = 10
    """Epochs of feature extraction: the whole base frozen, the head learns."""
    fine_tune_epochs: int = 5
    """Epochs of fine-tuning after that: the base learns too, from `fine_tune_at` on."""
    fine_tune_at: int = 100
    """Index of the first base layer that fine-tuning releases."""
    image_size: int = 224
    """Side of the square input, in pixels."""
    batch_size: int = 32
    """Views in a step of feature extraction."""
    alpha: float = 1.0
    """Width of MobileNetV2: a factor on the channels of every layer."""
    seed: int = 0
    weights: str | None = None
    """`field`, `imagenet`, `none` or the path of a weights file; None: see `starting_weights`."""

    learning_rate: float | None = None
    """The head's; None: chosen by cross-validation, see `edgebee.train.cross_validation`."""
    fine_tune_learning_rate: float = 5e-5
    fine_tune_batch_size: int = 16
    """Views in a step of fine-tuning. More and smaller steps learn more from a few hundred photos,
    at the price of the same computations."""
    views: int = 8
    """Pictures made of each training photo: see `edgebee.train.augmentation`."""
    dropout: float = 0.2
    """Share of the features that the head does without in a step."""
    anchor: float = 20.0
    """How strongly fine-tuning is held to what the frozen base says of the undamaged photo."""
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
            ("--views", self.views, 1),
            ("--patience", self.patience, 1),
        ):
            if value is not None and value < least:
                raise TrainingError(f"{option} {value}: must be {least} or more")
        if self.total_epochs == 0:
            raise TrainingError("--epochs 0 --fine-tune-epochs 0: nothing to train")
        if self.seed >= 2**32:
            raise TrainingError(f"--seed {self.seed}: must be below {2**32}")
        if not 0 <= self.dropout < 1:
            raise TrainingError(f"--dropout {self.dropout}: must be 0 or more and below 1")
        if not 0 <= self.anchor < math.inf:
            raise TrainingError(f"--anchor {self.anchor}: must be 0 or more")
        for option, rate in (
            ("--alpha", self.alpha),
            ("--learning-rate", self.learning_rate),
            ("--fine-tune-learning-rate", self.fine_tune_learning_rate),
        ):
            if rate is not None and not 0 < rate < math.inf:
                raise TrainingError(f"{option} {rate}: must be a number above 0")

    @property
    def starting_weights(self) -> str:
        """What the backbone begins with: `field`, which exists for width 1.0, else `imagenet`."""
        if self.weights is not None:
            return self.weights
        return "field" if self.alpha == HARDENED_ALPHA else "imagenet"

    @property
    def total_epochs(self) -> int:
        """Epochs of both phases together."""
        return self.epochs + self.fine_tune_epochs
