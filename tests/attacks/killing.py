"""Kill a process at a random moment, run it again, and compare what lies there then."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Kill", "Target", "attack_target", "run"]

EVENTS = frozenset(
    {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"}
)
"""Of Python's audit events, those around which files appear and vanish."""
NEAR_FILES = 0.8
"""Share of the kills that come with a file event, and up to `LATER_SECONDS` after it."""
LATER_SECONDS = 0.02
CHILD_SECONDS = 1800
"""After which a child is given up; a benchmark on a busy machine takes minutes."""


@dataclass(frozen=True)
class Target:
    """Something that writes files.

    Attributes:
        name: the command.
        prepare: makes what it starts from, in a fresh folder.
        run: does the work in that folder, in a process that may be killed.
        results: what it leaves, as far as it is the same every time; name -> content or hash.
            Raises when something under a final name is not whole.
        hidden: names of hidden files that may be left for the next run.
    """

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    results: Callable[[Path], dict[str, Any]]
    hidden: Sequence[str] = ()


@dataclass(frozen=True)
class Kill:
    """A kill and what came of it."""

    moment: str
    fault: str


def attack_target(
    target: Target, count: int, seed: int = 0, every: Callable[[Kill], object] | None = None
) -> list[Kill]:
    """Kill `target` at `count` moments, each in a fresh folder, and run it again each time."""
    chance = random.Random(f"{target.name} {seed}")
    kills = []
    with tempfile.TemporaryDirectory(prefix="edgebee-kills-") as temporary:
        root = Path(temporary)
        start = root / "start"
        start.mkdir()
        target.prepare(start)
        calm = _copied(start, root / "calm")
        started = time.monotonic()
        events = run(target, calm, None, 0.0)
        seconds = time.monotonic() - started
        expected = target.results(calm)
        for number in range(count):
            folder = _copied(start, root / str(number))
            if chance.random() < NEAR_FILES:
                event, delay = chance.randrange(events), chance.random() * LATER_SECONDS
                delay *= chance.random() < 0.5
                moment = f"{delay * 1e3:.1f} ms after file event {event} of {events}"
            else:
                event, delay = None, chance.random() * seconds
                moment = f"after {delay:.2f} of {seconds:.2f} s"
            fault = _killed_and_again(target, folder, event, delay, expected)
            kills.append(Kill(moment, fault))
            if every:
                every(kills[-1])
            shutil.rmtree(folder)
    return kills


def _copied(start: Path, folder: Path) -> Path:
    return Path(shutil.copytree(start, folder, symlinks=True))


def _killed_and_again(
    target: Target, folder: Path, event: int | None, delay: float, expected: dict[str, Any]
) -> str:
    """Kill one run, look, run again and compare; the fault, or nothing."""
    run(target, folder, event if event is not None else -1, delay)
    try:
        between = target.results(folder)
    except Exception as error:  # noqa: BLE001 - whatever a half-written file does to its reader
        return f"after the kill something is not whole: {error!r}"
    for name, content in between.items():
        if content != expected.get(name, content):
            return f"after the kill {name} is whole and something else"
    try:
        run(target, folder, None, 0.0)
        after = target.results(folder)
    except Exception as error:  # noqa: BLE001
        return f"the next run fails: {error!r}"
    if after != expected:
        different = sorted(n for n in after | expected if after.get(n) != expected.get(n))
        return f"the next run gives something else: {', '.join(different)}"
    hidden = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob(".*")
        if path.name not in target.hidden
    ]
    return f"left behind for good: {', '.join(hidden)}" if hidden else ""


def run(target: Target, folder: Path, event: int | None, delay: float) -> int:
    """Run `target` in a child; kill it `delay` after an event (-1: its start; None: never).

    Returns:
        How many file events there were; 0 when it was killed.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_child(target, folder, event, delay, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return 0
    if status:
        raise RuntimeError(said.strip()[-600:] or f"status {status}")
    return int(said)


def _be_child(
    target: Target, folder: Path, event: int | None, delay: float, writing: int
) -> NoReturn:
    signal.alarm(CHILD_SECONDS)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    count = 0

    def kill_later() -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    def die() -> None:
        if delay:
            threading.Thread(target=kill_later, daemon=True).start()
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if name not in EVENTS or not _concerns(arguments, str(folder)):
            return
        count += 1
        if count - 1 == event:
            die()

    sys.addaudithook(hear)
    if event == -1:
        die()
    status, said = 0, ""
    try:
        os.chdir(folder)
        target.run(folder)
    except BaseException as error:  # noqa: BLE001 - told to the parent
        status, said = 1, repr(error)
    os.write(writing, (said or str(count)).encode())
    os._exit(status)


def _concerns(arguments: tuple[Any, ...], folder: str) -> bool:
    """Whether an event is about a file in the folder, whether it is named in full or not."""
    names = [os.fspath(one) for one in arguments if isinstance(one, (str, os.PathLike))]
    return any(name.startswith(folder) or not name.startswith(os.sep) for name in names)
