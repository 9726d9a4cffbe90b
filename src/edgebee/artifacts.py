"""The one place that writes files: beside the final name, then renamed.

A reader sees the old file or the new one, never half of one; a run that is killed leaves
at most a hidden `.name.…part` file, which the next write of the same name removes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgebee.errors import OutputError

__all__ = [
    "output_folder",
    "prepare_folder",
    "write_bytes",
    "write_json",
    "write_text",
    "write_through",
]


def prepare_folder(folder: Path) -> Path:
    """Make `folder` (and its parents) and prove that a file can be written in it.

    Called before long work starts, so that an unwritable folder costs a second, not an hour.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write there ({error.strerror}); choose another folder with --output"
        ) from error
    return folder


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """`prepare_folder`, and if the block fails, take away the empty folders that it made.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield prepare_folder(folder)
    except BaseException:
        for path in new:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise


def write_through(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it to `path`.

    For libraries that insist on writing a file themselves. The temporary name ends as
    `path` does, since some of them choose the format by the ending.

    Raises:
        OutputError: the file could not be written; `path` is as it was.
    """
    for leftover in path.parent.glob(f".{path.stem}.*part{path.suffix}"):
        leftover.unlink(missing_ok=True)
    part = path.parent / f".{path.stem}.{os.getpid()}part{path.suffix}"
    try:
        write(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
        raise OutputError(
            f"{path}: could not be written ({reason}; {free // 1_000_000} MB free there)"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises:
        OutputError: the file could not be written.
    """
    write_through(path, lambda part: part.write_bytes(content))


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, whole or not at all.

    Raises:
        OutputError: the file could not be written.
    """
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, whole or not at all.

    Raises:
        OutputError: the file could not be written.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
