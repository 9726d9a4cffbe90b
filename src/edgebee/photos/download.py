"""Fetch one file of known length and hash over a web that breaks off, stalls and lies.

What arrives is kept beside the file until it is whole, so that a connection that breaks, a run
that is killed and a machine that is switched off cost only what had not arrived yet. What is
not the file, by its length or its hash, is not kept.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FetchError", "WebFile", "fetch"]

CHUNK_BYTES = 1 << 16
TRIES = 3
"""So often in a row without getting on."""
MOST_TRIES = 20
"""In all."""
SLOWEST_BYTES_PER_S = 1000
"""A server below it for the whole timeout counts as silent, and a try that brings less than it
would bring in that time has not got on: 47 MB would take half a day."""
WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that say "not now" (RFC 9110, RFC 6585) rather than "no"."""
_WRONG_PART = "what had arrived belongs to something else"


class FetchError(Exception):
    """The file could not be fetched; the message is the reason, in a few words."""


class _BrokenOffError(FetchError):
    """The same request may well succeed in a moment."""


class _WrongPartError(FetchError):
    """What had arrived before does not belong to the file there."""


@dataclass(frozen=True)
class WebFile:
    """A file on the web, and how to know that it is the right one.

    Attributes:
        url: where it is; `http` or `https`.
        size_bytes: its length.
        sha256: its SHA-256, 64 hexadecimal digits.
    """

    url: str
    size_bytes: int
    sha256: str


def fetch(
    file: WebFile,
    path: Path,
    *,
    timeout_s: float = 30.0,
    pause_s: float = 1.0,
    say: Callable[[str], object] = lambda line: None,
) -> None:
    """Download `file` to `path`, going on where an earlier run was broken off.

    What is there of it lies in `path` with `.part` behind. Shows a progress bar when standard
    error is a terminal.

    Args:
        file: what to fetch.
        path: where to put it; appears whole or not at all.
        timeout_s: seconds of silence after which a server counts as not answering.
        pause_s: seconds before the second try; doubled before each further one.
        say: takes a line when a try failed and another follows.

    Raises:
        FetchError: it could not be fetched, or what is there is something else.
        OSError: it could not be written.
    """
    part = path.with_name(f"{path.name}.part")
    failures = 0
    for _ in range(MOST_TRIES):
        before = _length(part)
        try:
            _go_on(file, part, before, timeout_s)
            _check(file, part, resumed=before > 0)
            part.replace(path)
            return
        except _WrongPartError as error:
            part.unlink()
            say(f"{path}: {error}; fetching it from the start")
        except _BrokenOffError as error:
            got_on = _length(part) - before > SLOWEST_BYTES_PER_S * timeout_s
            failures = 1 if got_on else failures + 1
            if failures >= TRIES:
                raise FetchError(str(error)) from error
            pause = pause_s * 2 ** (failures - 1)
            say(f"{file.url}: {error}; trying again in {pause:g} s")
            time.sleep(pause)
        except FetchError:
            if not before:  # a login page says nothing about what came before it
                part.unlink(missing_ok=True)
            raise
        except OSError:  # not of the network: the disk is full
            part.unlink(missing_ok=True)
            raise
    raise FetchError(f"the connection ended early {MOST_TRIES} times")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _check(file: WebFile, part: Path, *, resumed: bool) -> None:
    """Hold the whole of it to the known length and hash."""
    if hashlib.sha256(part.read_bytes()).hexdigest() == file.sha256:
        return
    if resumed:
        raise _WrongPartError(_WRONG_PART)
    raise FetchError("its SHA-256 is not the known one")


def _go_on(file: WebFile, part: Path, start: int, timeout_s: float) -> None:
    """Add what is missing to `part`, with one request."""
    if start > file.size_bytes:
        raise _WrongPartError(_WRONG_PART)
    if start == file.size_bytes:
        return
    response = _ask(file.url, start, timeout_s)
    with response:
        start = _start_of(response, start, file.size_bytes)
        with part.open("r+b" if start else "wb") as target:
            target.seek(start)
            target.truncate()
            _copy(response, target, file, start, timeout_s)
    if (got := _length(part)) != file.size_bytes:
        if response.headers.get("Content-Length") is None:
            raise FetchError(f"it has {got:,} bytes, not {file.size_bytes:,}")
        raise _BrokenOffError("the connection ended early")


def _ask(url: str, start: int, timeout_s: float) -> Any:
    """Send the request; return the response, whose body has not been read."""
    headers = {"User-Agent": "edgebee", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        return urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if start and error.code == 416:  # the server's file is shorter than what is here
            raise _WrongPartError(_WRONG_PART) from error
        kind = _BrokenOffError if error.code in WORTH_ANOTHER_TRY else FetchError
        reason = str(error.reason).split("\n", 1)[0].strip()
        raise kind(f"HTTP status {error.code} {reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _network_error(error, timeout_s) from error


def _start_of(response: Any, start: int, size_bytes: int) -> int:
    """Where in the file the body begins; refuses what cannot be the file."""
    headers = response.headers
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise FetchError("a web page came instead; does this network want a login first?")
    if response.status != 206:  # the server does not resume
        start = 0
    elif not (headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
        raise _WrongPartError("the server sent another part than it was asked for")
    length = headers.get("Content-Length") or ""
    if length.isdecimal() and start + int(length) != size_bytes:
        raise FetchError(f"it has {start + int(length):,} bytes, not {size_bytes:,}")
    return start


def _copy(response: Any, target: Any, file: WebFile, start: int, timeout_s: float) -> None:
    """Copy the body to the open file `target`, and not a byte more than there should be."""
    from tqdm import tqdm

    name = file.url.rpartition("/")[2].removesuffix(".zip")
    # disable=None: a bar when standard error is a terminal, nothing otherwise.
    bar = tqdm(
        total=file.size_bytes, initial=start, desc=name, disable=None, unit="B", unit_scale=True,
        unit_divisor=1024,
    )  # fmt: skip
    left, since, recent = file.size_bytes - start, time.monotonic(), 0
    with bar:
        while True:
            try:
                chunk = response.read1(CHUNK_BYTES)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise _network_error(error, timeout_s) from error
            if not chunk:
                break
            left -= len(chunk)
            if left < 0:
                raise FetchError("it is longer than it should be")
            target.write(chunk)
            bar.update(len(chunk))
            recent += len(chunk)
            if (seconds := time.monotonic() - since) > timeout_s:
                if recent < SLOWEST_BYTES_PER_S * seconds:
                    raise _BrokenOffError(f"only {recent:,} bytes in {seconds:.0f} s")
                since, recent = time.monotonic(), 0
        target.flush()
        os.fsync(target.fileno())


def _network_error(error: BaseException, timeout_s: float) -> FetchError:
    """What is at the bottom of an exception of the network, in a few words."""
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.error.URLError) and isinstance(reason, BaseException):
        error = reason
    if isinstance(error, TimeoutError):
        return _BrokenOffError(f"no answer for {timeout_s:g} s")
    if isinstance(error, http.client.IncompleteRead):
        return _BrokenOffError("the connection ended early")
    if isinstance(error, http.client.RemoteDisconnected):
        return _BrokenOffError("the server hung up without an answer")
    if isinstance(error, OSError):
        return _BrokenOffError(
            getattr(error, "verify_message", None) or error.strerror or str(error)
        )
    return FetchError(f"no sensible answer: {type(error).__name__}")
