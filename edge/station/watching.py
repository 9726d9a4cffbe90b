"""Classifying the photos that arrive in a folder: each once, in order, whatever interrupts."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from edgebee.edge.classify import CSV_HEADER, PhotoError, Prediction
from edgebee.edge.station.watch_store import Arrival, WatchStore

__all__ = ["Result", "watch"]

Result: TypeAlias = Prediction | PhotoError

_log = logging.getLogger("edgebee.edge.station")

POLL_S = 0.5
_BUSY_SHARE = 0.2  # the most of the time that goes into listing a folder
PATIENCE_S = 10.0  # a photo that is unreadable may be one whose copying has stalled
_TAIL_BYTES = 65_536


def watch(
    store: WatchStore,
    classify: Callable[[Path], Prediction],
    *,
    render: Callable[[Path, Result], str],
    before: Callable[[Path, Result], object],
    after: Callable[[Path, Result], bool],
    count: int | None = None,
) -> Iterator[tuple[Path, Result]]:
    """Yield the photos of a folder with their results, as they become whole; never ends.

    A result counts as printed when the next one is asked for. Whatever moment the program is
    killed at, the next run continues with the photo that it was at: `before` and `after` may
    then be called again for it, and its result is yielded again unless it is found at the end
    of the file that standard output goes to.

    Args:
        store: the folder, and what was classified in it.
        classify: classifies a photo, or raises PhotoError.
        render: the line that is printed.
        before: called before a result is yielded.
        after: called when it was printed; returns True when it moved the photo away.
        count: end after so many results; by default never.
    """
    unfinished = [(photo, _from_json(text)) for photo, text in store.unfinished()]
    printed = {photo for photo, result in unfinished if _ends_with(render(photo.path, result))}

    def follow(photo: Arrival, result: Result, *, again: bool) -> Iterator[tuple[Path, Result]]:
        if photo.is_there():
            before(photo.path, result)
        if again:
            yield photo.path, result
        store.finish(photo.path, moved=photo.is_there() and after(photo.path, result))

    def results() -> Iterator[tuple[Path, Result]]:
        for photo, result in unfinished:
            yield from follow(photo, result, again=photo not in printed)
        left = None if count is None else count - len(unfinished) + len(printed)
        if left is not None and left <= 0:
            return
        for photo, result in itertools.islice(_classified(store, classify), left):
            store.begin(photo, _to_json(result))
            yield from follow(photo, result, again=True)

    return results()


def _classified(
    store: WatchStore, classify: Callable[[Path], Prediction]
) -> Iterator[tuple[Arrival, Result]]:
    """Photos and their results; one that is unreadable gets a second chance."""
    tried_once: set[Arrival] = set()
    for photo in _arrivals(store):
        try:
            result: Result = classify(photo.path)
        except PhotoError as error:
            if not photo.path.exists():
                store.forget(photo.path)
                continue
            if photo not in tried_once:
                tried_once.add(photo)
                store.postpone(photo, PATIENCE_S)
                continue
            result = error
        tried_once.discard(photo)
        yield photo, result


def _arrivals(store: WatchStore) -> Iterator[Arrival]:
    """Photos as they become whole; lists the folder at a pace that it can bear."""
    next_scan, gone = time.monotonic(), False
    while True:
        if time.monotonic() >= next_scan:
            started = time.monotonic()
            store.scan()
            took = time.monotonic() - started
            next_scan = started + max(POLL_S, took / _BUSY_SHARE)
            if gone != (not store.folder.is_dir()):
                gone = not gone
                _log.info("%s: %s", store.folder, "gone; waiting for it" if gone else "back")
        found = [] if gone else store.arrivals()
        yield from found
        if not found:
            time.sleep(max(next_scan - time.monotonic(), 0))


def _ends_with(line: str) -> bool:
    """True when standard output is a file whose last line is this one; Linux alone can tell."""
    try:
        output = sys.stdout.fileno()
        if not stat.S_ISREG(os.fstat(output).st_mode):
            return False  # what a pipe has taken is not known
        with Path(f"/proc/self/fd/{output}").open("rb") as written:
            written.seek(max(os.fstat(output).st_size - _TAIL_BYTES, 0))
            tail = re.sub(rb"%b.*\n\Z" % re.escape(CSV_HEADER.encode()), b"", written.read())
        return tail.endswith(line.encode(errors="backslashreplace") + b"\n")
    except (OSError, io.UnsupportedOperation):
        return False


def _to_json(result: Result) -> str:
    fields = {"error": str(result)} if isinstance(result, PhotoError) else result._asdict()
    return json.dumps(fields)


def _from_json(text: str) -> Result:
    fields = json.loads(text)
    return PhotoError(fields["error"]) if "error" in fields else Prediction(**fields)
