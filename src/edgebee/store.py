"""Reading photos from disks and object stores, by path or address, with no secrets in messages.

An address is `s3://bucket/key` or `gs://bucket/key`. What else a store needs (keys, region,
endpoint) comes from the environment, as other programs know it, or stands in the source's address
and nowhere else: paths in manifests and parts, and every message, have it removed.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa
import pyarrow.fs

from edgebee.errors import DataError

__all__ = ["Address", "Listed", "PhotoReader", "StoreError", "is_address", "parse_address"]

_SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs"}
_OPTIONS = {
    "s3": ("anonymous", "endpoint_override", "region", "scheme"),
    "gs": ("anonymous", "endpoint_override", "scheme"),
}
"""What may stand behind `?` in an address, besides the keys before the bucket."""
_CONNECT_TIMEOUT_S = 10
_REQUEST_TIMEOUT_S = 30


class StoreError(DataError):
    """A store that cannot be reached, or lets nobody in: the run ends, and can go on later."""


def is_address(path: str) -> bool:
    """Whether a path is an address in a store, of whatever kind."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


@dataclass(frozen=True)
class Address:
    """A place in an object store. Its `str` and `repr` have no keys."""

    scheme: str
    bucket: str
    key: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """`s3://bucket/key`."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @property
    def path(self) -> str:
        """As pyarrow's file systems take it: `bucket/key`."""
        return f"{self.bucket}/{self.key}" if self.key else self.bucket


def parse_address(text: str) -> Address:
    """Take the address of a source apart, which may have keys and options.

    Raises:
        DataError: it is none, of another kind, or has options that nobody knows. What could be a
            key is not repeated.
    """
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in _SCHEMES:
        raise DataError(f"{scheme}://…: photos are read from folders, s3:// and gs://")
    kind = _SCHEMES[scheme.lower()]
    rest, _, query = rest.partition("?")
    # No bucket's name has a colon; a secret key may have slashes.
    keys = re.match(r"([^/:@]*):([^@]*)@", rest)
    bucket, _, key = rest[keys.end() if keys else 0 :].partition("/")
    if not bucket or ":" in bucket or "@" in bucket:
        raise DataError(f"{kind}://…: not an address; write it as {kind}://bucket/folder")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options.keys() - set(_OPTIONS[kind]):
        known = ", ".join(_OPTIONS[kind])
        raise DataError(f"{kind}://{bucket}: has an unknown option behind `?`; known are {known}")
    user, password = (unquote(keys[1]), unquote(keys[2])) if keys else ("", "")
    return Address(kind, bucket, key.strip("/"), user, password, options)


def _photo_address(path: str) -> Address:
    """The address of a photo, which has neither keys nor options, but any letters.

    Raises:
        OSError: nothing can be read from there.
    """
    scheme, _, rest = path.partition("://")
    if scheme not in _OPTIONS:
        raise OSError("an address of another kind than s3:// and gs://")
    bucket, _, key = rest.partition("/")
    return Address(scheme, bucket, key)


@contextmanager
def _store_errors(address: Address) -> Iterator[None]:
    """Turn what pyarrow says of a store into our error, without what could show a key."""
    try:
        yield
    except (OSError, pa.ArrowException, RuntimeError) as error:
        reason = _reason(error)
        for secret in filter(None, (address.user, address.password)):
            reason = reason.replace(secret, "…")
        remedy = next((text for word, text in _REMEDIES.items() if word in str(error)), _LATER)
        raise StoreError(
            f"{address.scheme}://{address.bucket}: cannot be read ({reason}); {remedy}"
        ) from None


_LATER = "check the network, then run the same line again: it goes on where it stopped"
_CHECK_KEYS = "check the keys, in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws"
_REMEDIES = {
    "INVALID_ACCESS_KEY_ID": _CHECK_KEYS,
    "SIGNATURE_DOES_NOT_MATCH": _CHECK_KEYS,
    "ACCESS_DENIED": _CHECK_KEYS,
    "NO_SUCH_BUCKET": "check its name",
    "OAuth2 access token": "check the network, and the file that GOOGLE_APPLICATION_CREDENTIALS "
    "names; a public bucket needs ?anonymous=true",
}


def _reason(error: BaseException) -> str:
    """`ACCESS_DENIED`, or the first line of what was said."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    code = re.search(r"(?:AWS Error |google::cloud::Status\()(\w+)", text)
    return code[1] if code else text.split("\n")[0][:200]


def _open_filesystem(address: Address) -> Any:
    """Pyarrow's file system for a bucket."""
    endpoint = address.options.get("endpoint_override", "")
    scheme = address.options.get("scheme", "")
    anonymous = address.options.get("anonymous", "").lower() in ("true", "yes", "1")
    if address.scheme == "gs":
        return pyarrow.fs.GcsFileSystem(
            anonymous=anonymous,
            retry_time_limit=timedelta(seconds=_REQUEST_TIMEOUT_S),
            **({"endpoint_override": endpoint} if endpoint else {}),
            **({"scheme": scheme} if scheme else {}),
        )
    # pyarrow does not heed these variables (apache/arrow#49643), which other programs do.
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if not endpoint and url:
        endpoint, scheme = urlsplit(url).netloc, urlsplit(url).scheme
    region = address.options.get("region") or _region(address.bucket, endpoint)
    keys = {"access_key": address.user, "secret_key": address.password} if address.user else {}
    return pyarrow.fs.S3FileSystem(
        **keys,
        anonymous=anonymous,
        region=region,
        endpoint_override=endpoint or None,
        scheme=scheme or None,
        connect_timeout=_CONNECT_TIMEOUT_S,
        request_timeout=_REQUEST_TIMEOUT_S,
    )


def _region(bucket: str, endpoint: str) -> str | None:
    """The region of a bucket at Amazon; other stores take any."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if named or endpoint:
        return named or "us-east-1"
    region: str = pyarrow.fs.resolve_s3_region(bucket)
    return region


@dataclass(frozen=True)
class Listed:
    """A photo that was found."""

    path: str
    """Absolute, or an address without keys and options."""
    size: int | None
    """Bytes; None where that could not be found out."""
    modified: int | None
    """Time of the last change, microseconds since 1970 (UTC)."""


def _read_file(path: str) -> bytes:
    """The content of a file, in as few calls as a slow disk is asked for; OSError for others."""
    # A pipe would be waited for.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        if "\\udc" in path:  # as manifests spell bytes that are no UTF-8
            raise OSError("its name is in no known encoding; rename it") from None
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a file")
        return file.read()


class PhotoReader:
    """Reads photos by their paths. Several threads may share one, and it can be pickled.

    Args:
        source: what the archive is made of; where it is an address, its keys and options serve
            for the photos of its bucket.
    """

    def __init__(self, source: str = "") -> None:
        self._given: tuple[Address, ...] = (parse_address(source),) if is_address(source) else ()
        self._lock = threading.Lock()
        self._filesystems: dict[tuple[str, str], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What travels in a pickle: connections are made again."""
        return {"_given": self._given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As new, for the same source."""
        self.__init__()  # type: ignore[misc]
        self._given = state["_given"]

    def __repr__(self) -> str:
        """Without keys."""
        return f"PhotoReader({', '.join(map(str, self._given))})"

    def read(self, path: str) -> bytes:
        """The content of a photo.

        Raises:
            OSError: it cannot be read.
            StoreError: nothing in its store can.
        """
        if not is_address(path):
            return _read_file(path)
        address = _photo_address(path)
        filesystem = self.filesystem(address)
        try:
            with filesystem.open_input_stream(address.path) as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError as error:
            raise FileNotFoundError(2, "No such object") from error
        except OSError as error:
            self.check(address)
            raise OSError(_reason(error)) from error

    def filesystem(self, address: Address) -> Any:
        """The file system of an address's bucket, connected once.

        Raises:
            StoreError: it cannot be.
        """
        place = address.scheme, address.bucket
        with self._lock:
            if place not in self._filesystems:
                given = next((one for one in self._given if one.bucket == address.bucket), address)
                with _store_errors(address):
                    self._filesystems[place] = _open_filesystem(given)
            return self._filesystems[place]

    def check(self, address: Address) -> None:
        """Ask for the bucket itself, to tell a photo's failure from the store's.

        Raises:
            StoreError: it cannot be reached, lets nobody in, or is not there.
        """
        with _store_errors(address):
            found = self.filesystem(address).get_file_info(address.bucket)
            if found.type == pyarrow.fs.FileType.NotFound:
                raise OSError("NO_SUCH_BUCKET")

    def walk(self, address: Address) -> Iterator[Listed]:
        """Every object below an address, folder by folder.

        Raises:
            StoreError: the store cannot be reached, or lets nobody in; there is no such bucket.
        """
        filesystem = self.filesystem(address)
        everything = pyarrow.fs.FileSelector(address.path, allow_not_found=True)
        with _store_errors(address):
            found = filesystem.get_file_info(everything)
        found.sort(key=lambda info: str(info.path))
        for info in found:
            _, _, key = info.path.partition("/")
            inner = Address(address.scheme, address.bucket, key)
            if info.type == pyarrow.fs.FileType.Directory:
                yield from self.walk(inner)
            elif info.type == pyarrow.fs.FileType.File:
                yield Listed(str(inner), info.size, info.mtime_ns // 1000)

    def stat(self, path: str) -> Listed:
        """Size and time of one photo; None for what cannot be found out.

        Raises:
            StoreError: the store cannot be reached, or lets nobody in.
        """
        if not is_address(path):
            try:
                state = os.stat(path)  # noqa: PTH116 - called a million times
            except (OSError, ValueError):
                return Listed(path, None, None)
            return Listed(path, state.st_size, state.st_mtime_ns // 1000)
        try:
            address = _photo_address(path)
        except OSError:
            return Listed(path, None, None)
        try:
            info = self.filesystem(address).get_file_info(address.path)
        except OSError:
            self.check(address)
            return Listed(str(address), None, None)
        if info.type != pyarrow.fs.FileType.File:
            return Listed(str(address), None, None)
        return Listed(str(address), info.size, info.mtime_ns // 1000)
