"""Which folders of a data set are classes, and which files in them are photos.

A data set is a folder: either two halves, as `train/` and `val/`, with one folder per class in
each, or the class folders alone. Nothing is decoded here, only names are read.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgebee.edge.classify import PHOTO_SUFFIXES
from edgebee.errors import DataError

__all__ = ["Layout", "count_loose_photos", "find_layout", "is_photo", "list_some", "walk_files"]

_HALF = r"^(?:\w+[_.-])?(?:{})(?:[ _.-]?(?:set|data|images|photos|pictures))?$"
_TRAIN = re.compile(_HALF.format("train|training"), re.IGNORECASE)
_VALIDATION = re.compile(_HALF.format("val|valid|validation|dev|eval"), re.IGNORECASE)
_TEST = re.compile(_HALF.format("test|testing"), re.IGNORECASE)
"""Names of halves: `train`, `Training`, `train_set`, `seg_train`, `valid`, `Test` … A test folder
is for validation where there is no other."""

SYSTEM_FOLDERS = frozenset(
    {
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@sharebin",
        "@tmp",
        "__macosx",
        "__pycache__",
        "found.000",
        "lost+found",
        "recycler",
        "system volume information",
    }
)
"""What systems, network storage and zip programs leave beside photos, in lower case.

Hidden ones, as `.Trashes` and `.ipynb_checkpoints`, are known by their dot."""

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})

RESERVED_LABELS = frozenset({"unknown"})
"""What the runner answers where it cannot say which class it is."""

OTHERS_FOLDERS = frozenset({"neither", "other"})
"""Beside the class folders, in lower case: photos of what is none of the classes."""

MAX_NAMED = 5
"""So many classes or files are named in a message; it stays one line."""


@dataclass(frozen=True)
class Layout:
    """Where the photos of a data set are.

    Attributes:
        root: the folder.
        halves: the training and the validation folder, or `root` alone where it is to be split.
        classes: label -> class folder in each half. Labels are in Unicode's composed form (NFC).
        excluded: class folders that were left out, with the pattern that did it.
        others: the folder of what is none of the classes in each half; None where there is none.
    """

    root: Path
    halves: tuple[Path, ...]
    classes: tuple[dict[str, Path], ...]
    excluded: dict[Path, str]
    others: tuple[Path | None, ...] = (None,)

    def name(self, path: Path) -> str:
        """Return a path below `root` as patterns and messages write it: relative, with `/`."""
        return _relative(self.root, path)


def find_layout(root: Path, exclude: Iterable[str] = ()) -> Layout:
    """Find the class folders of the data set `root`.

    Args:
        root: the folder.
        exclude: patterns; one that is a label, or a class folder's path relative to `root`,
            leaves out that class.

    Raises:
        DataError: one half is missing or there twice, or a folder's name cannot be a label.
        OSError: a folder cannot be read.
    """
    halves = _find_halves(root)
    patterns = {unicodedata.normalize("NFC", given).strip("/"): given for given in exclude}
    excluded: dict[Path, str] = {}
    classes: list[dict[str, Path]] = []
    others: list[Path | None] = []
    for half in halves:
        kept: list[Path] = []
        for folder in _subfolders(half):
            path = _relative(root, folder)
            used = patterns.get(path, patterns.get(path.rpartition("/")[2]))
            if used is None:
                kept.append(folder)
            else:
                excluded[folder] = used
        strange = [folder for folder in kept if folder.name.lower() in OTHERS_FOLDERS]
        if len(strange) > 1:
            raise DataError(
                f"{half}: {list_some(f'{folder.name}/' for folder in strange)} are both for photos "
                "of what is none of the classes; move them into one"
            )
        others.append(strange[0] if strange else None)
        classes.append(_by_label(half, [folder for folder in kept if folder not in strange]))
    if halves == (root,):
        _check_not_halves(root, classes[0])
    return Layout(root, halves, tuple(classes), excluded, tuple(others))


def _relative(root: Path, path: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())


def is_photo(name: str) -> bool:
    """Return whether a file of this name (no folders in it) counts as a photo."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files anywhere below `folder`, without hidden and system ones.

    Raises:
        OSError: a folder cannot be read.
    """
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not _is_skipped(name)]
        for name in files:
            if not name.startswith(".") and name.lower() not in SYSTEM_FILES:
                yield Path(parent, name)


def list_some(names: Iterable[str]) -> str:
    """Return the first few of `names` as one piece of text."""
    listed = list(names)
    rest = len(listed) - MAX_NAMED
    return ", ".join(listed[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _raise(error: OSError) -> None:
    # os.walk passes over a folder that it cannot read unless told otherwise.
    raise error


def _is_skipped(folder_name: str) -> bool:
    return folder_name.startswith(".") or folder_name.lower() in SYSTEM_FOLDERS


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_skipped(path.name))


def count_loose_photos(folder: Path) -> int:
    """Return how many photos lie in `folder` itself."""
    return sum(is_photo(path.name) and path.is_file() for path in folder.iterdir())


def _find_halves(root: Path) -> tuple[Path, ...]:
    """Return the training and the validation folder; `root` alone when it is to be split."""
    folders = _subfolders(root)
    train, validation, test = (
        [folder for folder in folders if pattern.match(folder.name)]
        for pattern in (_TRAIN, _VALIDATION, _TEST)
    )
    checking = validation or test
    if len(train) == len(checking) == 1:
        return train[0], checking[0]
    for several, use in ((train, "training"), (checking, "validation")):
        if train and checking and len(several) > 1:
            raise DataError(
                f"{root}: {list_some(f'{half.name}/' for half in several)} all look like {use} "
                "photos; keep one of them"
            )
    for half in (*train, *checking):
        # Photos right in it make it a class that happens to be called train, as vehicles may be.
        if len(train) + len(checking) == 1 and _subfolders(half) and not count_loose_photos(half):
            other = "val" if train else "train"
            raise DataError(
                f"{root}: has {half.name}/ but no {other}/; add it, or have the photos split "
                f"with --data {half}"
            )
    return (root,)


def _by_label(half: Path, folders: Iterable[Path]) -> dict[str, Path]:
    """Return label -> class folder, for the class folders in `half`."""
    found: dict[str, Path] = {}
    as_folders: dict[str, str] = {}
    for folder in folders:
        label = unicodedata.normalize("NFC", folder.name)
        _check_label(half, folder.name, label)
        if label in found:
            raise DataError(
                f"{half}: two class folders are called {label!r}, written in two ways of "
                "Unicode; move their photos into one"
            )
        # Sorted into folders of their names, they would be one class on other systems.
        same = as_folders.setdefault(label.casefold().rstrip("."), label)
        if same != label:
            raise DataError(
                f"{half}: the class folders {same!r} and {label!r} differ only in what Windows "
                "and macOS ignore in a folder's name; rename one, or move their photos into one"
            )
        found[label] = folder
    return found


def _check_label(half: Path, folder_name: str, label: str) -> None:
    # Cc are control characters, Zl and Zp line breaks, Cs bytes that are not UTF-8.
    unsafe = any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in label)
    if unsafe or label != label.strip():
        raise DataError(
            f"{half}: the class folder {folder_name!r} cannot be a line of labels.txt; "
            "rename it without line breaks, control characters or spaces at its ends"
        )
    if label.casefold() in RESERVED_LABELS:
        raise DataError(
            f"{half}: a class cannot be called {label!r}, which is what the runner answers when a "
            f"photo shows none of the classes; rename the folder, or leave it out with --exclude "
            f"{label}"
        )


def _check_not_halves(root: Path, classes: dict[str, Path]) -> None:
    """Refuse folders that all hold the same two or more folders: parts of the data, not classes."""
    inside = {label: _subfolders(folder) for label, folder in classes.items()}
    names = {tuple(folder.name for folder in folders) for folders in inside.values()}
    if len(classes) < 2 or len(names) > 1 or len(next(iter(names))) < 2:
        return
    if any(count_loose_photos(folder) for folder in classes.values()):
        return
    (same,) = names
    raise DataError(
        f"{root}: {list_some(f'{label}/' for label in classes)} all hold the same folders "
        f"({list_some(same)}); if these are the classes, rename the two folders above them to "
        "train and val, or choose one with --data"
    )
