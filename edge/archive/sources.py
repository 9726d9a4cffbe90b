"""The photos that a source names: a folder, a list, a Parquet manifest, or an object store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from edgebee.edge.archive.manifest import check_version, is_archive_file
from edgebee.edge.classify import PHOTO_SUFFIXES, find_images
from edgebee.errors import DataError
from edgebee.store import Listed, PhotoReader, is_address, parse_address

__all__ = ["list_photos"]


def list_photos(source: str, reader: PhotoReader) -> Iterator[Listed]:
    """The photos of a source, with size and time.

    Args:
        source: a folder (the photos below it), a text file with a path or address in each line,
            a Parquet file with a column `path` (with `size` and `modified`, photos are not asked
            for theirs), or `s3://bucket/folder`, `gs://bucket/folder`.
        reader: made for this source.

    Raises:
        DataError: it is none of these.
        StoreError: the store cannot be reached, or lets nobody in.
    """
    if is_address(source):
        return _list_store(source, reader)
    path = Path(source)
    if path.is_dir():
        return (reader.stat(_full_path(photo)) for photo in find_images([path]))
    if not path.exists():
        raise DataError(f"{source}: not found; name a folder, a list, a Parquet file or s3://…")
    if path.suffix.lower() == ".parquet":
        return _list_parquet(path, reader)
    return _list_lines(path, reader)


def _list_store(source: str, reader: PhotoReader) -> Iterator[Listed]:
    """The objects that are taken for photos, by the rules for folders."""
    address = parse_address(source)
    found = False
    for listed in reader.walk(address):
        below = listed.path.removeprefix(str(address)).strip("/").split("/")
        hidden = any(name.startswith(".") for name in below)
        if not hidden and listed.path.lower().endswith(PHOTO_SUFFIXES):
            found = True
            yield listed
    if not found:
        reader.check(address)  # perhaps there is no such bucket


def _list_lines(path: Path, reader: PhotoReader) -> Iterator[Listed]:
    """A path or address in each line; relative ones are seen from the list's folder."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                name = line.rstrip("\r\n")
                if "\0" in name:
                    raise DataError(f"{path}: not a list of photos; write one path in each line")
                if name:
                    yield reader.stat(_absolute(name, path, number))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(
            f"{path}: cannot be read as a list of photos ({reason}); write one path in each line"
        ) from error


def _list_parquet(path: Path, reader: PhotoReader) -> Iterator[Listed]:
    """The rows of a Parquet file with a column `path`."""
    try:
        with pq.ParquetFile(path) as file:
            if is_archive_file(file.schema_arrow.metadata):
                check_version(path, file.schema_arrow.metadata)
            names = file.schema_arrow.names
            if "path" not in names:
                raise DataError(f"{path}: has no column `path`, only {', '.join(names[:8])}")
            columns = [name for name in ("path", "size", "modified") if name in names]
            for batch in file.iter_batches(columns=columns):
                yield from _list_batch(batch, path, reader)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: damaged, or not Parquet ({str(error).splitlines()[0]}); write it again"
        ) from error


def _list_batch(batch: pa.RecordBatch, manifest: Path, reader: PhotoReader) -> Iterator[Listed]:
    names = [_absolute(name, manifest, 0) for name in batch["path"].cast(pa.string()).to_pylist()]
    if "size" not in batch.schema.names or "modified" not in batch.schema.names:
        yield from map(reader.stat, names)
        return
    microseconds = batch["modified"].cast(pa.timestamp("us", tz="UTC"), safe=False)
    times = microseconds.cast(pa.int64()).to_pylist()
    sizes = batch["size"].cast(pa.int64()).to_pylist()
    for name, size, time in zip(names, sizes, times, strict=True):
        yield reader.stat(name) if size is None or time is None else Listed(name, size, time)


def _absolute(name: str | None, beside: Path, line: int) -> str:
    """A path that a list names, seen from the list's folder; addresses as they are."""
    if not name:
        raise DataError(f"{beside}: has a row without a path; leave it out")
    if is_address(name):
        if "@" in name.partition("://")[2].partition("/")[0]:
            where = f" in line {line}" if line else ""
            raise DataError(
                f"{beside}: has an address with keys{where}; leave them out, and put them into "
                "the environment"
            )
        return name
    return _full_path(beside.parent / name)


def _full_path(path: Path) -> str:
    """Links are not followed: a photo is called as it is found."""
    return os.path.abspath(path)  # noqa: PTH100
