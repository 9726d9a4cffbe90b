"""Kill edgebee at random moments, most of them around the writing of files, and run it again.

    python tests/attacks/kills.py --count 200

`train`, `convert`, `benchmark`, the drawing of the sample and the download are ended by
SIGKILL, then run to their end. Afterwards no file under a final name is half written, nothing
of the killed run is left, and the results are those of a run that was left in peace. Exit
status 1 when not. The same seed gives the same moments, as far as a clock allows.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image

__all__ = ["TARGETS", "Kill", "Target", "attack_target", "download_target", "prepare_converted"]

SETTINGS: dict[str, Any] = {
    "epochs": 2, "fine_tune_epochs": 1, "image_size": 32, "views": 2,
}  # fmt: skip
EVENTS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"})
"""Of Python's audit events, those around which files appear and vanish."""
NEAR_FILES = 0.8
"""Share of the kills that come with a file event, and up to `LATER_SECONDS` after it."""
LATER_SECONDS = 0.02
CHILD_SECONDS = 300


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


# ---------------------------------------------------------------------------- killing


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
        events = _run(target, calm, None, 0.0)
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
    _run(target, folder, event if event is not None else -1, delay)
    try:
        between = target.results(folder)
    except Exception as error:  # noqa: BLE001 - whatever a half-written file does to its reader
        return f"after the kill something is not whole: {error!r}"
    for name, content in between.items():
        if content != expected.get(name, content):
            return f"after the kill {name} is whole and something else"
    try:
        _run(target, folder, None, 0.0)
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


def _run(target: Target, folder: Path, event: int | None, delay: float) -> int:
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


# ---------------------------------------------------------------------------- targets


def _photos(folder: Path) -> None:
    for label, tint in (("ants", (120, 60, 30)), ("bees", (200, 170, 40))):
        for number in range(8):
            chance = np.random.default_rng([number, tint[0]])
            noise = chance.integers(0, 60, (6, 8, 3)) + np.array(tint)
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).resize((64, 48))
            path = folder / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)


def _train(folder: Path) -> None:
    from edgebee.commands import train
    from edgebee.train.recipe import Recipe

    train.run("photos", Path("out"), Recipe(**SETTINGS))


def prepare_trained(folder: Path) -> None:
    """A trained model to start from, made in a child: nothing of TensorFlow stays here."""
    _photos(folder)
    _run(Target("", _photos, _train, lambda _: {}), folder, None, 0.0)


def _convert(folder: Path) -> None:
    from edgebee.commands import convert

    convert.run(Path("out/model.keras"), ("float32", "int8"), samples=8)


def prepare_converted(folder: Path) -> None:
    """Photos, a small trained model and what it converts to, in `folder`."""
    prepare_trained(folder)
    _run(Target("", _photos, _convert, lambda _: {}), folder, None, 0.0)


def _benchmark(folder: Path) -> None:
    from edgebee.commands import benchmark

    benchmark.run(Path("out"))


def _artifacts(folder: Path) -> dict[str, Any]:
    """What lies in `out/`, each file read in full, without times and places."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("out/[!.]*")):
        found[path.name] = _read_artifact(path)
    return found


def _read_artifact(path: Path) -> Any:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            import h5py

            weights: dict[str, str] = {}

            def note(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    weights[name] = hashlib.sha256(np.asarray(item).tobytes()).hexdigest()

            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                file.visititems(note)
            return weights
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        return sorted(content) if path.name == "benchmark.json" else content["validation"]
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
        return "whole"
    if path.suffix == ".tflite":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return path.read_bytes() if path.suffix == ".txt" else "there"


def _sample(folder: Path) -> None:
    from edgebee.train.dataset import sample_folder

    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    sample_folder()


def _cached(folder: Path) -> dict[str, Any]:
    """Every file in a folder of the cache that has its final name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in folder.glob("cache/edgebee/[!.]*")
        for path in sorted(top.rglob("*.*"))
    } | {top.name: len(list(top.rglob("*.*"))) for top in folder.glob("cache/edgebee/[!.]*")}


class _Zip(BaseHTTPRequestHandler):
    """A server of one zip of photos, slow enough to be killed on the way."""

    body = b""

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            end = len(self.body) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{end + 1}")
        self.send_header("Content-Length", str(len(self.body) - start))
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever was killed has hung up
            for place in range(start, len(self.body), 8192):
                self.wfile.write(self.body[place : place + 8192])
                time.sleep(0.002)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def download_target() -> Iterator[Target]:
    """The download, while there is a server for it."""
    counts = (("train/ants", 12), ("train/bees", 12), ("val/ants", 6), ("val/bees", 6))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for place, (name, number) in enumerate(counts):
            for photo in range(number):
                noise = np.random.default_rng([place, photo]).integers(0, 256, (48, 64, 3))
                jpeg = io.BytesIO()
                Image.fromarray(noise.astype(np.uint8)).save(jpeg, "JPEG")
                archive.writestr(f"hymenoptera_data/{name}/{photo}.jpg", jpeg.getvalue())
    _Zip.body = file.getvalue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Zip)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/hymenoptera_data.zip"

    def download(folder: Path) -> None:
        from edgebee.train.hymenoptera import Archive, find_hymenoptera

        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ.pop("EDGEBEE_DATA", None)
        digest = hashlib.sha256(_Zip.body).hexdigest()
        find_hymenoptera(Archive(url, len(_Zip.body), digest, photos=counts))

    try:
        yield Target("download", lambda _: None, download, _cached)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


TARGETS = {
    "train": Target("train", _photos, _train, _artifacts),
    "convert": Target("convert", prepare_trained, _convert, _artifacts),
    "benchmark": Target("benchmark", prepare_converted, _benchmark, _artifacts),
    "sample": Target("sample", lambda _: None, _sample, _cached),
}
"""All but the download, which needs a server: see `download_target`."""
SHARES = {"train": 3, "convert": 3, "benchmark": 2, "sample": 2, "download": 6}
"""How the kills are shared out: the download is quick."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=200, help="kills in all (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SHARES, action="append", help="(repeatable)")
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    shares = {name: SHARES[name] for name in args.only or SHARES}
    faults = 0
    with download_target() as download:
        for name, share in shares.items():
            count = max(1, round(args.count * share / sum(shares.values())))
            target = download if name == "download" else TARGETS[name]
            started = time.monotonic()
            kills = attack_target(target, count, args.seed, every=_show)
            bad = [kill for kill in kills if kill.fault]
            faults += len(bad)
            seconds = time.monotonic() - started
            print(f"\n{name}: {count} kills, {len(bad)} faults, {seconds:.0f} s")
            for fault, number in Counter(kill.fault for kill in bad).items():
                moment = next(kill.moment for kill in bad if kill.fault == fault)
                print(f"--- {number} times, first {moment}: {fault}")
    return 1 if faults else 0


def _show(kill: Kill) -> None:
    print("x" if kill.fault else ".", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
