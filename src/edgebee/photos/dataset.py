"""A data set: lists of training and validation photos, from what `--data` was given.

Nothing is decoded here, only names are read.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import math
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from edgebee.edge.classify import PHOTO_SUFFIXES
from edgebee.errors import DataError, OutputError
from edgebee.files import atomic_directory, remove_stale_lock
from edgebee.photos.exclusions import excluded_photos
from edgebee.photos.hymenoptera import CACHE_VARIABLE, PLACEHOLDER, find_hymenoptera, user_cache
from edgebee.photos.layout import (
    Layout,
    count_loose_photos,
    find_layout,
    is_photo,
    list_some,
    walk_files,
)
from edgebee.progress import ProgressCallback, ignore_progress

__all__ = ["Dataset", "Photos", "load_dataset", "sample_folder"]

HYMENOPTERA_SOURCE = "hymenoptera"
SAMPLE_SOURCE = "sample"

SAMPLE_SEED = 0
"""The drawings do not follow `--seed`: whoever says `sample` means the same pictures."""

LEAST_OTHERS = 5
"""Photos of what is none of the classes: fewer say next to nothing of what they stand for."""

_logger = logging.getLogger("edgebee.photos")


@dataclass(frozen=True)
class Photos:
    """Photos with their classes.

    Attributes:
        paths: the files, ordered by class and name.
        classes: the class of each, an index into the labels; as long as `paths`.
    """

    paths: tuple[Path, ...]
    classes: tuple[int, ...]

    def __repr__(self) -> str:
        """The numbers: the paths would fill screens."""
        return f"Photos({len(self)} of {len(set(self.classes))} classes)"

    def __len__(self) -> int:
        return len(self.paths)

    def counts(self, n_labels: int) -> tuple[int, ...]:
        """Return the number of photos of each class, `n_labels` numbers."""
        number = Counter(self.classes)
        return tuple(number[index] for index in range(n_labels))


@dataclass(frozen=True)
class Dataset:
    """Photos to learn from and photos to check with.

    Attributes:
        name: `hymenoptera`, `sample` or the folder's name.
        source: what loads the same photos again: `hymenoptera`, `sample`, an absolute path or an
            address in a store, without keys.
        root: the folder.
        labels: the class folders' names, sorted, in Unicode's composed form (NFC).
        train: photos to learn from.
        validation: photos to check with, none of which is in `train`.
        drawn: whether these are drawings; what is measured on them is never a result.
        val_fraction: share for validation where the folder is not split already.
        seed: of that split.
        exclude: patterns of photos that were left out. Loaded again with `source` and these
            three, the photos and their split are the same.
        others: photos of what is none of the classes, to learn from: of a class folder called
            `neither` or `other`, and of `other`.
        others_validation: such photos to check with.
        other: absolute path of a folder with more of them, which was given.
    """

    name: str
    source: str
    root: Path
    labels: tuple[str, ...]
    train: Photos
    validation: Photos
    drawn: bool
    val_fraction: float = 0.2
    seed: int = 0
    exclude: tuple[str, ...] = ()
    others: tuple[Path, ...] = ()
    others_validation: tuple[Path, ...] = ()
    other: str | None = None

    def __repr__(self) -> str:
        """Name, classes and numbers: the paths would fill screens."""
        return (
            f"Dataset({self.name!r}, {len(self.labels)} classes ({list_some(self.labels)}), "
            f"{len(self.train)} training and {len(self.validation)} validation "
            f"{'drawings' if self.drawn else 'photos'}, root={str(self.root)!r})"
        )


def load_dataset(
    source: str | Path,
    *,
    val_fraction: float = 0.2,
    seed: int = 0,
    exclude: Sequence[str] = (),
    other: str | Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Dataset:
    """Find the photos of a data set, their classes and which of them are for validation.

    Either the folder has two halves, as `train/` and `val/`, with a folder per class in each, or
    it holds the class folders, which are then split. Photos are files with one of the runner's
    photo endings anywhere below a class folder. Hidden files and folders and those that systems
    leave behind are skipped; other files are counted in a warning to `logging`. Links to folders
    are followed for the class folders themselves and not below them.

    Args:
        source: `hymenoptera`, `sample`, a folder (`./sample` for a folder of that name, or
            a `Path`), or one in an object store, as `s3://bucket/photos`, whose photos are fetched
            into the cache.
        val_fraction: share of each class's photos that goes to validation, between 0 and 1
            exclusive, when the folder is not split already; each side gets one at least.
        seed: which photos these are. The same relative names, fraction and seed give the
            same split on every machine.
        exclude: shell patterns of photos to leave out, relative to the folder, with `/`; a
            pattern without `/` is also tried on the bare file name. A label leaves out the
            whole class.
        other: a folder with photos of what is none of the classes, anywhere below it. They are
            split like those of a class.
        progress: called while photos are downloaded.

    Raises:
        DataError: the data set cannot be used as it is; the message says how to fix it.
        DownloadError: hymenoptera is not on this machine and could not be fetched.
    """
    if not 0 < val_fraction < 1:
        raise DataError(f"--val-fraction {val_fraction}: take a number between 0 and 1, as 0.2")
    exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    built_in: tuple[str, ...] = ()
    try:
        if isinstance(source, Path):
            source = str(source.absolute())  # a folder, whatever its name
        if source == HYMENOPTERA_SOURCE:
            root, name, built_in = find_hymenoptera(progress=progress), source, (PLACEHOLDER,)
        elif source == SAMPLE_SOURCE:
            root, name = sample_folder(), source
        elif "://" in source:
            from edgebee.photos.object_store import fetch_photos

            root, address = fetch_photos(source, progress=progress)
            source, name = str(address), root.name
        else:
            root = _given_folder(source)
            source, name = str(root), root.name or str(root)
        labels, train, validation, others = _read(root, val_fraction, seed, exclude, built_in)
        if other is not None:
            given = _given_folder(str(other), "--other")
            others = _joined(others, _read_others(given, (given,), val_fraction, seed, set()))
            other = str(given)
    except OSError as error:
        raise DataError(
            f"{error.filename or source}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    return Dataset(
        name,
        source,
        root,
        labels,
        train,
        validation,
        drawn=source == SAMPLE_SOURCE,
        val_fraction=val_fraction,
        seed=seed,
        exclude=exclude,
        others=others[0],
        others_validation=others[1],
        other=other,
    )


def sample_folder() -> Path:
    """Return the folder of the drawn sample, drawing it if it is not in the user's cache.

    Raises:
        DataError: the drawings could not be written.
    """
    from edgebee.photos.sample import DRAWINGS_VERSION, draw_sample

    folder = user_cache() / f"sample-v{DRAWINGS_VERSION}"
    if folder.is_dir():
        remove_stale_lock(folder.parent)
        return folder
    try:
        with atomic_directory(folder) as part:
            if part is not None:
                _logger.info("sample: drawing ants and bees, once, into %s", folder)
                draw_sample(part, seed=SAMPLE_SEED)
    except (OSError, OutputError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        reason = (isinstance(cause, OSError) and cause.strerror) or str(error)
        raise DataError(
            f"{folder}: the sample could not be drawn there ({reason}); set {CACHE_VARIABLE} to a "
            "folder that can be written"
        ) from error
    return folder


def _given_folder(source: str, option: str = "--data") -> Path:
    """Return the absolute path of a folder given by the user."""
    path = Path(source).expanduser() if source.startswith("~/") else Path(source)
    try:
        with os.scandir(path if source else ""):  # Path("") would be the working directory
            return path.resolve()
    except NotADirectoryError as error:
        if option == "--other":
            raise DataError(f"{source}: is a file; --other takes a folder of photos") from error
        raise DataError(f"{source}: is a file; give a folder of class folders") from error
    except FileNotFoundError as error:
        if option == "--other":
            raise DataError(f"{source or repr(source)}: no such folder for --other") from error
        known = (HYMENOPTERA_SOURCE, SAMPLE_SOURCE)
        near = difflib.get_close_matches(source.strip("/.").lower(), known, n=1)
        remedy = "give a folder of class folders, hymenoptera or sample"
        if near:
            remedy = f"did you mean --data {near[0]}?"
        raise DataError(f"{source or repr(source)}: no such folder; {remedy}") from error


# ----------------------------------------------------------- folder -> names of photos

_ByClass = dict[str, list[Path]]
_Others = tuple[tuple[Path, ...], tuple[Path, ...]]


def _read(
    root: Path, val_fraction: float, seed: int, exclude: Sequence[str], built_in: Sequence[str]
) -> tuple[tuple[str, ...], Photos, Photos, _Others]:
    """Return labels, training, validation and other photos of the folder `root`."""
    layout = find_layout(root, (*exclude, *built_in))
    _check_classes(layout)
    found = [
        {label: sorted(walk_files(folder)) for label, folder in half.items()}
        for half in layout.classes
    ]
    _log_loose(layout.halves)
    _log_unread(root, chain.from_iterable(chain.from_iterable(side.values()) for side in found))
    photos = [
        {label: [path for path in paths if is_photo(path.name)] for label, paths in side.items()}
        for side in found
    ]
    strange = [path for folder in layout.others if folder for path in _photos_in(folder)]
    names = {path: layout.name(path) for path in (*_all_paths(photos), *strange)}
    _check_files(names)
    asked = [pattern for pattern in exclude if pattern not in layout.excluded.values()]
    gone = excluded_photos(root, names, asked, built_in)
    kept = [
        {
            label: sorted((path for path in paths if path not in gone), key=names.__getitem__)
            for label, paths in side.items()
        }
        for side in photos
    ]
    _check_filled(layout, photos, kept)
    train, validation = (
        (kept[0], kept[1]) if len(kept) > 1 else _split(root, kept[0], names, val_fraction, seed)
    )
    labels = tuple(sorted(train))
    others = _read_others(root, layout.others, val_fraction, seed, gone)
    return labels, _photos(labels, train), _photos(labels, validation), others


def _photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in walk_files(folder) if is_photo(path.name))


def _read_others(
    root: Path, folders: Sequence[Path | None], val_fraction: float, seed: int, gone: set[Path]
) -> _Others:
    """Photos of what is none of the classes, to learn from and to check with.

    Args:
        root: what their names are relative to, by which they are split.
        folders: of the training and the validation half, or of both together.
        val_fraction: share to check with where there is one folder.
        seed: of that split.
        gone: photos that are left out.
    """
    found = [
        [path for path in _photos_in(folder) if path not in gone] if folder else []
        for folder in folders
    ]
    if not any(folders):
        return (), ()
    if (total := sum(map(len, found))) < LEAST_OTHERS:
        raise DataError(
            f"{next(filter(None, folders))}: {total} photos of what is none of the classes are too "
            f"few; take {LEAST_OTHERS} or more, or leave them out"
        )
    _check_files(path for paths in found for path in paths)
    if len(found) > 1 and all(found):
        return tuple(found[0]), tuple(found[1])
    paths = [path for side in found for path in side]
    names = {path: _name_below(root, path) for path in paths}
    train, validation = _split(root, {"others": paths}, names, val_fraction, seed)
    return tuple(train["others"]), tuple(validation["others"])


def _name_below(root: Path, path: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())


def _joined(some: _Others, more: _Others) -> _Others:
    return some[0] + more[0], some[1] + more[1]


def _all_paths(sides: Iterable[_ByClass]) -> Iterable[Path]:
    return chain.from_iterable(chain.from_iterable(side.values()) for side in sides)


def _photos(labels: tuple[str, ...], by_class: _ByClass) -> Photos:
    pairs = [(path, index) for index, label in enumerate(labels) for path in by_class[label]]
    return Photos(tuple(path for path, _ in pairs), tuple(index for _, index in pairs))


def _log_loose(halves: Iterable[Path]) -> None:
    """Log how many photos lie beside the class folders instead of in one."""
    for half in halves:
        if loose := count_loose_photos(half):
            _logger.warning("%s: %d photos lie in no class folder: not read", half, loose)


def _log_unread(root: Path, files: Iterable[Path]) -> None:
    """Log how many files of each kind are not read: pictures of another format, perhaps."""
    kinds = Counter(path.suffix.lower() for path in files if not is_photo(path.name))
    if kinds:
        listed = [f"{n} {suffix or 'without an ending'}" for suffix, n in kinds.most_common()]
        _logger.warning(
            "%s: not read: %s; photos end in %s",
            root,
            list_some(listed),
            ", ".join(sorted(PHOTO_SUFFIXES)),
        )


# ------------------------------------------------------------------------- checks


def _check_files(paths: Iterable[Path]) -> None:
    """Refuse pipes and devices: whoever opened one would wait for it, or read without end."""
    for path in paths:
        try:
            kind = stat.S_IFMT(path.stat().st_mode)
        except OSError:  # a link to nowhere: reading says why
            continue
        if kind != stat.S_IFREG:
            raise DataError(f"{path}: is a pipe or a device, no photo; move it away")


def _check_classes(layout: Layout) -> None:
    """Check that there are two classes at least, the same ones in both halves."""
    root, folders, found = layout.root, layout.halves, layout.classes
    if len(found) > 1 and found[0].keys() != found[1].keys():
        sides = [
            f"{list_some(sorted(found[i].keys() - found[1 - i].keys()))} only in {folders[i].name}/"
            for i in (0, 1)
            if found[i].keys() - found[1 - i].keys()
        ]
        raise DataError(
            f"{root}: the classes differ ({', '.join(sides)}); give each class a folder in both, "
            "or leave it out with --exclude"
        )
    if not found[0]:
        loose = count_loose_photos(folders[0])
        raise DataError(
            f"{folders[0]}: no class folders ({loose} photos lie in it); put "
            "the photos of each class in a folder of its name"
        )
    if len(found[0]) == 1:
        ((only, inner),) = found[0].items()
        remedy = "add a folder for another class"
        if len([path for path in inner.iterdir() if path.is_dir()]) > 1:
            remedy = f"did you mean --data {inner}?"
        raise DataError(f"{folders[0]}: one class only ({only}); {remedy}")


def _check_filled(layout: Layout, photos: list[_ByClass], kept: list[_ByClass]) -> None:
    """Check that every class has a photo, in both halves if there are two."""
    suffixes = ", ".join(sorted(PHOTO_SUFFIXES))
    for sides, fault, remedy in (
        (photos, "no photos", f"add some ({suffixes}), or leave the class out with --exclude"),
        (kept, "every photo is excluded", "exclude fewer, or the whole class with --exclude"),
    ):
        empty: dict[str, list[str]] = {}
        for half, side in zip(layout.classes, sides, strict=True):
            for label, paths in side.items():
                if not paths:
                    empty.setdefault(label, []).append(layout.name(half[label]))
        if empty:
            # Empty in both halves, a class is named once.
            names = [label if len(two) > 1 else two[0] for label, two in sorted(empty.items())]
            raise DataError(f"{layout.root}: {fault} in {list_some(names)}; {remedy} {min(empty)}")


# ---------------------------------------------------------------------- splitting


def _split(
    root: Path, by_class: _ByClass, names: dict[Path, str], val_fraction: float, seed: int
) -> tuple[_ByClass, _ByClass]:
    """Divide each class into training and validation photos.

    Photos are ranked by a hash of seed and relative name: no generator whose stream could
    change between versions, and a photo that is added later moves few of the others.
    """
    if single := [label for label in sorted(by_class) if len(by_class[label]) < 2]:
        raise DataError(
            f"{root}: one photo only in {list_some(single)}; a class needs two, one to learn from "
            "and one to check with"
        )

    def rank(path: Path) -> bytes:
        return hashlib.sha256(f"{seed}\n{names[path]}".encode(errors="surrogateescape")).digest()

    train: _ByClass = {}
    validation: _ByClass = {}
    for label, paths in by_class.items():
        wanted = math.floor(len(paths) * val_fraction + 0.5)
        chosen = set(sorted(paths, key=rank)[: min(max(wanted, 1), len(paths) - 1)])
        validation[label] = [path for path in paths if path in chosen]
        train[label] = [path for path in paths if path not in chosen]
    return train, validation
