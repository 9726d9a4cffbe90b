"""Look at the photos before they are believed: what is wrong or unusual about a data set."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from edgebee.edge.classify import PHOTO_SUFFIXES, available_cpus, escape_control_chars
from edgebee.photos.dataset import Dataset, Photos
from edgebee.photos.duplicates import BLOCK, Signatures, group_same_pictures
from edgebee.photos.hymenoptera import is_photo
from edgebee.photos.image_stats import NO_THUMBNAILS, Header, ImageStats, inspect_photo

__all__ = ["KINDS", "Audit", "Problem", "Severity", "audit_dataset", "render_text", "to_json"]

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

KINDS: dict[str, Severity] = {
    "leak": "error",  # the same picture in training and validation
    "two-labels": "error",  # the same picture in two classes
    "unreadable": "error",  # no picture, or a damaged one
    "truncated": "error",  # a picture that ends too soon
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
    "unused": "note",  # beside the photos, but none of them
}
"""What can be found, gravest first."""

CORRUPTING = frozenset({"leak", "two-labels"})

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
    ".bmp": {"BMP", "DIB"},
    ".gif": {"GIF"},
    ".heic": {"HEIF"},
    ".heif": {"HEIF"},
    ".jpeg": {"JPEG", "MPO"},
    ".jpg": {"JPEG", "MPO"},
    ".png": {"PNG"},
    ".tif": {"TIFF"},
    ".tiff": {"TIFF"},
    ".webp": {"WEBP"},
}


@dataclass(frozen=True)
class Problem:
    """One thing that was found.

    Attributes:
        kind: what it is, one of `KINDS`.
        severity: `error` corrupts the result or stops the training, `warning` is worth a
            look, `note` says how something is read or that it is not.
        paths: the files, relative to the data set's folder, with `/`, sorted.
        message: what is the matter and what to do, in one line without the paths.
    """

    kind: str
    severity: Severity
    paths: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Audit:
    """What a data set looks like.

    Attributes:
        labels: the classes.
        train_counts: training photos of each class.
        validation_counts: validation photos of each class.
        findings: errors first, then warnings, then notes; by path within a kind.
    """

    labels: tuple[str, ...]
    train_counts: tuple[int, ...]
    validation_counts: tuple[int, ...]
    findings: tuple[Problem, ...]

    @property
    def corrupts(self) -> bool:
        """Whether a result got from these photos would be wrong, not just worse."""
        return any(finding.kind in CORRUPTING for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def audit_dataset(dataset: Dataset, *, progress: Callable[[], object] | None = None) -> Audit:
    """Look at every photo of a data set, and at the files beside them.

    Photos are decoded once, small, on all cores (about 3 ms of CPU each at 500x375) and
    compared with each other (20 s of CPU for 20,000). The order of the findings does not
    depend on the order in which files are found on the disk.

    Args:
        dataset: the photos, as `load_dataset` gives them. Photos that it left out are looked
            at as well and only noted.
        progress: called once after each photo of the data set.
    """
    photos = [
        _Photo(_name(dataset.root, path), path, split, dataset.labels[index])
        for split, side in (("train", dataset.train), ("validation", dataset.validation))
        for path, index in zip(side.paths, side.classes, strict=True)
    ]
    excluded, unused = _files_beside(dataset.root, photos)
    looks, signatures = _look_at([photo.path for photo in photos], progress)
    excluded_looks, _ = _look_at([dataset.root / name for name in excluded])
    findings = [
        *_of_single_photos(photos, looks),
        *_of_same_pictures(photos, looks, signatures),
        *_of_balance(dataset.labels, dataset.train),
        *_of_excluded(excluded, excluded_looks),
        *unused,
    ]
    order = list(KINDS)
    findings.sort(key=lambda f: (SEVERITIES.index(f.severity), order.index(f.kind), f.paths))
    return Audit(
        labels=dataset.labels,
        train_counts=dataset.train.counts(len(dataset.labels)),
        validation_counts=dataset.validation.counts(len(dataset.labels)),
        findings=tuple(findings),
    )


# ----------------------------------------------------------------------- photo by photo


def _look_at(
    paths: Sequence[Path], progress: Callable[[], object] | None = None
) -> tuple[list[ImageStats], Signatures]:
    """Look at files on all cores, in order; `progress` is called once after each.

    A block at a time: neither tasks that wait nor thumbnails pile up with the number of photos.

    Returns:
        What was seen, without the thumbnails, and these as signatures.
    """
    looks: list[ImageStats] = []
    signatures = Signatures(len(paths))
    with ThreadPoolExecutor(available_cpus()) as pool:
        for start in range(0, len(paths), BLOCK):
            thumbnails = []
            for look in pool.map(inspect_photo, paths[start : start + BLOCK]):
                thumbnails.append(look.thumbnails)
                looks.append(replace(look, thumbnails=NO_THUMBNAILS))
                if progress:
                    progress()
            signatures.add(start, thumbnails)
    return looks, signatures


@dataclass(frozen=True, slots=True)
class _Photo:
    name: str
    path: Path
    split: str
    label: str


def _remarks(look: ImageStats, suffix: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, message) for what is unusual about a file ending in `suffix`."""
    if look.fault:
        yield ("truncated" if "truncated" in look.fault.lower() else "unreadable"), look.fault
        return
    header = look.header
    if look.contrast < MAX_CONTRAST_OF_NOTHING:
        yield "uniform", "shows nothing but one colour"
    elif look.flat_share >= PLACEHOLDER_FLAT_SHARE and look.colours <= PLACEHOLDER_COLOURS:
        yield "placeholder", "flat and of few colours: a placeholder or a drawing, not a photo"
    elif look.missing_share >= MIN_MISSING_SHARE:
        yield "incomplete", f"plain grey for the lower {look.missing_share:.0%}: data is missing"
    if header is not None:
        yield from _remarks_on_header(header, suffix)


def _remarks_on_header(header: Header, suffix: str) -> Iterator[tuple[str, str]]:
    if min(header.width_px, header.height_px) < TINY_SIDE_PX:
        yield "tiny", f"shorter side under {TINY_SIDE_PX} px: will be scaled up and blurred"
    if header.format not in SUFFIX_FORMATS.get(suffix.lower(), {header.format}):
        yield "wrong-suffix", f"is {header.format} by its content, and read as such; rename it"
    if header.mode == "CMYK":
        yield "cmyk", "printing colours (CMYK): turned into RGB without a colour profile"
    if header.mode.startswith("I"):
        yield "16-bit", "16-bit grey: the upper 8 bits are kept"
    if header.mode in ("P", "PA"):
        yield "palette", "has a palette of 256 colours at most"
    if header.transparent:
        yield "transparent", "has transparent parts, which become white"
    if header.animated:
        yield "animated", "has several frames or pages, of which the first is read"


def _of_single_photos(photos: Sequence[_Photo], looks: Sequence[ImageStats]) -> list[Problem]:
    """Remarks in the same words become one finding with several paths."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for photo, look in zip(photos, looks, strict=True):
        for kind_and_message in _remarks(look, photo.path.suffix):
            names[kind_and_message].append(photo.name)
    return [
        Problem(kind, KINDS[kind], tuple(sorted(paths)), message)
        for (kind, message), paths in names.items()
    ]


# ------------------------------------------------------------------------ between photos


def _of_same_pictures(
    photos: Sequence[_Photo], looks: Sequence[ImageStats], signatures: Signatures
) -> Iterator[Problem]:
    for group in group_same_pictures([look.digest for look in looks], signatures):
        members = [photos[index] for index in group.members]
        paths = tuple(sorted(photo.name for photo in members))
        labels = sorted({photo.label for photo in members})
        what = "the same file" if group.identical else f"the same picture ({group.alike:.2f} alike)"
        leaks = len({photo.split for photo in members}) > 1
        if leaks:
            message = f"{what} in train and validation, which makes the score flatter; keep one"
            yield Problem("leak", KINDS["leak"], paths, message)
        if len(labels) > 1:
            message = f"{what} as {' and '.join(labels)}; keep the right one"
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


def _files_beside(root: Path, photos: Sequence[_Photo]) -> tuple[list[str], list[Problem]]:
    """Names of the photos that were left out, and findings about what else lies around."""
    known = {photo.name for photo in photos}
    class_folders = _class_folders(photos)
    found: set[str] = set()
    # A link to a class folder is followed, as `load_dataset` does, one below it is not.
    for top in [root, *(root / name for name in class_folders)]:
        for parent, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name[0] != "." and name != "__MACOSX"]
            found.update(_name(root, Path(parent, name)) for name in files if name[0] != ".")
    excluded: list[str] = []
    loose: list[str] = []
    other: list[str] = []
    for name in sorted(found - known):
        inside = name.startswith(tuple(f"{folder}/" for folder in class_folders))
        if is_photo(name.rpartition("/")[2]):
            (excluded if inside else loose).append(name)
        elif inside:
            other.append(name)
    endings = ", ".join(sorted(PHOTO_SUFFIXES))
    messages = (
        (loose, "not in a class folder, so not read"),
        (other, f"not read: a photo ends in {endings}"),
    )
    note = KINDS["unused"]
    return excluded, [
        Problem("unused", note, tuple(paths), text) for paths, text in messages if paths
    ]


def _class_folders(photos: Sequence[_Photo]) -> list[str]:
    """Names of the class folders: `ants`, or `train/ants` and `val/ants`."""
    parts = [photo.name.split("/") for photo in photos]
    flat = all(
        unicodedata.normalize("NFC", first) == photo.label
        for (first, *_), photo in zip(parts, photos, strict=True)
    )
    return sorted({"/".join(names[: 1 if flat else 2]) for names in parts})


def _of_excluded(names: Sequence[str], looks: Sequence[ImageStats]) -> Iterator[Problem]:
    """What was left out, and why that may have been right."""
    if not names:
        return
    message = "left out, by --exclude, an ignore file or because it is known to be no photo"
    yield Problem("excluded", KINDS["excluded"], tuple(names), message)
    for name, look in zip(names, looks, strict=True):
        for kind, text in _remarks(look, Path(name).suffix):
            if KINDS[kind] != "note":
                yield Problem(kind, "note", (name,), f"{text}; it is left out")


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


# ----------------------------------------------------------------------------- reports


def render_text(audit: Audit) -> str:
    """Return the audit as lines for a terminal: the photos, then each finding."""
    lines = [
        escape_control_chars(f"{name}: {sum(counts)} photos ({_listed(counts, audit.labels)})")
        for name, counts in (("train", audit.train_counts), ("validation", audit.validation_counts))
    ]
    for finding in audit.findings:
        more = len(finding.paths) - MAX_NAMED
        paths = ", ".join(finding.paths[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
        where = f"{paths}: " if paths else ""
        lines.append(
            escape_control_chars(f"{finding.severity}: {finding.kind}: {where}{finding.message}")
        )
    totals = [_counted(audit.count(severity), severity) for severity in SEVERITIES]
    lines.append(", ".join(totals) if audit.findings else "nothing found")
    return "\n".join(lines)


def _listed(counts: Sequence[int], labels: Sequence[str]) -> str:
    if len(labels) > MAX_NAMED:
        return f"{len(labels)} classes of {min(counts)} to {max(counts)}"
    return ", ".join(f"{count} {label}" for count, label in zip(counts, labels, strict=True))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def to_json(audit: Audit) -> dict[str, Any]:
    """Return the audit as what `json.dumps` takes.

    `{"counts": {"train": {label: n}, "validation": {label: n}}, "corrupts", "findings":
    [{"kind", "severity", "paths", "message"}]}`.
    """
    return {
        "counts": {
            "train": dict(zip(audit.labels, audit.train_counts, strict=True)),
            "validation": dict(zip(audit.labels, audit.validation_counts, strict=True)),
        },
        "corrupts": audit.corrupts,
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "paths": list(finding.paths),
                "message": finding.message,
            }
            for finding in audit.findings
        ],
    }
