"""From what `--data` was given to lists of training and validation photos.

A data set is a folder: either `train/` and `val/` with one folder per class in each, or the
class folders alone, which are then split. Nothing is decoded here, only names are read.
"""

from __future__ import annotations

import difflib
import hashlib
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
from edgebee.files import atomic_directory
from edgebee.photos.exclusions import excluded_photos, ignored_patterns
from edgebee.photos.hymenoptera import (
    CACHE_VARIABLE,
    PLACEHOLDER,
    find_hymenoptera,
    is_photo,
    user_cache,
)

__all__ = ["Dataset", "Photos", "load_dataset", "sample_folder"]

HYMENOPTERA_SOURCE = "hymenoptera"
SAMPLE_SOURCE = "sample"
TRAIN_NAME = "train"
VALIDATION_NAMES = ("val", "valid", "validation")

SAMPLE_SEED = 0
"""The drawings do not follow `--seed`: whoever says `sample` means the same pictures."""

MAX_NAMED = 5
"""So many classes or files are named in a message; it stays one line."""


@dataclass(frozen=True)
class Photos:
    """Photos with their classes.

    Attributes:
        paths: the files, ordered by class and name.
        classes: the class of each, an index into the labels; as long as `paths`.
    """

    paths: tuple[Path, ...]
    classes: tuple[int, ...]

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
        source: what loads the same photos again: `hymenoptera`, `sample` or an absolute path.
        root: the folder.
        labels: the class folders' names, sorted, in Unicode's composed form (NFC).
        train: photos to learn from.
        validation: photos to check with, none of which is in `train`.
        drawn: whether these are drawings; what is measured on them is never a result.
        val_fraction: share for validation where the folder is not split already.
        seed: of that split.
        exclude: patterns of photos that were left out. Loaded again with `source` and these
            three, the photos and their split are the same.
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


def load_dataset(
    source: str, *, val_fraction: float = 0.2, seed: int = 0, exclude: Sequence[str] = ()
) -> Dataset:
    """Find the photos of a data set, their classes and which of them are for validation.

    Photos are files with one of the runner's photo endings anywhere below a class folder.
    Hidden files and folders are passed over. Links to folders are followed for the class
    folders themselves and not below them.

    Args:
        source: `hymenoptera`, `sample` or a folder (`./sample` for a folder of that name).
        val_fraction: share of each class's photos that goes to validation, between 0 and 1
            exclusive, when the folder is not split already; each side gets one at least.
        seed: which photos these are. The same relative names, fraction and seed give the
            same split on every machine.
        exclude: shell patterns of photos to leave out, relative to the folder, with `/`; a
            pattern without `/` is also tried on the bare file name. The file
            `.edgebeeignore` in the folder can hold more, one a line, `#` for comments.

    Raises:
        DataError: the data set cannot be used as it is; the message says how to mend it.
        DownloadError: hymenoptera is not on this machine and could not be fetched.
    """
    if not 0 < val_fraction < 1:
        raise DataError(f"--val-fraction {val_fraction}: take a number between 0 and 1, as 0.2")
    built_in: tuple[str, ...] = ()
    try:
        if source == HYMENOPTERA_SOURCE:
            root, name, built_in = find_hymenoptera(), source, (PLACEHOLDER,)
        elif source == SAMPLE_SOURCE:
            root, name = sample_folder(), source
        else:
            root = _given_folder(source)
            source, name = str(root), root.name or str(root)
        labels, train, validation = _read(root, val_fraction, seed, exclude, built_in)
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
        exclude=tuple(exclude),
    )


def sample_folder() -> Path:
    """Return the folder of the drawn sample, drawing it if it is not in the user's cache.

    Raises:
        DataError: the drawings could not be written.
    """
    from edgebee.photos.sample import DRAWINGS_VERSION, draw_sample

    folder = user_cache() / f"sample-v{DRAWINGS_VERSION}"
    if folder.is_dir():
        return folder
    try:
        with atomic_directory(folder) as part:
            if part is not None:
                draw_sample(part, seed=SAMPLE_SEED)
    except (OSError, OutputError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        reason = (isinstance(cause, OSError) and cause.strerror) or str(error)
        raise DataError(
            f"{folder}: the sample could not be drawn there ({reason}); set {CACHE_VARIABLE} to a "
            "folder that can be written"
        ) from error
    return folder


def _given_folder(source: str) -> Path:
    """Return the absolute path of a folder given by the user."""
    path = Path(source).expanduser() if source.startswith("~/") else Path(source)
    try:
        with os.scandir(path if source else ""):  # Path("") would be the working directory
            return path.resolve()
    except NotADirectoryError as error:
        raise DataError(f"{source}: is a file; --data takes a folder of class folders") from error
    except FileNotFoundError as error:
        known = (HYMENOPTERA_SOURCE, SAMPLE_SOURCE)
        near = difflib.get_close_matches(source.strip("/.").lower(), known, n=1)
        remedy = "give a folder of class folders, hymenoptera or sample"
        if near:
            remedy = f"did you mean --data {near[0]}?"
        raise DataError(f"{source or repr(source)}: no such folder; {remedy}") from error


# ----------------------------------------------------------- folder -> names of photos

_ByClass = dict[str, list[Path]]


def _read(
    root: Path, val_fraction: float, seed: int, exclude: Sequence[str], built_in: Sequence[str]
) -> tuple[tuple[str, ...], Photos, Photos]:
    """Return labels, training photos and validation photos of the folder `root`."""
    train_folder, val_folder = _layout(root)
    folders = [train_folder] if val_folder is None else [train_folder, val_folder]
    found = [_photos_by_class(folder) for folder in folders]
    _check_classes(root, folders, found)
    paths = chain.from_iterable(chain.from_iterable(side.values() for side in found))
    relative = {path: _relative(root, path) for path in paths}
    gone = excluded_photos(root, relative, exclude, (*built_in, *ignored_patterns(root)))
    kept = [
        {label: sorted(set(side[label]) - gone, key=relative.__getitem__) for label in side}
        for side in found
    ]
    _check_filled(root, folders, found, kept)
    train, validation = kept if val_folder else _split(root, kept[0], relative, val_fraction, seed)
    labels = tuple(sorted(train))
    return labels, _photos(labels, train), _photos(labels, validation)


def _photos(labels: tuple[str, ...], by_class: _ByClass) -> Photos:
    pairs = [(path, index) for index, label in enumerate(labels) for path in by_class[label]]
    return Photos(tuple(path for path, _ in pairs), tuple(index for _, index in pairs))


def _layout(root: Path) -> tuple[Path, Path | None]:
    """Return the training and validation folders; `root` and None when it is to be split."""
    folders = {folder.name.lower(): folder for folder in _visible_folders(root)}
    train = folders.get(TRAIN_NAME)
    validation = [folders[name] for name in VALIDATION_NAMES if name in folders]
    if train and len(validation) == 1:
        return train, validation[0]
    if train and validation:
        raise DataError(
            f"{root}: {_some(v.name + '/' for v in validation)} all look like validation photos; "
            "keep one of them"
        )
    for half in (train, *validation):
        # Photos right in it make it a class that happens to be called train, as vehicles may be.
        if half and _visible_folders(half) and not _loose_photos(half):
            other = VALIDATION_NAMES[0] if half == train else TRAIN_NAME
            raise DataError(
                f"{root}: has {half.name}/ but no {other}/; add it, or have the photos split "
                f"with --data {half}"
            )
    return root, None


def _visible_folders(folder: Path) -> list[Path]:
    # __MACOSX is what a zip packed on a Mac leaves beside the photos.
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )


def _loose_photos(folder: Path) -> int:
    return sum(is_photo(path.name) and path.is_file() for path in folder.iterdir())


def _photos_by_class(folder: Path) -> _ByClass:
    """Return the photos below each class folder, by label, in no particular order."""
    found: _ByClass = {}
    for class_folder in _visible_folders(folder):
        label = unicodedata.normalize("NFC", class_folder.name)
        if not _fits_a_line(label):
            raise DataError(
                f"{folder}: the class folder {class_folder.name!r} cannot be a line of labels.txt; "
                "rename it without line breaks, control characters or spaces at its ends"
            )
        if label in found:
            raise DataError(
                f"{folder}: two class folders are called {label!r}, written in two ways of "
                "Unicode; move their photos into one"
            )
        found[label] = []
        for parent, folders, files in os.walk(class_folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            photos = [Path(parent, name) for name in files if is_photo(name)]
            found[label] += photos
            _check_files(photos)
    return found


def _check_files(paths: Iterable[Path]) -> None:
    """Refuse pipes and devices: whoever opened one would wait for it, or read without end."""
    for path in paths:
        try:
            kind = stat.S_IFMT(path.stat().st_mode)
        except OSError:  # a link to nowhere: reading says why
            continue
        if kind != stat.S_IFREG:
            raise DataError(f"{path}: is a pipe or a device, no photo; move it away")


def _raise(error: OSError) -> None:
    # os.walk passes over a folder that it cannot read unless told otherwise.
    raise error


def _fits_a_line(label: str) -> bool:
    # Cc are control characters, Zl and Zp line breaks, Cs bytes that are not UTF-8.
    unsafe = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in label)
    return not unsafe and label == label.strip()


def _relative(root: Path, path: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())


# ------------------------------------------------------------------------- checks


def _check_classes(root: Path, folders: list[Path], found: list[_ByClass]) -> None:
    """Check that there are two classes at least, the same ones on both sides."""
    if len(found) > 1 and found[0].keys() != found[1].keys():
        sides = [
            f"{_some(sorted(found[i].keys() - found[1 - i].keys()))} only in {folders[i].name}/"
            for i in (0, 1)
            if found[i].keys() - found[1 - i].keys()
        ]
        raise DataError(
            f"{root}: the classes differ ({', '.join(sides)}); give each class a folder in both"
        )
    if not found[0]:
        raise DataError(
            f"{folders[0]}: no class folders ({_loose_photos(folders[0])} photos lie in it); put "
            "the photos of each class in a folder of its name"
        )
    if len(found[0]) == 1:
        (only,) = found[0]
        inner = folders[0] / only
        remedy = "add a folder for another class"
        if inner.is_dir() and len(_visible_folders(inner)) > 1:
            remedy = f"did you mean --data {inner}?"
        raise DataError(f"{folders[0]}: one class only ({only}); {remedy}")


def _check_filled(
    root: Path, folders: list[Path], found: list[_ByClass], kept: list[_ByClass]
) -> None:
    """Check that every class has a photo, on both sides if there are two."""
    suffixes = ", ".join(sorted(PHOTO_SUFFIXES))
    for sides, fault, remedy in (
        (found, "no photos", f"add some ({suffixes}) or remove the folder"),
        (kept, "every photo is excluded", "exclude fewer or move the folder away"),
    ):
        empty = [
            _relative(root, folder / label)
            for folder, by_class in zip(folders, sides, strict=True)
            for label in sorted(by_class)
            if not by_class[label]
        ]
        if empty:
            raise DataError(f"{root}: {fault} in {_some(empty)}; {remedy}")


def _some(names: Iterable[str]) -> str:
    """Return the first few of `names` as one piece of text."""
    listed = list(names)
    rest = len(listed) - MAX_NAMED
    return ", ".join(listed[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")


# ---------------------------------------------------------------------- splitting


def _split(
    root: Path, by_class: _ByClass, relative: dict[Path, str], val_fraction: float, seed: int
) -> tuple[_ByClass, _ByClass]:
    """Divide each class into training and validation photos.

    Photos are ranked by a hash of seed and relative name: no generator whose stream could
    change between versions, and a photo that is added later moves few of the others.
    """
    if single := [label for label in sorted(by_class) if len(by_class[label]) < 2]:
        raise DataError(
            f"{root}: one photo only in {_some(single)}; a class needs two, one to learn from and "
            "one to check with"
        )

    def rank(path: Path) -> bytes:
        return hashlib.sha256(f"{seed}\n{relative[path]}".encode(errors="surrogateescape")).digest()

    train: _ByClass = {}
    validation: _ByClass = {}
    for label, paths in by_class.items():
        wanted = math.floor(len(paths) * val_fraction + 0.5)
        chosen = set(sorted(paths, key=rank)[: min(max(wanted, 1), len(paths) - 1)])
        validation[label] = [path for path in paths if path in chosen]
        train[label] = [path for path in paths if path not in chosen]
    return train, validation
