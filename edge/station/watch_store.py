"""A folder that photos arrive in: which are new, which are whole, which have been classified.

It is kept in a small SQLite file, so that a program killed at any moment goes on where it
was, and 100,000 photos take disk, not memory. A photo is known by its path below the
folder, its size and its time of change: the same name with new content is a new photo.

A photo is *whole* when its size and time have not changed for a while and, where the file
system can tell, nobody has it open for writing. Folders are listed again and again, not
listened to: notices of changes do not travel over network mounts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import math
import os
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgebee.edge.classify import PHOTO_SUFFIXES, EdgebeeError

__all__ = ["Arrival", "WatchError", "WatchStore", "default_state_file", "is_being_written"]

_log = logging.getLogger("edgebee.edge.station")

SETTLE_S = 1.0  # unchanged for so long, a photo is taken for whole
_NOT_YET = math.inf  # stable since no time that has come
_RELIST_S = 10.0  # a folder whose own time has not changed is still listed this often
_SCHEMA = """
create table if not exists photo (
    path blob primary key, size integer not null, changed_ns integer not null,
    stable_since real not null, answered integer not null default 0
) without rowid;
create index if not exists waiting on photo (changed_ns, path) where not answered;
create table if not exists model (name text not null, fingerprint text not null);
create table if not exists unfinished (
    path blob primary key, size integer not null, changed_ns integer not null, answer text not null
);
"""
_NOTE = """
insert into photo (path, size, changed_ns, stable_since) values (?, ?, ?, ?)
on conflict (path) do update set size = excluded.size, changed_ns = excluded.changed_ns,
    stable_since = excluded.stable_since, answered = 0
    where size != excluded.size or changed_ns != excluded.changed_ns
"""
_WAITING = """
select path, size, changed_ns from photo
where not answered and stable_since <= ? order by changed_ns, path limit ?
"""
_SEEN_UNTIL_NOW = "update photo set stable_since = ? where not answered and stable_since = ?"
_UNFINISHED = "select path, size, changed_ns, answer from unfinished"


class WatchError(EdgebeeError):
    """A folder, or the record of what was classified in it, that cannot be used."""


@dataclass(frozen=True)
class Arrival:
    """A photo that is whole and waits to be classified."""

    path: Path
    size: int
    changed_ns: int

    def is_there(self) -> bool:
        """True while it is what it was: not moved away, not written over."""
        try:
            state = self.path.stat()
        except OSError:
            return False
        return (state.st_size, state.st_mtime_ns) == (self.size, self.changed_ns)


@dataclass(frozen=True)
class _Listing:
    own_ns: int  # the folder's own time of change
    listed_s: float
    subfolders: tuple[str, ...]


def default_state_file(folder: Path) -> Path:
    """Where it is kept what was classified in `folder`: one file for each folder of a user."""
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:  # Python finds no home folder
        remedy = "name a file with --state"
        raise WatchError(f"no home folder is known to remember photos in; {remedy}") from error
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return Path(base, "edgebee", f"watch-{name}.sqlite")


def is_being_written(path: Path) -> bool:
    """True when somebody has the file open for writing.

    Linux tells by refusing a read lease (fcntl(2), F_SETLEASE). False where it cannot tell:
    on network mounts, of other users' files, and on other systems.
    """
    if sys.platform != "linux":
        return False
    try:
        import fcntl
    except ImportError:
        return False

    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


class WatchStore:
    """The photos in a folder and those below it, in the order in which they changed.

    Args:
        folder: the folder to watch.
        state_file: where to keep what was classified; made if it is not there.
        without: folders below it that are not listed (where photos are moved to).
        model: the model that classifies them, as (name, fingerprint).
        settle_s: how long a photo has to be unchanged.

    Raises:
        WatchError: no such folder, another program is at it, or the state cannot be kept;
            so do all methods, for the last reason.
    """

    def __init__(
        self,
        folder: Path,
        state_file: Path,
        *,
        without: Collection[Path] = (),
        model: tuple[str, str] | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        if not folder.is_dir():
            raise WatchError(f"{folder}: no such folder to watch; make it, or correct its name")
        self.folder, self.state_file, self.settle_s = folder, state_file, settle_s
        self._without = {os.path.realpath(path) for path in without}
        self._listings: dict[str, _Listing] = {}
        # A lease on a file that somebody opens for writing right then ends with a signal.
        if sys.platform == "linux":
            signal.signal(signal.SIGIO, signal.SIG_IGN)
        self._state = self._claim()
        with self._transaction():
            # A kill loses nothing; a power cut may lose the last results, never the file.
            self._state.execute("pragma journal_mode = wal")
            self._state.execute("pragma synchronous = normal")
            self._state.executescript(_SCHEMA)
            # Times of stability are of a clock that starts again with the machine.
            now = time.monotonic()
            self._state.execute("update photo set stable_since = ? where not answered", [now])
            if model:
                self._note_model(*model)

    def close(self) -> None:
        """Let another program watch the folder."""
        self._state.close()

    def unfinished(self) -> list[tuple[Arrival, str]]:
        """What `begin` was called for and `finish` was not, with its result: at most one photo."""
        with self._transaction():
            rows = self._state.execute(_UNFINISHED).fetchall()
        return [(Arrival(self._path(key), *state), text) for key, *state, text in rows]

    def scan(self) -> None:
        """List the folder and note what is new or has changed."""
        with self._transaction():
            self._state.executemany(_NOTE, self._photos())
            # All of one scan wait from its end, so that those of one folder are not classified
            # before older ones of another, which was listed a moment later.
            self._state.execute(_SEEN_UNTIL_NOW, [time.monotonic(), _NOT_YET])

    def arrivals(self, most: int = 64) -> list[Arrival]:
        """Photos that are whole, the first changed first, so many at a time.

        One that is still being written holds up none of the others.
        """
        with self._transaction():
            settled = time.monotonic() - self.settle_s
            rows = self._state.execute(_WAITING, [settled, most]).fetchall()
        found = (Arrival(self._path(key), *state) for key, *state in rows)
        return [arrival for arrival in found if self._is_whole(arrival)]

    def postpone(self, arrival: Arrival, seconds: float) -> None:
        """Leave a photo alone for a while."""
        until = time.monotonic() + seconds - self.settle_s
        with self._transaction():
            self._state.execute(
                "update photo set stable_since = ? where path = ?", [until, self._key(arrival.path)]
            )

    def forget(self, path: Path) -> None:
        """Drop a photo that went away before it was classified."""
        with self._transaction():
            self._state.execute("delete from photo where path = ?", [self._key(path)])

    def begin(self, arrival: Arrival, result: str) -> None:
        """Note the result of a photo, before it is printed."""
        key = self._key(arrival.path)
        with self._transaction():
            self._state.execute(
                "update photo set answered = 1 where path = ? and size = ? and changed_ns = ?",
                [key, arrival.size, arrival.changed_ns],
            )
            self._state.execute(
                "insert or replace into unfinished values (?, ?, ?, ?)",
                [key, arrival.size, arrival.changed_ns, result],
            )

    def finish(self, path: Path, *, moved: bool = False) -> None:
        """Note that a result was printed, and all that follows from it done."""
        key = self._key(path)
        with self._transaction():
            self._state.execute("delete from unfinished where path = ?", [key])
            if moved:
                self._state.execute("delete from photo where path = ? and answered", [key])

    def _note_model(self, name: str, fingerprint: str) -> None:
        """Log when photos were classified here before by another model, and note this one."""
        earlier = self._state.execute("select name, fingerprint from model").fetchone()
        query = "select count(*) from photo where answered"
        count = self._state.execute(query).fetchone()[0]
        if earlier and earlier[1] != fingerprint and count:
            _log.warning(
                "%s: %s classified before by another model, %s, and will not be classified again; "
                "to do so, name a new file with --state",
                self.folder,
                "1 photo was" if count == 1 else f"{count} photos were",
                earlier[0],
            )
        self._state.execute("delete from model")
        self._state.execute("insert into model values (?, ?)", [name, fingerprint])

    # ------------------------------------------------------------ scanning
    def _photos(self) -> Iterator[tuple[bytes, int, int, float]]:
        """What `_NOTE` takes, of the photos in the folders that are worth listing."""
        folders = [os.fspath(self.folder)]
        while folders:
            folder = folders.pop()
            now = time.monotonic()
            try:
                own_ns = Path(folder).stat().st_mtime_ns
                known = self._listings.get(folder)
                if known and known.own_ns == own_ns and now - known.listed_s < _RELIST_S:
                    folders += known.subfolders
                    continue
                subfolders: list[str] = []
                with os.scandir(folder) as entries:
                    yield from self._note_entries(entries, subfolders)
            except OSError:  # it went away, or may not be read; perhaps it comes back
                self._listings.pop(folder, None)
            else:
                self._listings[folder] = _Listing(own_ns, now, tuple(subfolders))
                folders += subfolders

    def _note_entries(
        self, entries: Iterable[os.DirEntry[str]], subfolders: list[str]
    ) -> Iterator[tuple[bytes, int, int, float]]:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if os.path.realpath(entry.path) not in self._without:
                    subfolders.append(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122
                with contextlib.suppress(OSError):  # gone again
                    state = entry.stat()
                    if stat.S_ISREG(state.st_mode) and state.st_size:
                        yield (
                            self._key(Path(entry.path)),
                            state.st_size,
                            state.st_mtime_ns,
                            _NOT_YET,
                        )

    def _is_whole(self, arrival: Arrival) -> bool:
        """Check a photo once more; one that has changed starts to wait again."""
        try:
            state = arrival.path.stat()
            size, changed_ns = state.st_size, state.st_mtime_ns
            if (size, changed_ns) == (arrival.size, arrival.changed_ns):
                if not is_being_written(arrival.path):
                    return True
                self.postpone(arrival, self.settle_s)
                return False
        except FileNotFoundError:
            if self.folder.is_dir():  # else all of it went away, and may come back
                self.forget(arrival.path)
            return False
        except OSError:  # no permission, say: reading it will say
            return True
        note = self._key(arrival.path), size, changed_ns, time.monotonic()
        with self._transaction():
            self._state.execute(_NOTE, note)
        return False

    # ------------------------------------------------------------ the record
    def _key(self, path: Path) -> bytes:
        return os.fsencode(path.relative_to(self.folder))

    def _path(self, key: bytes) -> Path:
        return self.folder / os.fsdecode(key)

    def _claim(self) -> sqlite3.Connection:
        """Open the record for this program alone: SQLite holds its lock until it is closed."""
        try:
            self.state_file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error.strerror) from error
        try:
            state = sqlite3.connect(self.state_file, timeout=0)
            state.execute("pragma locking_mode = exclusive")
            state.execute("begin exclusive")
            state.commit()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                who = "is being watched by another edgebee; stop that one first"
                raise WatchError(f"{self.folder}: {who}") from error
            raise self._unwritable(str(error)) from error
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        return state

    def _unwritable(self, reason: str | None) -> WatchError:
        remedy = "name another file with --state"
        return WatchError(f"{self.state_file}: cannot be written ({reason}); {remedy}")

    def _damaged(self, error: sqlite3.Error) -> WatchError:
        remedy = "make room, or move it away: then all photos there are classified again"
        return WatchError(f"{self.state_file}: {error}; {remedy}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Keep all that is changed within, or nothing; what fails is said in one line."""
        try:
            with self._state:
                yield
        except sqlite3.Error as error:
            raise self._damaged(error) from error
