"""The default data set: ants and bees, found on this machine or downloaded once.

The 398 files of PyTorch's transfer-learning tutorial: 124 + 121 training files and 70 + 83
for validation. One of the "ants" is a placeholder, so 397 of them are photos.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgebee.errors import DataError, DownloadError
from edgebee.files import atomic_directory, remove_stale_lock
from edgebee.photos.download import download_file
from edgebee.photos.layout import is_photo
from edgebee.progress import ProgressCallback, ignore_progress

__all__ = [
    "CACHE_VARIABLE",
    "DATA_VARIABLE",
    "HYMENOPTERA",
    "PLACEHOLDER",
    "Archive",
    "find_hymenoptera",
    "user_cache",
]

DATA_VARIABLE = "EDGEBEE_DATA"
"""The environment variable that names the folder `hymenoptera_data` lies in."""

CACHE_VARIABLE = "EDGEBEE_CACHE"
"""The environment variable that names the cache folder, instead of the system's usual one."""

PLACEHOLDER = "train/ants/imageNotFound.gif"
"""What Flickr sent in place of a deleted photo: grey, with writing on it, and no ant."""

REMEDY = (
    "use your own photos with --data DIR or the drawn ones with --data sample, or name the folder "
    f"that holds hymenoptera_data in {DATA_VARIABLE}"
)

_logger = logging.getLogger("edgebee.photos")


@dataclass(frozen=True)
class Archive:
    """A zip of photos on the web, and how to know that it is the right one.

    Attributes:
        url: where it is fetched from.
        size_bytes: its length.
        sha256: its SHA-256, 64 hexadecimal digits.
        folder: the one folder at its top, also the name under which it is kept.
        classes: the class folders in it.
    """

    url: str = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
    size_bytes: int = 47_286_322
    sha256: str = "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209"
    folder: str = "hymenoptera_data"
    classes: tuple[str, ...] = ("train/ants", "train/bees", "val/ants", "val/bees")


HYMENOPTERA = Archive()


def find_hymenoptera(
    archive: Archive = HYMENOPTERA,
    *,
    timeout_s: float = 30.0,
    progress: ProgressCallback = ignore_progress,
) -> Path:
    """Return the folder of ants and bees, which holds `train/` and `val/`.

    Looks in the folder that the environment variable `EDGEBEE_DATA` names (the folder that
    holds `hymenoptera_data`, or that folder itself), then in the user's cache folder, and
    downloads it there if it is in neither.

    Args:
        archive: what to look for and to download.
        timeout_s: seconds of silence after which a server counts as not answering.
        progress: called with the megabytes that have arrived.

    Raises:
        DataError: a folder cannot be read, or nobody knows where to put it.
        DownloadError: it is nowhere and could not be downloaded.
    """
    cached = user_cache() / archive.folder
    named = os.environ.get(DATA_VARIABLE)
    candidates = [Path(named) / archive.folder, Path(named), cached] if named else [cached]
    for folder in candidates:
        if _holds(folder, archive):
            if folder == cached:
                remove_stale_lock(cached.parent)
            return folder.resolve()
    if named:
        _logger.info(
            "%s=%s holds no %s; downloading it to %s", DATA_VARIABLE, named, archive.folder, cached
        )
    _download(archive, cached, timeout_s, progress)
    return cached


def user_cache() -> Path:
    """Return the folder for what can be made or downloaded again.

    It is what the environment variable `EDGEBEE_CACHE` names, or else the system's usual one
    (`~/.cache/edgebee` on Linux).

    Raises:
        DataError: nobody knows where: there is neither that variable nor a home folder.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).absolute()
    import platformdirs

    with contextlib.suppress(RuntimeError):  # no home folder is known
        folder = Path(platformdirs.user_cache_path("edgebee"))
        if folder.is_absolute():  # older platformdirs leave "~" as it is
            return folder
    raise DataError(
        f"no home folder is known to keep downloads and drawings in; set {CACHE_VARIABLE} to "
        "a folder that can be written"
    )


def _holds(folder: Path, archive: Archive) -> bool:
    """Return whether `folder` is this data set, by its name or its folders."""
    try:
        return (folder.is_dir() and folder.name == archive.folder) or all(
            (folder / name).is_dir() for name in archive.classes
        )
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror}); check its permissions or {DATA_VARIABLE}"
        ) from error


def _download(archive: Archive, target: Path, timeout_s: float, progress: ProgressCallback) -> None:
    """Download and unpack `archive` to the folder `target`, whole or not at all."""
    try:
        with atomic_directory(target) as part:
            if part is None:  # another process has just downloaded it
                return
            # Below what is being made: the next run removes what a killed one leaves there.
            with tempfile.TemporaryDirectory(dir=part) as folder:
                packed = download_file(
                    archive.url,
                    Path(folder),
                    size_bytes=archive.size_bytes,
                    sha256=archive.sha256,
                    timeout_s=timeout_s,
                    progress=progress,
                )
                _unpack(archive, packed, part)
    except DownloadError as error:
        raise DownloadError(
            f"{archive.url}: could not be downloaded ({error}); {REMEDY}"
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{target}: cannot be written ({error.strerror or error}); make room there, set "
            f"{CACHE_VARIABLE} to another folder, or {REMEDY}"
        ) from error


def _unpack(archive: Archive, path: Path, folder: Path) -> None:
    """Unpack the photos of the zip file `path` into `folder`.

    Its hash says that it is the published one, so that nothing in it is doubted. Only photos in
    the class folders are kept; the rest (`.DS_Store`, `__MACOSX`) is not.
    """
    wanted = {f"{archive.folder}/{name}" for name in archive.classes}
    with zipfile.ZipFile(path) as packed:
        for entry in packed.namelist():
            name = PurePosixPath(entry)
            if is_photo(name.name) and str(name.parent) in wanted:
                target = folder / name.relative_to(archive.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(packed.read(entry))
