"""What an epoch was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Epoch", "Learned", "Phase"]

Phase = Literal["feature_extraction", "fine_tuning"]


@dataclass(frozen=True)
class Learned:
    """What the examples of one epoch said while they were learned from."""

    loss: float
    """Mean cross-entropy, weighted."""
    accuracy: float
    """Share that was right, not weighted, 0-1."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch did."""

    epoch: int
    """From 1, counted through both phases."""
    phase: Phase
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
