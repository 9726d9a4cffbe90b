"""The photos that a command line names: files, folders, patterns, and standard input.

The lone `classify.py` takes files and folders, which a shell makes of patterns anyway.
"""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from edgebee.edge.classify import PhotoError, Result, find_images

__all__ = ["NamedPhoto", "StandardInput", "named_photos", "with_remedy"]


class StandardInput(io.BytesIO):
    """A photo that came on standard input; it is called `-`."""

    def __str__(self) -> str:
        return "-"


NamedPhoto: TypeAlias = Path | StandardInput


def named_photos(names: Iterable[str]) -> Iterator[NamedPhoto]:
    """What the names stand for, in their order.

    A name is a file, a folder (the photos below it), a pattern with `*`, `?`, `[...]` or
    `**` if nothing is called so, or `-`: a photo on standard input.

    Raises:
        PhotoError: standard input cannot be read.
    """
    for name in names:
        if name == "-":
            yield _standard_input()
        else:
            yield from _expand(name)


def _expand(name: str) -> Iterator[Path]:
    """Files as they are, folders walked; what a pattern matches, sorted."""
    if os.path.lexists(name):
        return find_images([name])
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - Path takes no absolute ones
    if "**" in name:  # it matches folders, and again what is in them
        found = [match for match in found if not Path(match).is_dir()]
    return find_images(found or [name])


def _standard_input() -> StandardInput:
    if sys.stdin is None:  # closed: descriptor 0 may be any file that was opened since
        raise PhotoError("-: unreadable (it is closed); give it a photo")
    try:
        return StandardInput(sys.stdin.buffer.read())
    except OSError as error:
        raise PhotoError(f"-: unreadable ({error.strerror}); give it a photo") from error


def with_remedy(results: Iterable[Result]) -> Iterator[Result]:
    """Add to the error of a photo that is above the limit how to raise it."""
    for photo, result in results:
        cause = result.__cause__ if isinstance(result, PhotoError) else None
        if isinstance(cause, Image.DecompressionBombError):
            yield photo, PhotoError(f"{result}, or allow it with --max-megapixels")
        else:
            yield photo, result
