"""Answering the photos that arrive in a folder: each once, in order, whatever interrupts."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
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
_BUSY_SHARE = 0.2  # the most of the time that goes into looking at a folder
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
    """The photos of a folder with their answers, for ever, as they become whole.

    Each is taken for told when the next one is asked for. Whatever moment the program is
    killed at, the next one goes on with the photo that it was at: `before` and
    `after` may then be called again for it, and its answer is told again unless it can be
    seen at the end of the file that standard output goes to.

    Args:
        store: the folder, and what was classified in it.
        classify: gives the answer for a photo, or raises PhotoError.
        render: the line that is told.
        before: called before an answer is told.
        after: called when it was told; returns True when it moved the photo away.
        count: end after so many answers; by default never.
    """
    unfinished = [(one.photo, _from_json(one.answer)) for one in store.unfinished()]
    seen = {photo for photo, told in unfinished if _ends_with(render(photo.path, told))}

    def follow(photo: Arrival, told: Result, *, tell: bool) -> Iterator[tuple[Path, Result]]:
        if photo.is_there():
            before(photo.path, told)
        if tell:
            yield photo.path, told
        store.finish(photo.path, moved=photo.is_there() and after(photo.path, told))

    def answers() -> Iterator[tuple[Path, Result]]:
        for photo, told in unfinished:
            yield from follow(photo, told, tell=photo not in seen)
        left = None if count is None else count - len(unfinished) + len(seen)
        if left is not None and left <= 0:
            return
        for photo, told in itertools.islice(_classified(store, classify), left):
            store.begin(photo, _to_json(told))
            yield from follow(photo, told, tell=True)

    return answers()


def _classified(
    store: WatchStore, classify: Callable[[Path], Prediction]
) -> Iterator[tuple[Arrival, Result]]:
    """Photos and their answers; one that is unreadable gets a second chance."""
    doubted: set[Arrival] = set()
    for photo in _arrivals(store):
        try:
            told: Result = classify(photo.path)
        except PhotoError as error:
            if not photo.path.exists():
                store.forget(photo.path)
                continue
            if photo not in doubted:
                doubted.add(photo)
                store.postpone(photo, PATIENCE_S)
                continue
            told = error
        doubted.discard(photo)
        yield photo, told


def _arrivals(store: WatchStore) -> Iterator[Arrival]:
    """Photos as they become whole; looks at the folder at a pace that it can bear."""
    next_look, gone = time.monotonic(), False
    while True:
        if time.monotonic() >= next_look:
            started = time.monotonic()
            store.scan()
            took = time.monotonic() - started
            next_look = started + max(POLL_S, took / _BUSY_SHARE)
            if gone != (not store.folder.is_dir()):
                gone = not gone
                _log.info("%s: %s", store.folder, "gone; waiting for it" if gone else "back")
        found = [] if gone else store.arrivals()
        yield from found
        if not found:
            time.sleep(max(next_look - time.monotonic(), 0))


def _ends_with(line: str) -> bool:
    """True when standard output is a file whose last line is this one."""
    try:
        output = sys.stdout.fileno()
        if not stat.S_ISREG(os.fstat(output).st_mode):
            return False  # a pipe does not tell
        with Path(f"/proc/self/fd/{output}").open("rb") as written:
            written.seek(max(os.fstat(output).st_size - _TAIL_BYTES, 0))
            tail = written.read().removesuffix(f"{CSV_HEADER}\n".encode())
        return tail.endswith(line.encode(errors="backslashreplace") + b"\n")
    except (OSError, io.UnsupportedOperation):
        return False


def _to_json(told: Result) -> str:
    said = {"error": str(told)} if isinstance(told, PhotoError) else told._asdict()
    return json.dumps(said)


def _from_json(text: str) -> Result:
    said = json.loads(text)
    return PhotoError(said["error"]) if "error" in said else Prediction(**said)
