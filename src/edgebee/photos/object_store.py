"""A data set in an object store: its photos are fetched into the user's cache, and kept there.

A training reads each photo several times (to check it, to learn from it, to convert), and there
is rarely only one training: what has been fetched is not fetched again while the store's size and
time of it are the same. So everything else sees a folder.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgebee.errors import DataError
from edgebee.files import keep_fetched, lock_directory, prepare_directory
from edgebee.photos.hymenoptera import user_cache
from edgebee.photos.layout import is_photo, walk_files
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.store import Address, Listed, PhotoReader, parse_address

__all__ = ["fetch_photos"]

AT_A_TIME = 16
"""A store takes long to answer, but answers many."""

_logger = logging.getLogger("edgebee.photos")


def fetch_photos(
    source: str, *, progress: ProgressCallback = ignore_progress
) -> tuple[Path, Address]:
    """Fetch the photos below an address in a store; what is here already stays.

    Photos that have gone from the store go here, too.

    Args:
        source: `s3://bucket/folder` or `gs://bucket/folder`, perhaps with keys and options.
        progress: called while photos are listed and fetched.

    Returns:
        The folder that now holds them, as they lie in the store; and the address.

    Raises:
        DataError: it is no such address, or there is no photo below it.
        StoreError: the store cannot be reached, or lets nobody in.
        OutputError: the cache cannot be written.
    """
    address, reader = parse_address(source), PhotoReader(source)
    folder = _folder_of(address)
    prepare_directory(folder)
    with lock_directory(folder, wait=True):
        wanted: dict[Path, Listed] = {}
        for listed in reader.walk(address):
            if path := _path_of(folder, address, listed):
                wanted[path] = listed
                if len(wanted) % 1000 == 0:
                    progress(Progress("listing photos", len(wanted), None))
        if not wanted:
            raise DataError(f"{address}: no photos there; check the names of bucket and folder")
        for path in walk_files(folder):
            if path not in wanted:
                path.unlink()
        missing = {path: one for path, one in wanted.items() if not _is_here(path, one)}
        if missing:
            _logger.info("%s: fetching %s photos into %s", address, f"{len(missing):,}", folder)
        for done, _ in enumerate(_fetch(missing, reader), 1):
            progress(Progress("fetching photos", done, len(missing)))
    return folder, address


def _folder_of(address: Address) -> Path:
    """Where an address is kept: of another server, elsewhere."""
    bucket, server = f"{address.scheme}-{address.bucket}", address.options.get("endpoint_override")
    if server:
        bucket += f"-{hashlib.sha256(server.encode()).hexdigest()[:8]}"
    parts = address.key.split("/") if address.key else []
    if not all(map(_is_name, parts)):
        raise DataError(f"{address}: cannot be a folder here; name another folder of the bucket")
    return user_cache().joinpath("stores", bucket, *parts)


def _is_name(part: str) -> bool:
    """Whether a part of a key can be a file's name; none leads out of the folder."""
    return part not in ("", ".", "..") and not set(part) & set("\\:\0")


def _path_of(folder: Path, address: Address, listed: Listed) -> Path | None:
    """Where an object goes; None for what is no photo."""
    parts = listed.path.removeprefix(str(address)).strip("/").split("/")
    if not is_photo(parts[-1]) or any(part.startswith(".") for part in parts):
        return None
    if not all(map(_is_name, parts)):
        _logger.warning("%s: cannot be a file here; left out", listed.path)
        return None
    return folder.joinpath(*parts)


def _is_here(path: Path, listed: Listed) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False
    return (state.st_size, state.st_mtime_ns // 1000) == (listed.size, listed.modified)


def _fetch(missing: dict[Path, Listed], reader: PhotoReader) -> Iterator[None]:
    """Fetch photos, some at a time; few are in memory."""

    def fetch(path: Path, listed: Listed) -> None:
        try:
            content = reader.read(listed.path)
        except OSError as error:
            raise DataError(
                f"{listed.path}: cannot be fetched ({error.strerror or error}); run the same line "
                "again: what has been fetched stays"
            ) from error
        keep_fetched(path, content, modified_us=listed.modified or 0)

    waiting: deque[Future[None]] = deque()
    pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="fetch")
    try:
        for path, listed in missing.items():
            waiting.append(pool.submit(fetch, path, listed))
            if len(waiting) > 2 * AT_A_TIME:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
