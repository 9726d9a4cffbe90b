"""Every photo through every model, and what is reported of the scores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.benchmarks.measure.accuracy import measure_accuracy, measure_rejections
from edgebee.benchmarks.measure.results import Stranger, Variant
from edgebee.benchmarks.measure.subject import Subject
from edgebee.benchmarks.measure.workers import Worker, WorkerError
from edgebee.edge.classify import NEITHER, read_threshold
from edgebee.photos.blank_frames import BLANK_KINDS, draw_blank_frames
from edgebee.run import MODEL_NAME, read_training_record

__all__ = [
    "BLANK_FRAMES_PER_KIND",
    "Scored",
    "ScoredModel",
    "name_below",
    "name_blank_frames",
    "score_models",
]

SCORED_AT_ONCE = 200
"""Photos; far less than a slow machine's longest allowed silence."""
BLANK_FRAMES_PER_KIND = 10

Scores = npt.NDArray[np.float64]
Answers = list[list[float] | str]
"""The scores for each photo, or why it cannot be read."""


@dataclass(frozen=True)
class ScoredModel:
    """A model that is ready, with its probe."""

    file: Path
    worker: Worker
    labels: tuple[str, ...]
    """Of its scores."""

    @property
    def name(self) -> str:
        """What results call it."""
        return self.file.name

    @property
    def knows_neither(self) -> bool:
        """Whether its last score is that of `neither`."""
        return NEITHER in self.labels[-1:]


@dataclass(frozen=True)
class Scored:
    """What became of all photos.

    Attributes:
        readable: the indices of the photos that could be read.
        skipped: a message for each that could not.
        strangers: pictures of none of the classes; empty where no model knows `neither`.
        variants: the models, in their order.
    """

    readable: tuple[int, ...]
    skipped: tuple[str, ...]
    strangers: tuple[Stranger, ...]
    variants: tuple[Variant, ...]


def score_models(
    models: Sequence[ScoredModel], subject: Subject, progress: Callable[[str], object]
) -> Scored:
    """Ask every model about every photo, and those that know `neither` about strangers too.

    Args:
        models: Keras, which is the reference, first.
        subject: with the photos.
        progress: called with a few words before each model.

    Raises:
        WorkerError: a model fails, or gives scores that are NaN or infinite.
    """
    # Which photos can be read is a matter of the files, not of the model.
    readable: list[int] = []
    skipped: dict[str, None] = {}
    strangers: list[Stranger] = []
    reference: Scores | None = None
    variants = []
    for model in models:
        progress(f"{model.name}: accuracy")
        answers = _ask(model, subject.paths)
        readable = [place for place, one in enumerate(answers) if not isinstance(one, str)]
        skipped |= dict.fromkeys(one for one in answers if isinstance(one, str))
        scores, strange = _finite(model, answers), None
        if model.knows_neither:
            strange, strangers, unread = _ask_about_strangers(model, subject)
            skipped |= dict.fromkeys(unread)
        truth = np.array([subject.classes[one] for one in readable])
        variants.append(_variant(model, subject, scores, truth, reference, strange, strangers))
        if model.name == MODEL_NAME:
            reference = scores
    return Scored(tuple(readable), tuple(skipped), tuple(strangers), tuple(variants))


def name_below(path: Path, root: str) -> str:
    """A photo's name below the root, with `/`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def name_blank_frames() -> list[Stranger]:
    """What the frames of `draw_blank_frames(BLANK_FRAMES_PER_KIND)` are called."""
    return [
        Stranger(f"{kind} {number}", "blank frames")
        for kind in BLANK_KINDS
        for number in range(1, BLANK_FRAMES_PER_KIND + 1)
    ]


def _ask(model: ScoredModel, photos: Sequence[Path]) -> Answers:
    answers: Answers = []
    for start in range(0, len(photos), SCORED_AT_ONCE):
        part = [str(path) for path in photos[start : start + SCORED_AT_ONCE]]
        answers += model.worker.ask("score", photos=part)["scores"]
    return answers


def _finite(model: ScoredModel, answers: Answers) -> Scores:
    """The scores `[photos, labels]` of the photos that can be read."""
    scores = np.array([one for one in answers if not isinstance(one, str)], np.float64)
    if not np.isfinite(scores).all():  # Keras': the runner raises by itself
        raise WorkerError(f"{model.file}: gives scores that are NaN or infinite; train it again")
    return scores


def _ask_about_strangers(
    model: ScoredModel, subject: Subject
) -> tuple[Scores, list[Stranger], list[str]]:
    """Scores for what is none of the classes, what that is, and what cannot be read of it."""
    height, width = model.worker.ready["size"]
    blanks = name_blank_frames()
    with TemporaryDirectory(prefix="edgebee-benchmark-") as folder:
        frames = []
        for blank, frame in zip(
            blanks, draw_blank_frames(BLANK_FRAMES_PER_KIND, (height, width)), strict=True
        ):
            frames.append(Path(folder, f"{blank.name}.png"))
            Image.fromarray(frame).save(frames[-1])
        answers = _ask(model, [*subject.others, *frames])
    strangers = [
        Stranger(name_below(path, subject.data.root), "other photos")
        for path, one in zip(subject.others, answers, strict=False)
        if not isinstance(one, str)
    ]
    return (
        _finite(model, answers),
        strangers + blanks,
        [one for one in answers if isinstance(one, str)],
    )


def _variant(
    model: ScoredModel,
    subject: Subject,
    scores: Scores,
    truth: npt.NDArray[np.int64],
    reference: Scores | None,
    strange: Scores | None,
    strangers: Sequence[Stranger],
) -> Variant:
    """A model with its accuracy on the photos, against the reference's scores."""
    labels, threshold = subject.data.labels, _threshold(model, subject)
    sources = [one.source for one in strangers]
    return Variant(
        name=model.name,
        format="keras" if model.name == MODEL_NAME else model.file.stem.rsplit("_", 1)[-1],
        size_bytes=model.file.stat().st_size,
        sha256=hashlib.sha256(model.file.read_bytes()).hexdigest(),
        scores=tuple(tuple(row) for row in scores.tolist()),
        accuracy=measure_accuracy(scores, truth, labels, reference, threshold=threshold),
        stranger_scores=() if strange is None else tuple(map(tuple, strange.tolist())),
        rejections=() if strange is None else measure_rejections(scores, strange, sources),
    )


def _threshold(model: ScoredModel, subject: Subject) -> float:
    """The model's own: a file's is inside it, Keras' in the record of its training."""
    if model.name != MODEL_NAME:
        return read_threshold(model.file)
    record = read_training_record(subject.folder, or_none=True)
    trained = record.validation if record else None
    return (trained.calibration.threshold if trained else None) or 0.0
