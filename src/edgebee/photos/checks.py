"""Check a dataset for problems: what would spoil a model that is trained on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from edgebee.edge.classify import available_cpus
from edgebee.photos.dataset import Dataset, Photos
from edgebee.photos.duplicates import group_same_pictures
from edgebee.photos.image_stats import ImageStats, inspect_photo
from edgebee.progress import Progress, ProgressCallback, ignore_progress

__all__ = ["KINDS", "CheckResult", "Problem", "Severity", "check_dataset"]

Severity: TypeAlias = Literal["error", "warning"]

KINDS: dict[str, Severity] = {
    "leak": "error",  # the same picture in training and validation
    "two-labels": "error",  # the same picture in two classes
    "unreadable": "error",  # no picture, or a corrupted one
    "incomplete": "warning",  # a JPEG that can be read, but is grey from some line on
    "placeholder": "warning",  # flat and of few colours, as "image not found" is
    "uniform": "warning",  # shows nothing
    "duplicate": "warning",  # the same bytes twice in one class
    "near-duplicate": "warning",  # the same picture twice in one class
    "tiny": "warning",
    "imbalance": "warning",
}
"""The kinds of problems, gravest first."""

INFLATING = frozenset({"leak", "two-labels"})
"""Problems by which the measured accuracy is not that of the model."""

MAX_CONTRAST_OF_NOTHING = 3.0
"""Standard deviation of the grey values, of 255, up to which a picture shows nothing: a lens
cap, a white wall. The flattest hymenoptera photo has 13."""

PLACEHOLDER_FLAT_SHARE, PLACEHOLDER_COLOURS = 0.7, 9
"""A picture this flat, of this few colours, was drawn by a program, as "image not found" is.

The placeholder in hymenoptera has 0.82 and 4 (writing on grey); the photo that comes nearest,
an ant on white, 0.80 and 60."""

TINY_SIDE_PX = 112
"""A shorter side is scaled up more than twice for the usual model of 224 px."""

MIN_MISSING_SHARE = 0.03
"""Share of the height from which a decoder's grey at the bottom means that data is missing."""

MAX_CLASS_RATIO = 2.0
"""The largest class may have this many times the training photos of the smallest."""

MAX_NAMED = 8
"""So many paths are named in a line of text; programs get all of them."""


@dataclass(frozen=True)
class Problem:
    """One problem of a dataset.

    Attributes:
        kind: one of `KINDS`.
        severity: `error` falsifies the result or stops the training, `warning` is worth a look.
        paths: the files, relative to the data set's folder, with `/`, sorted.
        message: the problem and what to do, in one line without the paths.
    """

    kind: str
    severity: Severity
    paths: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        """The problem in one line, with the first few paths."""
        more = len(self.paths) - MAX_NAMED
        paths = ", ".join(self.paths[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.severity}: {self.kind}: {f'{paths}: ' if paths else ''}{self.message}"


@dataclass(frozen=True)
class CheckResult:
    """The problems of a dataset, to iterate over.

    Attributes:
        problems: errors first, then warnings; by path within a kind.
    """

    problems: tuple[Problem, ...]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __repr__(self) -> str:
        """The numbers of problems: the problems themselves are printed one by one."""
        return f"CheckResult({self.totals})"

    @property
    def inflates_accuracy(self) -> bool:
        """Whether accuracy measured on these photos would be wrong, not just worse."""
        return any(problem.kind in INFLATING for problem in self.problems)

    @property
    def totals(self) -> str:
        """How many there are of each severity, in words."""
        if not self.problems:
            return "no problems"
        errors = sum(problem.severity == "error" for problem in self.problems)
        warnings = len(self.problems) - errors
        return (
            f"{errors} error{'' if errors == 1 else 's'}, "
            f"{warnings} warning{'' if warnings == 1 else 's'}"
        )


def check_dataset(dataset: Dataset, *, progress: ProgressCallback = ignore_progress) -> CheckResult:
    """Check every photo of a dataset.

    Photos are decoded once, small, on all cores (about 3 ms of CPU each at 500x375) and
    compared with each other. The order of the problems does not depend on the order in which
    files are found on the disk.

    Args:
        dataset: the photos, as `load_dataset` gives them.
        progress: called after each photo.
    """
    photos = [
        _Photo(path.relative_to(dataset.root).as_posix(), path, half, dataset.labels[index])
        for half, side in (("train", dataset.train), ("validation", dataset.validation))
        for path, index in zip(side.paths, side.classes, strict=True)
    ]
    stats: list[ImageStats] = []
    with ThreadPoolExecutor(available_cpus()) as pool:
        for one in pool.map(inspect_photo, [photo.path for photo in photos]):
            stats.append(one)
            progress(Progress("checking photos", len(stats), len(photos)))
    problems = [
        *_of_single_photos(photos, stats),
        *_of_same_pictures(photos, stats),
        *_of_balance(dataset.labels, dataset.train),
    ]
    order = list(KINDS)
    problems.sort(key=lambda problem: (order.index(problem.kind), problem.paths))
    return CheckResult(tuple(problems))


@dataclass(frozen=True, slots=True)
class _Photo:
    name: str
    path: Path
    half: str
    label: str


def _defect(stats: ImageStats) -> tuple[str, str] | None:
    """What is wrong with a file, as kind and message."""
    if stats.fault:
        return "unreadable", stats.fault
    if stats.contrast < MAX_CONTRAST_OF_NOTHING:
        return "uniform", "shows nothing but one colour"
    if stats.flat_share >= PLACEHOLDER_FLAT_SHARE and stats.colours <= PLACEHOLDER_COLOURS:
        return "placeholder", "flat and of few colours: a placeholder or a drawing, not a photo"
    if stats.missing_share >= MIN_MISSING_SHARE:
        share = f"{stats.missing_share:.0%}"
        return "incomplete", f"plain grey for {share} of its height: data is missing"
    if stats.short_side_px < TINY_SIDE_PX:
        return "tiny", f"shorter side under {TINY_SIDE_PX} px: will be scaled up and blurred"
    return None


def _of_single_photos(photos: Sequence[_Photo], stats: Sequence[ImageStats]) -> list[Problem]:
    """Defects in the same words become one problem with several paths."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for photo, one in zip(photos, stats, strict=True):
        if defect := _defect(one):
            names[defect].append(photo.name)
    return [
        Problem(kind, KINDS[kind], tuple(sorted(paths)), message)
        for (kind, message), paths in names.items()
    ]


def _of_same_pictures(photos: Sequence[_Photo], stats: Sequence[ImageStats]) -> Iterator[Problem]:
    digests, signatures = [one.digest for one in stats], [one.signature for one in stats]
    for group in group_same_pictures(digests, signatures):
        members = [photos[index] for index in group.members]
        paths = tuple(sorted(photo.name for photo in members))
        labels = sorted({photo.label for photo in members})
        what = "the same file" if group.identical else "the same picture"
        leaks = len({photo.half for photo in members}) > 1
        if leaks:
            message = f"{what} in both halves, which inflates the measured accuracy; keep one"
            yield Problem("leak", KINDS["leak"], paths, message)
        if len(labels) > 1:
            message = f"{what} as {' and '.join(labels)}; keep the correct one"
            yield Problem("two-labels", KINDS["two-labels"], paths, message)
        if not leaks and len(labels) == 1:
            kind = "duplicate" if group.identical else "near-duplicate"
            message = f"{what} {len(paths)} times, which counts {len(paths)}-fold; keep one"
            yield Problem(kind, KINDS[kind], paths, message)


def _of_balance(labels: Sequence[str], train: Photos) -> Iterator[Problem]:
    counts = train.counts(len(labels))
    most, least = max(counts), min(counts)
    if most > MAX_CLASS_RATIO * least:
        message = (
            f"{labels[counts.index(most)]} has {most} training photos, "
            f"{labels[counts.index(least)]} has {least}: "
            "collect more of the rare ones or train with class weights"
        )
        yield Problem("imbalance", KINDS["imbalance"], (), message)
