"""What the examples of an epoch gave."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Learned"]


@dataclass(frozen=True)
class Learned:
    """Measures of one epoch while it was learned from."""

    loss: float
    """Mean cross-entropy, weighted."""
    accuracy: float
    """Share that was correct, not weighted, 0-1."""
