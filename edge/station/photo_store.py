"""Where pictures are put: each whole or not at all, and never over another one.

A picture is written beside its place, under a hidden name that ends in `.part`, and then
gets its name in one step that fails if the name is taken; it is then called `photo-2.jpg`.
A run that is killed leaves at most such a hidden file, which nothing takes for a photo, and
which the next run that writes to the folder takes away.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import filecmp
import functools
import hashlib
import itertools
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from edgebee.errors import OutputError

__all__ = ["PhotoStoreError", "folder_name", "lead_to", "move_photo", "save_photo"]

_AT_FDCWD = -100  # linux/fcntl.h: names are relative to the working directory
_RENAME_NOREPLACE = 1  # linux/fs.h
_NO_SUCH_CALL = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}  # FAT, some network mounts
_OWN_PART = re.compile(r"\..+\.\d+\.part")  # with the number of the process that writes it
_NAME_MAX_BYTES = 200  # of the 255 that file systems allow, less what is put around a name


class PhotoStoreError(OutputError):
    """A picture that could not be put where it belongs."""


def folder_name(label: str) -> str:
    """A label as the name of one folder, whatever the model says: `../x` is no way out.

    What no file system allows in a name, or FAT does not, becomes `_`.
    """
    name = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", label).strip().rstrip(".")
    name = re.sub(r"^\.", "_", name).encode()[:_NAME_MAX_BYTES].decode(errors="ignore")
    return name or "_"


def save_photo(
    folder: Path, name: str, write: Callable[[Path], object], *, replace: bool = False
) -> Path:
    """Let `write` fill a new file in `folder`, called `name` or, if that is taken, `name-2`.

    With `replace`, it is called `name`, and takes the place of an older one.

    Returns:
        Where it is now.

    Raises:
        PhotoStoreError: it could not be written; nothing is left of it.
    """
    part = folder / f".{_short(name)}.{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _fill(part, write)
        if replace:
            return part.replace(folder / name)
        return _first_free(folder, name, lambda place: _rename_new(part, place))
    except OSError as error:
        raise _store_error(folder / name, error) from error
    finally:
        part.unlink(missing_ok=True)


def move_photo(photo: Path, folder: Path) -> Path:
    """Move a photo into `folder`, under its own name or, if that is taken, `name-2`.

    A link is moved as a link to the same file.

    Within a file system that is one step. To another one the photo is copied, the copy read
    back and named, and only then the photo removed. A move that was killed in between is
    finished by the next one of the same photo: there is no second copy.

    Returns:
        Where it is now; where it was, if that is in `folder` already.

    Raises:
        PhotoStoreError: it could not be moved; the photo is where it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if photo.parent.samefile(folder):
            return photo
        if photo.is_symlink():
            return _move_link(photo, folder)
        try:
            return _first_free(folder, photo.name, lambda place: _rename_new(photo, place))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        return _move_across(photo, folder)
    except OSError as error:
        raise _store_error(folder / photo.name, error) from error


def _move_link(link: Path, folder: Path) -> Path:
    """Make a link in `folder` that leads where `link` leads, then remove `link`."""
    target = link.readlink()
    if not target.is_absolute():
        real = link.parent.resolve() / target
        target = Path(os.path.relpath(real, folder.resolve()))
    place = _first_free(folder, link.name, lambda free: free.symlink_to(target))
    link.unlink()
    return place


def lead_to(link: Path, target: Path) -> None:
    """Let a link lead to another file; a relative link stays relative.

    Raises:
        PhotoStoreError: it could not be changed; it is as it was.
    """
    part = link.with_name(f".{_short(link.name)}.{os.getpid()}.part")
    try:
        place = target.resolve()
        if not link.readlink().is_absolute():
            place = Path(os.path.relpath(place, link.parent.resolve()))
        part.symlink_to(place)
        part.replace(link)
    except OSError as error:
        raise _store_error(link, error) from error


def _move_across(photo: Path, folder: Path) -> Path:
    """Copy, name the copy, remove the photo; the hidden copy tells how far a killed move came."""
    state = photo.stat()
    whose = f"{photo.absolute()}\0{state.st_size}\0{state.st_mtime_ns}"
    part = folder / f".{hashlib.sha256(os.fsencode(whose)).hexdigest()[:32]}.part"
    place = _named_copy(part, folder, photo.name)
    if place is None:
        _fill(part, lambda path: shutil.copy2(photo, path))
        if not filecmp.cmp(photo, part, shallow=False):
            part.unlink()
            raise OSError(errno.EIO, "the copy is not like the photo")
        try:
            place = _first_free(folder, photo.name, lambda free: os.link(part, free))
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # The copy is named by renaming it. A move that is killed right then leaves both.
            place = _first_free(folder, photo.name, lambda free: _rename_new(part, free))
    photo.unlink()
    part.unlink(missing_ok=True)
    return place


def _named_copy(part: Path, folder: Path, name: str) -> Path | None:
    """The name that a killed move had already given to its copy: another link to `part`."""
    if not part.exists() or part.stat().st_nlink < 2:
        return None
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - the same cut as in _first_free
    near = (path for path in folder.iterdir() if path.name.startswith(stem))
    return next((path for path in near if path.suffix == suffix and path.samefile(part)), None)


def _fill(part: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill `part`, locked while this run lives, and wait until the disk has it."""
    with part.open("wb") as held:
        with contextlib.suppress(OSError):  # a file system that knows no locks
            _lock(held)
        write(part)
        os.fsync(held.fileno())


@functools.cache  # once in a folder: it may hold 100,000 pictures
def _sweep(folder: Path) -> None:
    """Take away what killed runs have left; on what is being written its writer holds a lock."""
    with os.scandir(folder) as entries:
        parts = [entry.path for entry in entries if _OWN_PART.fullmatch(entry.name)]
    for part in parts:
        with contextlib.suppress(OSError), Path(part).open("rb") as left:
            _lock(left)
            Path(part).unlink()


def _lock(file: IO[bytes]) -> None:
    """Lock an open file, or raise OSError. Windows removes no file that is open anyway."""
    if sys.platform != "win32":
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _first_free(folder: Path, name: str, take: Callable[[Path], None]) -> Path:
    """Take `name`, `name-2`, `name-3` ... whichever is free first.

    `take` claims a name for good, or raises FileExistsError.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a hidden name keeps its dot
    numbered = (f"{stem}-{number}{suffix}" for number in itertools.count(2))
    for place in map(folder.joinpath, itertools.chain([name], numbered)):
        with contextlib.suppress(FileExistsError):
            take(place)
            return place
    raise AssertionError("numbers do not end")


def _rename_new(source: Path, place: Path) -> None:
    """Rename, or raise FileExistsError: the plain call would replace what is there."""
    if sys.platform == "linux" and hasattr(
        library := ctypes.CDLL(None, use_errno=True), "renameat2"
    ):  # glibc 2.28 or musl 1.2.6
        names = os.fsencode(source), os.fsencode(place)
        if not library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE):
            return
        number = ctypes.get_errno()
        if number not in _NO_SUCH_CALL:  # of the file system: NFS, some FUSE mounts
            raise OSError(number, os.strerror(number), str(source), None, str(place))
    if os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    source.rename(place)


def _short(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_NAME_MAX_BYTES])


def _store_error(path: Path, error: OSError) -> PhotoStoreError:
    reason = error.strerror or str(error)
    there = next((folder for folder in path.parents if folder.is_dir()), Path())
    free = shutil.disk_usage(there).free // 1_000_000
    return PhotoStoreError(f"{path}: could not be written ({reason}; {free} MB free there)")
