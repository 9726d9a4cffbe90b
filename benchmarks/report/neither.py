"""What a benchmark says of `neither`: nothing where no model knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebee.benchmarks.measure.results import Accuracy, AsSeen, Results, Variant
from edgebee.benchmarks.measure.scoring import BLANK_FRAMES_PER_KIND
from edgebee.benchmarks.report.summary import choose
from edgebee.edge.classify import NEITHER, UNKNOWN, read_photo
from edgebee.photos.blank_frames import BLANK_KINDS, draw_blank_frames

__all__ = [
    "SureBin",
    "accepted_strangers",
    "bin_sureness",
    "column_labels",
    "find_knowing",
    "read_stranger",
    "seen_confusion",
    "spell_as_seen",
]

_BINS = 10


def find_knowing(results: Results) -> Variant | None:
    """The variant whose figures of `neither` are shown: the one to take, if it knows it."""
    variants = [choose(results), *results.variants]
    return next((one for one in variants if one and one.accuracy.as_seen), None)


def column_labels(results: Results) -> tuple[str, ...]:
    """The names of a confusion matrix' columns, as many as it has, or of a row of scores."""
    return (*results.data.labels, NEITHER, UNKNOWN)


def seen_confusion(accuracy: Accuracy) -> tuple[tuple[int, ...], ...]:
    """The confusion matrix as the user sees it."""
    return accuracy.as_seen.confusion if accuracy.as_seen else accuracy.confusion


def spell_as_seen(seen: AsSeen, total: int) -> str:
    """`145 of 153 correct with neither (3) and unknown (2) counted as incorrect`."""
    return (
        f"{seen.correct} of {total} correct with {NEITHER} ({seen.neither}) and {UNKNOWN} "
        f"({seen.unknown}) counted as incorrect"
    )


@dataclass(frozen=True)
class SureBin:
    """Pictures for which the classes together have a score in one range.

    Attributes:
        low: lower end of the range.
        high: upper end.
        known: photos of the classes.
        known_share: of all of these, 0-1.
        strange: pictures of none of the classes.
        strange_share: of all of these, 0-1.
    """

    low: float
    high: float
    known: int
    known_share: float
    strange: int
    strange_share: float


def bin_sureness(variant: Variant) -> tuple[SureBin, ...]:
    """How sure a variant is that it sees one of the classes, the surest first.

    That is 1 less the score of `neither`, for photos of the classes and for strangers.
    """
    edges = np.linspace(0, 1, _BINS + 1)
    # A rounded score may lie a hair beyond 1.
    known, strange = (
        np.histogram((1 - np.array(scores)[:, -1]).clip(0, 1), edges)[0]
        for scores in (variant.scores, variant.stranger_scores)
    )
    return tuple(
        SureBin(
            low=float(edges[place]),
            high=float(edges[place + 1]),
            known=int(known[place]),
            known_share=float(known[place] / known.sum()),
            strange=int(strange[place]),
            strange_share=float(strange[place] / strange.sum()),
        )
        for place in reversed(range(_BINS))
    )


def accepted_strangers(variant: Variant) -> list[int]:
    """Places in `data.strangers` of those that are taken for a class, the surest first."""
    scores = np.array(variant.stranger_scores)
    classes = scores.shape[1] - 1
    taken = np.flatnonzero(scores.argmax(axis=1) < classes)
    order: list[int] = taken[np.argsort(-scores[taken, :classes].max(axis=1))].tolist()
    return order


def read_stranger(results: Results, place: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The pixels of a stranger, `[H, W, 3]`: of a photo's file, or drawn again.

    Raises:
        PhotoError: the photo is no longer there.
    """
    frames = len(results.data.strangers) - len(BLANK_KINDS) * BLANK_FRAMES_PER_KIND
    if place < frames:
        return read_photo(Path(results.data.root, results.data.strangers[place].name), size)
    return np.asarray(draw_blank_frames(BLANK_FRAMES_PER_KIND, size)[place - frames])
