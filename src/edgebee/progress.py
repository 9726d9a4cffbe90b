"""How far a piece of work is: one value, passed to one callback.

Library functions that take long accept `progress`, a function of one `Progress`. The command
line draws bars from it (`edgebee.console.ProgressBars`); other programs do as they like.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Progress", "ProgressCallback", "ignore_progress"]


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is."""

    task: str
    """What is being done, as "reading training photos"; a new task begins when it changes."""
    done: float
    """How many units are finished, 0 to `total`."""
    total: float | None
    """How many units there are; None where nobody knows."""
    unit: str = "photo"
    """What is counted, in the singular."""
    note: str = ""
    """What is worth showing beside the count, as "loss 0.31, accuracy 0.94"."""


ProgressCallback: TypeAlias = Callable[[Progress], object]


def ignore_progress(progress: Progress) -> None:
    """Show nothing: the default of every function that takes a callback."""
