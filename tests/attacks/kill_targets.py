"""What `kills.py` kills: everything of edgebee that writes files for longer than a moment."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from killing import Target, run
from PIL import Image

__all__ = ["TARGETS", "download_target", "prepare_converted"]

SETTINGS: dict[str, Any] = {
    "epochs": 2, "fine_tune_epochs": 1, "image_size": 32, "augmentations": 2, "learning_rate": 2e-2,
}  # fmt: skip
"""A rate that tells the two tints apart in three epochs: int8 would turn answers near one half."""
WATCHED = 12
"""Photos that `--watch` answers."""


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
    run(Target("", _photos, _train, lambda _: {}), folder, None, 0.0)


def _convert(folder: Path) -> None:
    from edgebee.convert.conversion import convert_model

    convert_model("out/model.keras", formats=("float32", "int8"), samples=8)


def prepare_converted(folder: Path) -> None:
    """Photos, a small trained model and what it converts to, in `folder`."""
    prepare_trained(folder)
    run(Target("", _photos, _convert, lambda _: {}), folder, None, 0.0)


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


def _prepare_watch(folder: Path) -> None:
    """Photos that have arrived in two folders; the model is the one that ships."""
    for number in range(WATCHED):
        chance = np.random.default_rng(number)
        image = Image.fromarray(chance.integers(0, 256, (6, 8, 3), np.uint8)).resize((64, 48))
        path = folder / "arriving" / f"{number % 2}" / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        os.utime(path, (1_000_000_000 + number,) * 2)


def _watch(folder: Path) -> None:
    """Answer, draw and move photos until none is left, then end as by Ctrl-C."""
    from edgebee.commands.classify import command

    told = os.open("told.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(told, 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def end_when_done() -> None:
        while list(folder.glob("arriving/*/*.jpg")):
            time.sleep(0.05)
        time.sleep(0.3)  # what follows the last move
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=end_when_done, daemon=True).start()
    words = ["--watch", "arriving", "--state", "state.sqlite", "--json"]
    status = command.main(
        [*words, "--move-to", "sorted", "--annotate", "drawn"], standalone_mode=False
    )
    assert status == 130, status


def _answered(folder: Path) -> dict[str, Any]:
    """What was told, how often, and the photos and pictures that lie where they belong."""
    told = folder / "told.jsonl"
    lines = [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []
    names = [Path(line["path"]).name for line in lines]
    found: dict[str, Any] = {f"told {name}": names.count(name) for name in names}
    assert names == sorted(names), f"out of order: {names}"
    for path in folder.glob("sorted/*/[!.]*"):
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in folder.glob("drawn/**/[!.]*.jpg"):
        with Image.open(path) as image:
            image.load()
        found[path.relative_to(folder).as_posix()] = "whole"
    there = list(folder.glob("arriving/*/*.jpg")) + list(folder.glob("sorted/*/[!.]*"))
    assert len(there) == WATCHED, f"{len(there)} photos are left of {WATCHED}"
    return found


def _sample(folder: Path) -> None:
    from edgebee.photos.dataset import sample_folder

    os.environ["EDGEBEE_CACHE"] = str(folder / "cache")
    sample_folder()


def _cached(folder: Path) -> dict[str, Any]:
    """Every file in a folder of the cache that has its final name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in folder.glob("cache/[!.]*")
        for path in sorted(top.rglob("*.*"))
    } | {top.name: len(list(top.rglob("*.*"))) for top in folder.glob("cache/[!.]*")}


ARCHIVED = 24
"""Photos of the archive; two thirds of them come first."""


def _prepare_archive(folder: Path) -> None:
    """Photos for an archive, one of them broken; the list has those that come first."""
    for number in range(ARCHIVED):
        _archived_photo(folder, number, number)
    (folder / "photos" / "07.jpg").write_bytes(b"no photo")
    first = [f"photos/{number:02}.jpg" for number in range(ARCHIVED) if number % 3]
    (folder / "first.txt").write_text("\n".join(first))


def _archived_photo(folder: Path, number: int, content: int) -> None:
    chance = np.random.default_rng(content)
    image = Image.fromarray(chance.integers(0, 256, (6, 8, 3), np.uint8)).resize((64, 48))
    path = folder / "photos" / f"{number:02}.jpg"
    path.parent.mkdir(exist_ok=True)
    image.save(path)
    os.utime(path, (1_000_000_000 + content,) * 2)


def _archive(folder: Path) -> None:
    """Two thirds of the photos, then all, when four have changed: parts are written over."""
    from edgebee.edge.archive.archive import classify_archive

    model = Path(__file__).parents[1] / "edge" / "dark_light_neither.tflite"
    classify_archive("first.txt", "archive", model=model, part_size=5)
    for number in range(0, ARCHIVED, 6):
        _archived_photo(folder, number + 1, 100 + number)
    classify_archive("photos", "archive", model=model, part_size=5)


def _rows(folder: Path) -> dict[str, Any]:
    """Each row of an archive, once; and all of it, when it is complete and up to date."""
    import pyarrow.parquet as pq

    manifest = folder / "archive" / "manifest.parquet"
    if not manifest.exists():
        return {}
    listed = pq.read_table(manifest, use_threads=False).to_pylist()
    rows = []
    for path in sorted(folder.glob("archive/*/part-*.parquet")):
        part = pq.read_table(path, use_threads=False).to_pylist()
        begin = 5 * int(path.stem.removeprefix("part-"))
        places = [row["path"] for row in listed[begin : begin + 5]]
        assert [row["path"] for row in part] == places[: len(part)], f"{path.name} has other photos"
        rows += part
    names = [Path(row["path"]).name for row in rows]
    assert len(names) == len(set(names)), "a row comes twice"
    found: dict[str, Any] = dict.fromkeys(names, "a row")
    current = [(row["path"], row["size"], row["modified"]) for row in rows]
    changed = all((folder / "photos" / f"{n + 1:02}.jpg").stat().st_mtime >= 1_000_000_100
                  for n in range(0, ARCHIVED, 6))  # fmt: skip
    if changed and current == [(one["path"], one["size"], one["modified"]) for one in listed]:
        results = [(Path(row["path"]).name, row["scores"], row["error"]) for row in rows]
        if len(results) == ARCHIVED:
            found["all of it"] = hashlib.sha256(repr(results).encode()).hexdigest()
    return found


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
        from edgebee.photos.hymenoptera import Archive, find_hymenoptera

        os.environ["EDGEBEE_CACHE"] = str(folder / "cache")
        os.environ.pop("EDGEBEE_DATA", None)
        digest = hashlib.sha256(_Zip.body).hexdigest()
        find_hymenoptera(Archive(url, len(_Zip.body), digest))

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
    "watch": Target("watch", _prepare_watch, _watch, _answered),
    "archive": Target("archive", _prepare_archive, _archive, _rows),
    "sample": Target("sample", lambda _: None, _sample, _cached),
}
"""All but the download, which needs a server: see `download_target`."""
