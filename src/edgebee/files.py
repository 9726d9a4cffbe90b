"""The one place that writes files: beside the final name, then renamed.

A reader sees the old file or the new one, never half of one; a run that is killed leaves
at most hidden files, `.name.…part` and the lock, which the next run in the folder removes. Two
runs never write to one folder at once: the system holds the lock, and releases it when the run
ends, however it ends.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgebee.errors import OutputError

__all__ = [
    "LOCK_NAME",
    "atomic_directory",
    "atomic_write",
    "atomic_write_all",
    "keep_fetched",
    "lock_directory",
    "output_directory",
    "prepare_directory",
    "remove_stale_lock",
    "write_bytes",
    "write_text",
]


LOCK_NAME = ".edgebee.lock"
"""In a folder that edgebee is writing to; removed when it has finished."""

_logger = logging.getLogger("edgebee.files")


def prepare_directory(folder: Path) -> Path:
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
def output_directory(folder: Path) -> Iterator[Path]:
    """`prepare_directory`, for this run alone; empty folders that it made go if the block fails.

    Raises:
        OutputError: the folder cannot be made or written to, or another run writes there.
    """
    new = [path for path in (folder, *folder.parents) if not _exists(path)]
    try:
        with lock_directory(prepare_directory(folder)) as locked:
            if not locked:
                raise OutputError(
                    f"{folder}: another edgebee is writing there; wait for its end, or choose "
                    "another folder with --output"
                )
            yield folder
    except BaseException:
        for path in new:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that may not be searched; `prepare_directory` says so
        return True


@contextmanager
def lock_directory(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Keep other runs of edgebee from writing to `folder` while the block lasts.

    The lock is the system's, on the file `LOCK_NAME` in the folder: that of a run that was killed
    holds nobody up. File systems that support no locks, as some on a network, grant every one.

    Args:
        folder: an existing folder that can be written to.
        wait: until another run has released it, however long that takes; this is logged.

    Yields:
        Whether it is locked; always so after waiting.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_NAME)
    locked = True
    try:
        lock.acquire(blocking=False)
    except Timeout:
        locked = wait
        if wait:
            _logger.info("%s: another edgebee is working there; waiting", folder)
            lock.acquire()
    except (OSError, NotImplementedError):  # the file system supports no locks
        pass
    try:
        yield locked
    finally:
        if lock.is_locked:
            # While it is locked: whoever waits for a file that is gone makes a new one. Windows
            # removes no open file; filelock does it there.
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()


def remove_stale_lock(folder: Path) -> None:
    """Remove the lock file that a killed run left in `folder`, unless another run holds it.

    For those who find what they need and write nothing, so that it does not stay for good.
    """
    if (folder / LOCK_NAME).exists():
        with lock_directory(folder):
            pass


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path | None]:
    """Yield an empty folder beside `target` that becomes `target` when the block succeeds.

    If the block fails, nothing stays behind; what a killed run left is removed. If another
    run is making something there, that is logged and waited for; if it was `target`, None is
    yielded: there is nothing to do.

    Raises:
        OSError: the folder could not be made or renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with lock_directory(target.parent, wait=True):
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.making"):
            shutil.rmtree(leftover)
        if target.is_dir():
            yield None
            return
        part = target.parent / f".{target.name}.{os.getpid()}.making"
        part.mkdir()
        try:
            yield part
            # The last thing done to it: a run that is killed has made all of it or nothing.
            part.rename(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)  # else the next run does it
            raise


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it to `path`.

    For libraries that insist on writing a file themselves. The temporary name ends as
    `path` does, since some of them choose the format by the ending.

    Raises:
        OutputError: the file could not be written; `path` is as it was.
    """
    atomic_write_all({path: write})


def atomic_write_all(writes: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files that make sense only with each other, all of them or none.

    All are written beside their names first, where a disk fills up. Only then are they renamed,
    in their order; the old ones from the second on are withdrawn before, so that a run that is
    killed between two renames leaves a file that is missing, never one that belongs to another.

    Args:
        writes: the files, and what fills each. Those in one folder.

    Raises:
        OutputError: one could not be written; all are as they were.
    """
    parts: dict[Path, Path] = {}
    current = next(iter(writes))
    try:
        for current, write in writes.items():
            stem = glob.escape(current.stem)
            for leftover in current.parent.glob(f".{stem}.*part{current.suffix}"):
                leftover.unlink(missing_ok=True)
            parts[current] = current.parent / f".{current.stem}.{os.getpid()}part{current.suffix}"
            write(parts[current])
            with parts[current].open("r+b") as written:  # Windows syncs no file opened for reading
                os.fsync(written.fileno())
        for path in list(parts)[1:]:
            path.unlink(missing_ok=True)
        for current, part in parts.items():
            part.replace(current)
    except OSError as error:
        raise OutputError(
            f"{current}: could not be written ({_reason(error, current.parent)})"
        ) from error
    finally:
        for part in parts.values():
            with contextlib.suppress(OSError):  # a disk that has become read-only
                part.unlink(missing_ok=True)


def _reason(error: OSError, folder: Path) -> str:
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    return f"{error.strerror or error}; {free // 1_000_000} MB free there"


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Raises:
        OutputError: the file could not be written.
    """
    atomic_write(path, lambda part: part.write_bytes(content))


def keep_fetched(path: Path, content: bytes, *, modified_us: int) -> None:
    """Write what can be fetched again, whole or not at all; the disk is not waited for.

    Args:
        path: in a folder that is made if it is missing.
        content: of the file.
        modified_us: what its time of change is set to, microseconds since 1970.

    Raises:
        OutputError: the file could not be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.utime(part, ns=(modified_us * 1000, modified_us * 1000))
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: could not be written ({_reason(error, path.parent)})"
        ) from error


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, whole or not at all.

    Raises:
        OutputError: the file could not be written.
    """
    write_bytes(path, content.encode())
