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

__all__ = ["NamedPhoto", "StandardInput", "photo_batches", "with_remedy"]

_CHUNK_BYTES = 65_536
_HEADER_BYTES = 32


class StandardInput(io.BytesIO):
    """A photo that came on standard input; it is called `-`."""

    def __str__(self) -> str:
        return "-"


NamedPhoto: TypeAlias = Path | StandardInput


def photo_batches(names: Iterable[str]) -> Iterator[Iterable[NamedPhoto]]:
    """What the names stand for, in their order, in batches that are known without waiting.

    A name is a file, a folder (the photos below it), a pattern with `*`, `?`, `[...]` or
    `**` if nothing is called so, or `-`: standard input, which holds one photo, or a list of
    such names, one a line. A list is followed as it comes: what has been
    written so far is a batch, so that each photo can be classified before the next is named.

    Raises:
        PhotoError: standard input cannot be read.
    """
    for name in names:
        if name == "-":
            yield from _standard_input()
        else:
            yield _expand(name)


def _expand(name: str) -> Iterator[Path]:
    """Files as they are, folders walked; what a pattern matches, sorted."""
    if os.path.lexists(name):
        return find_images([name])
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - Path takes no absolute ones
    if "**" in name:  # it matches folders, and again what is in them
        found = [match for match in found if not Path(match).is_dir()]
    return find_images(found or [name])


def _standard_input() -> Iterator[Iterable[NamedPhoto]]:
    if sys.stdin is None:  # closed: descriptor 0 may be any file that was opened since
        raise PhotoError("-: unreadable (it is closed); give it a photo or a list")
    # Not sys.stdin: it waits until its buffer is full, however long the next name takes.
    try:
        content = chunk = os.read(0, _CHUNK_BYTES)
        while chunk and len(content) < _HEADER_BYTES and b"\n" not in content:
            content += (chunk := os.read(0, _CHUNK_BYTES))
        if b"\0" in content[:_HEADER_BYTES]:  # as in the header of every picture, and in no name
            while chunk:
                content += (chunk := os.read(0, _CHUNK_BYTES))
            yield [StandardInput(content)]
            return
        while chunk:
            *lines, content = content.split(b"\n")
            yield _listed(lines)
            content += (chunk := os.read(0, _CHUNK_BYTES))
        yield _listed([content])
    except OSError as error:
        raise PhotoError(f"-: unreadable ({error.strerror}); give it a photo or a list") from error


def _listed(lines: Iterable[bytes]) -> Iterator[Path]:
    for line in lines:
        name = os.fsdecode(line.strip(b"\r"))
        if "\0" in name:  # which the system takes for no name at all
            yield Path(name)
        elif name:
            yield from _expand(name)


def with_remedy(results: Iterable[Result]) -> Iterator[Result]:
    """Add to the error of a photo that is above the limit how to raise it."""
    for photo, result in results:
        cause = result.__cause__ if isinstance(result, PhotoError) else None
        if isinstance(cause, Image.DecompressionBombError):
            yield photo, PhotoError(f"{result}, or allow it with --max-megapixels")
        else:
            yield photo, result
