"""A long life, by hand: `python tests/edge/long_life.py [--photos 100000] [--restarts 3]`.

A folder fills with photos while `edgebee classify --watch` answers them; it is killed and
started again in between. Then a camera gives as many pictures. Result at the end: what was
answered, in which order, and how memory and open files went. Exit status 1 if any photo was
missed or answered twice, or memory grew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

GROWTH_MOST_BYTES = 8_000_000  # from a tenth of the way on; allocators breathe
NAMES_MOST = 50_000  # of one file; ext4 bears 65,000


@dataclass
class Usage:
    """Resident bytes and open files of a process, as they went."""

    resident: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self, pid: int) -> None:
        """Note both; a process that has ended is not looked at."""
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            self.files.append(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            return
        self.resident.append(pages * os.sysconf("SC_PAGESIZE"))

    def told(self) -> tuple[bool, str]:
        """Whether it was flat, and how it went."""
        settled = self.resident[len(self.resident) // 10 :]
        first, last = settled[0], settled[-1]
        files = self.files[len(self.files) // 10 :]
        flat = last - first < GROWTH_MOST_BYTES and files[-1] <= files[0]
        return flat, (
            f"{first / 1e6:.1f} MB at a tenth of the way, {last / 1e6:.1f} at the end, "
            f"{max(settled) / 1e6:.1f} at most; {files[0]} open files then, {files[-1]} at the end"
        )


def lines_in(path: Path) -> int:
    """How many lines a file has."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def watch(folder: Path, photos: int, restarts: int) -> bool:
    """Fill a folder, answer it, kill in between."""
    arriving, told, state = folder / "arriving", folder / "told.jsonl", folder / "state.sqlite"
    arriving.mkdir()
    command = [sys.executable, "-m", "edgebee", "classify", "--json"]
    command += ["--watch", str(arriving), "--state", str(state)]
    put, whole = 0, True
    started = time.monotonic()
    for life in range(restarts + 1):
        goal = photos * (life + 1) // (restarts + 1)
        usage = Usage()
        with told.open("a") as out:
            process = subprocess.Popen(command, stdout=out)
            while True:
                for _ in range(min(500, photos - put)):  # faster than they are answered
                    picture = folder / f"{put // NAMES_MOST}.png"
                    if not picture.exists():
                        Image.new("RGB", (32, 32), "gold").save(picture)
                    part = arriving / f".{put:07}"
                    os.link(picture, part)
                    part.rename(arriving / f"{put // 1000:04}-{put % 1000:03}.png")
                    put += 1
                usage.look(process.pid)
                if lines_in(told) >= goal:
                    break
                time.sleep(1)
            last = life == restarts
            process.send_signal(signal.SIGINT if last else signal.SIGKILL)
            process.wait()
        flat, went = usage.told()
        whole &= flat
        print(f"watch, life {life + 1}: {went}", flush=True)
    took = time.monotonic() - started
    names = [Path(json.loads(line)["path"]).name for line in told.read_text().splitlines()]
    missed, twice = photos - len(set(names)), len(names) - len(set(names))
    disorder = sum(a > b for a, b in itertools.pairwise(names))
    print(f"watch: {len(names)} answers, {missed} missed, {twice} twice, {disorder} out of order, "
          f"{restarts} kills; {len(names) / took:.0f} a second")  # fmt: skip
    return whole and not missed and not twice and not disorder


def camera(folder: Path, pictures: int) -> bool:
    """A film that is looked at again and again stands in for a camera: same code, no pause."""
    import cv2
    import numpy as np

    film = folder / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(pictures):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    told, usage = folder / "camera.jsonl", Usage()
    command = [sys.executable, "-m", "edgebee", "classify", "--json", "--camera", str(film)]
    with told.open("w") as out:
        process = subprocess.Popen([*command, "--every", "0"], stdout=out)
        while process.poll() is None:
            usage.look(process.pid)
            time.sleep(1)
    flat, went = usage.told()
    answers = lines_in(told)
    print(f"camera: {answers} answers of {pictures}; {went}")
    return flat and answers == pictures and process.returncode == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--restarts", type=int, default=3)
    asked = parser.parse_args()
    # In a shell's background Ctrl-C is ignored, and would be by what is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as place:
        good = watch(Path(place), asked.photos, asked.restarts)
        good &= camera(Path(place), asked.photos)
    sys.exit(not good)
