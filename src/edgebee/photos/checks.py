"""Check a dataset for problems: what is wrong or unusual about its photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from edgebee.edge.classify import PHOTO_SUFFIXES, available_cpus
from edgebee.photos.dataset import Dataset, Photos
from edgebee.photos.duplicates import BLOCK, Signatures, group_same_pictures
from edgebee.photos.exclusions import ignored_patterns
from edgebee.photos.image_stats import NO_THUMBNAILS, Header, ImageStats, inspect_photo
from edgebee.photos.layout import find_layout, is_photo, walk_files
from edgebee.progress import Progress, ProgressCallback, ignore_progress

__all__ = ["KINDS", "CheckResult", "Problem", "Severity", "check_dataset"]

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

KINDS: dict[str, Severity] = {
    "leak": "error",  # the same picture in training and validation
    "two-labels": "error",  # the same picture in two classes
    "unreadable": "error",  # no picture, or a corrupted one
    "truncated": "error",  # the file ends too soon
    "incomplete": "warning",  # a JPEG that can be read, but is grey from some line on
    "placeholder": "warning",  # flat and of few colours, as "image not found" is
    "uniform": "warning",  # shows nothing
    "duplicate": "warning",  # the same bytes twice in one class
    "near-duplicate": "warning",  # the same picture twice in one class
    "tiny": "warning",
    "wrong-suffix": "warning",  # its content is of another format than its ending says
    "imbalance": "warning",
    "cmyk": "note",
    "16-bit": "note",
    "palette": "note",
    "transparent": "note",
    "animated": "note",
    "excluded": "note",  # left out of the data set
    "unused": "note",  # a file beside the photos
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
"""So many paths or classes are named in a line of text; programs get all of them."""

SUFFIX_FORMATS = {
    ".avif": {"AVIF"},
    ".bmp": {"BMP", "DIB"},
    ".gif": {"GIF"},
    ".heic": {"HEIF"},
    ".heif": {"HEIF"},
    ".jfif": {"JPEG", "MPO"},
    ".jpe": {"JPEG", "MPO"},
    ".jpeg": {"JPEG", "MPO"},
    ".jpg": {"JPEG", "MPO"},
    ".png": {"PNG"},
    ".tif": {"TIFF"},
    ".tiff": {"TIFF"},
    ".webp": {"WEBP"},
}


@dataclass(frozen=True)
class Problem:
    """One problem of a dataset.

    Attributes:
        kind: one of `KINDS`.
        severity: `error` falsifies the result or stops the training, `warning` is worth a
            look, `note` tells how something is read or that it is not.
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
    """The problems of a dataset, to iterate over, and its numbers of photos.

    Attributes:
        labels: the classes.
        train_counts: training photos of each class.
        validation_counts: validation photos of each class.
        problems: errors first, then warnings, then notes; by path within a kind.
    """

    labels: tuple[str, ...]
    train_counts: tuple[int, ...]
    validation_counts: tuple[int, ...]
    problems: tuple[Problem, ...]

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __repr__(self) -> str:
        """The numbers of problems: the problems themselves are printed one by one."""
        return f"CheckResult({self._totals()})"

    @property
    def inflates_accuracy(self) -> bool:
        """Whether accuracy measured on these photos would be wrong, not just worse."""
        return any(problem.kind in INFLATING for problem in self.problems)

    def count(self, severity: Severity) -> int:
        """Return the number of problems of a severity."""
        return sum(problem.severity == severity for problem in self.problems)

    def to_lines(self) -> list[str]:
        """Return lines for a terminal: the numbers of photos, each problem, the totals."""
        halves = (("train", self.train_counts), ("validation", self.validation_counts))
        lines = [
            f"{name}: {sum(counts)} photos ({_listed(counts, self.labels)})"
            for name, counts in halves
        ]
        return [*lines, *map(str, self.problems), self._totals()]

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes.

        `{"counts": {"train": {label: n}, "validation": {label: n}}, "corrupts", "problems":
        [{"kind", "severity", "paths", "message"}]}`.
        """
        return {
            "counts": {
                "train": dict(zip(self.labels, self.train_counts, strict=True)),
                "validation": dict(zip(self.labels, self.validation_counts, strict=True)),
            },
            "corrupts": self.inflates_accuracy,
            "problems": [asdict(problem) for problem in self.problems],
        }

    def _totals(self) -> str:
        totals = [(self.count(severity), severity) for severity in SEVERITIES]
        listed = ", ".join(f"{n} {name}" if n == 1 else f"{n} {name}s" for n, name in totals)
        return listed if self.problems else "no problems"


def check_dataset(dataset: Dataset, *, progress: ProgressCallback = ignore_progress) -> CheckResult:
    """Check every photo of a dataset, and the files beside them.

    Photos are decoded once, small, on all cores (about 3 ms of CPU each at 500x375) and
    compared with each other (20 s of CPU for 20,000). The order of the problems does not
    depend on the order in which files are found on the disk.

    Args:
        dataset: the photos, as `load_dataset` gives them. Photos that it left out are
            checked as well and only noted.
        progress: called after each photo of the dataset.
    """
    photos = [
        _Photo(path.relative_to(dataset.root).as_posix(), path, half, dataset.labels[index])
        for half, side in (("train", dataset.train), ("validation", dataset.validation))
        for path, index in zip(side.paths, side.classes, strict=True)
    ]
    excluded, unused = _files_beside(dataset, {photo.path for photo in photos})
    stats, signatures = _inspect([photo.path for photo in photos], progress)
    excluded_stats, _ = _inspect([dataset.root / name for name in excluded], ignore_progress)
    problems = [
        *_of_single_photos(photos, stats),
        *_of_same_pictures(photos, stats, signatures),
        *_of_balance(dataset.labels, dataset.train),
        *_of_excluded(excluded, excluded_stats),
        *unused,
    ]
    order = list(KINDS)
    problems.sort(key=lambda p: (SEVERITIES.index(p.severity), order.index(p.kind), p.paths))
    return CheckResult(
        labels=dataset.labels,
        train_counts=dataset.train.counts(len(dataset.labels)),
        validation_counts=dataset.validation.counts(len(dataset.labels)),
        problems=tuple(problems),
    )


def _listed(counts: Sequence[int], labels: Sequence[str]) -> str:
    if len(labels) > MAX_NAMED:
        return f"{len(labels)} classes of {min(counts)} to {max(counts)}"
    return ", ".join(f"{count} {label}" for count, label in zip(counts, labels, strict=True))


# ----------------------------------------------------------------------- photo by photo


def _inspect(
    paths: Sequence[Path], progress: ProgressCallback
) -> tuple[list[ImageStats], Signatures]:
    """Decode files on all cores, in order.

    A block at a time: neither tasks that wait nor thumbnails pile up with the number of photos.

    Returns:
        The statistics of each, without the thumbnails, and these as signatures.
    """
    stats: list[ImageStats] = []
    signatures = Signatures(len(paths))
    with ThreadPoolExecutor(available_cpus()) as pool:
        for start in range(0, len(paths), BLOCK):
            thumbnails = []
            for one in pool.map(inspect_photo, paths[start : start + BLOCK]):
                thumbnails.append(one.thumbnails)
                stats.append(replace(one, thumbnails=NO_THUMBNAILS))
                progress(Progress("checking photos", len(stats), len(paths)))
            signatures.add(start, thumbnails)
    return stats, signatures


@dataclass(frozen=True, slots=True)
class _Photo:
    name: str
    path: Path
    half: str
    label: str


def _remarks(stats: ImageStats, suffix: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, message) for what is unusual about a file ending in `suffix`."""
    if stats.fault:
        yield ("truncated" if "truncated" in stats.fault.lower() else "unreadable"), stats.fault
        return
    header = stats.header
    if stats.contrast < MAX_CONTRAST_OF_NOTHING:
        yield "uniform", "shows nothing but one colour"
    elif stats.flat_share >= PLACEHOLDER_FLAT_SHARE and stats.colours <= PLACEHOLDER_COLOURS:
        yield "placeholder", "flat and of few colours: a placeholder or a drawing, not a photo"
    elif stats.missing_share >= MIN_MISSING_SHARE:
        yield "incomplete", f"plain grey for the lower {stats.missing_share:.0%}: data is missing"
    if header is not None:
        yield from _remarks_on_header(header, suffix)


def _remarks_on_header(header: Header, suffix: str) -> Iterator[tuple[str, str]]:
    if min(header.width_px, header.height_px) < TINY_SIDE_PX:
        yield "tiny", f"shorter side under {TINY_SIDE_PX} px: will be scaled up and blurred"
    if header.format not in SUFFIX_FORMATS.get(suffix.lower(), {header.format}):
        yield "wrong-suffix", f"is {header.format} by its content, and read as such; rename it"
    if header.mode == "CMYK":
        yield "cmyk", "printing colours (CMYK): turned into RGB without a colour profile"
    if header.mode.startswith("I") or header.mode == "F":
        yield "16-bit", "grey of more than 8 bits: scaled to 8 by the range of its values"
    if header.mode in ("P", "PA"):
        yield "palette", "has a palette of 256 colours at most"
    if header.transparent:
        yield "transparent", "has transparent parts, which become white"
    if header.animated:
        yield "animated", "has several frames or pages, of which the first is read"


def _of_single_photos(photos: Sequence[_Photo], stats: Sequence[ImageStats]) -> list[Problem]:
    """Remarks in the same words become one problem with several paths."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for photo, one in zip(photos, stats, strict=True):
        for kind_and_message in _remarks(one, photo.path.suffix):
            names[kind_and_message].append(photo.name)
    return [
        Problem(kind, KINDS[kind], tuple(sorted(paths)), message)
        for (kind, message), paths in names.items()
    ]


# ------------------------------------------------------------------------ between photos


def _of_same_pictures(
    photos: Sequence[_Photo], stats: Sequence[ImageStats], signatures: Signatures
) -> Iterator[Problem]:
    for group in group_same_pictures([one.digest for one in stats], signatures):
        members = [photos[index] for index in group.members]
        paths = tuple(sorted(photo.name for photo in members))
        labels = sorted({photo.label for photo in members})
        what = "the same file" if group.identical else f"the same picture ({group.alike:.2f} alike)"
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


# ----------------------------------------------------------------------- beside the photos


def _files_beside(dataset: Dataset, photos: set[Path]) -> tuple[list[str], list[Problem]]:
    """Names of the photos that were left out, and problems about other files."""
    layout = find_layout(dataset.root, (*dataset.exclude, *ignored_patterns(dataset.root)))
    class_folders = [folder for half in layout.classes for folder in half.values()]
    class_folders += [folder for folder in layout.others if folder]
    inside = {path for folder in class_folders for path in walk_files(folder)}
    gone = {path for folder in layout.excluded for path in walk_files(folder)}
    everywhere = set(walk_files(dataset.root))
    used = photos.union(dataset.others, dataset.others_validation)
    excluded = {path for path in inside | gone if is_photo(path.name)} - used
    loose = {path for path in everywhere - inside - gone if is_photo(path.name)}
    other = {path for path in inside if not is_photo(path.name)}
    endings = ", ".join(sorted(PHOTO_SUFFIXES))
    messages = (
        (loose, "not in a class folder, so not read"),
        (other, f"not read: a photo ends in {endings}"),
    )
    note = KINDS["unused"]
    return sorted(_names(dataset.root, excluded)), [
        Problem("unused", note, tuple(sorted(_names(dataset.root, paths))), text)
        for paths, text in messages
        if paths
    ]


def _names(root: Path, paths: set[Path]) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in paths)


def _of_excluded(names: Sequence[str], stats: Sequence[ImageStats]) -> Iterator[Problem]:
    """What was left out, and why that may have been right."""
    if not names:
        return
    message = "left out, by --exclude, an ignore file or because it is known to be no photo"
    yield Problem("excluded", KINDS["excluded"], tuple(names), message)
    for name, one in zip(names, stats, strict=True):
        for kind, text in _remarks(one, Path(name).suffix):
            if KINDS[kind] != "note":
                yield Problem(kind, "note", (name,), f"{text}; it is left out")
