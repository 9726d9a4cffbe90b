"""Patterns that leave photos out of a data set: those of `--exclude`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from edgebee.errors import DataError

__all__ = ["excluded_photos"]


def excluded_photos(
    root: Path, relative: dict[Path, str], exclude: Sequence[str], standing: Sequence[str]
) -> set[Path]:
    """Return the photos that a pattern takes out.

    Args:
        root: the data set, for the message.
        relative: every photo with its name below `root`.
        exclude: patterns of this run, each of which must match something.
        standing: patterns that stand for good and may match nothing.

    Raises:
        DataError: a pattern of this run matches no photo.
    """
    by_name = {name: path for path, name in relative.items()}
    gone: set[Path] = set()
    for number, given in enumerate((*exclude, *standing)):
        pattern = unicodedata.normalize("NFC", given.removeprefix("./"))
        # A name taken literally first: "[" and "?" occur in the names of photos.
        hits = {by_name[pattern]} if pattern in by_name else _matching(pattern, relative)
        if not hits and number < len(exclude):
            raise DataError(
                f"{root}: --exclude {given!r} matches no photo; patterns are relative to that "
                "folder, as 'train/ants/*.gif'"
            )
        gone |= hits
    return gone


def _matching(pattern: str, relative: dict[Path, str]) -> set[Path]:
    bare = "/" not in pattern
    return {
        path
        for path, name in relative.items()
        if fnmatchcase(name, pattern) or (bare and fnmatchcase(name.rpartition("/")[2], pattern))
    }
