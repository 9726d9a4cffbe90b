"""A folder of very many photos: memory that stays bounded, speed that stays the same.

    python tests/attacks/crowd.py --photos 50000

Draws the photos, then lets `edgebee data check` and `edgebee classify --json` go over them, and
prints for each the photos a second in every tenth of the way and the most memory. Exit status
1 when a photo is missed or answered twice, the order is another than the folder's, the last
tenth takes over twice the processor's time of the quickest, memory passes `--most-mb`, or the
progress bar goes back, skips its end or has another total.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["Way", "classify", "data_check", "draw"]

SIZE = (320, 240)
CLASSES = 10


def draw(folder: Path, photos: int) -> None:
    """Different photos of coloured noise in class folders."""
    for number in range(photos):
        chance = np.random.default_rng(number)
        noise = chance.integers(0, 256, (9, 12, 3), np.uint8)
        path = folder / f"class_{number % CLASSES}" / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noise).resize(SIZE, Image.Resampling.BILINEAR).save(path, quality=60)


class Watch:
    """The memory of a process, looked at ten times a second while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.peak_mb = 0
        self._process = process
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        while self._process.poll() is None:
            try:
                lines = status.read_text().splitlines()
            except OSError:
                return
            held = [line.split()[1] for line in lines if line.startswith("VmHWM")]
            self.peak_mb = max([self.peak_mb, *(int(kb) // 1024 for kb in held)])
            time.sleep(0.1)


class Bar:
    """The terminal of a process, and what its progress bar says there."""

    def __init__(self) -> None:
        self._master, self.terminal = pty.openpty()
        self._said = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._master, 65_536):
                self._said += chunk
        except OSError:  # the last one who had the terminal has closed it
            return

    def faults(self, photos: int) -> list[str]:
        """What is wrong with the counts that were shown, now that the process has ended."""
        os.close(self.terminal)
        self._thread.join()
        os.close(self._master)
        shown = [int(number) for number in re.findall(rb"(\d+) of \d+ photos", self._said)]
        if shown == list(range(1, photos + 1)):
            return []
        return [f"progress that is not right: {shown[:3]} to {shown[-3:]}"]


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Way:
    """How a run over the folder went, by tenths of the way."""

    wrong: list[str]
    peak_mb: int
    photos_a_second: list[float]
    cpu_ms: list[float]
    """Of the processor for each photo: what other work on the machine changes little."""


def classify(folder: Path, photos: int) -> Way:
    """Answer for all of them, with a terminal for the progress bar."""
    bar = Bar()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebee", "classify", "--json", folder],
        stdout=subprocess.PIPE,
        stderr=bar.terminal,
        text=True,
    )
    watch, paths, times = Watch(process), [], [(time.monotonic(), 0.0)]
    assert process.stdout is not None
    for line in process.stdout:
        paths.append(json.loads(line)["path"])
        if len(paths) % max(1, photos // 10) == 0:
            times.append((time.monotonic(), cpu_seconds(process)))
    process.wait()
    wrong = bar.faults(photos)
    expected = [str(path) for path in sorted(folder.glob("*/*.jpg"))]
    if sorted(paths) != sorted(expected):
        wrong.append(f"{len(paths)} answers for {len(expected)} photos")
    elif paths != expected:
        wrong.append("another order than the folder's")
    tenths = list(itertools.pairwise(times))
    return Way(
        wrong,
        watch.peak_mb,
        [photos / 10 / max(after[0] - before[0], 1e-9) for before, after in tenths],
        [(after[1] - before[1]) * 1e4 / photos for before, after in tenths],
    )


def data_check(folder: Path, photos: int) -> tuple[list[str], int, float]:
    """Look at all of them; return what went wrong, peak memory and photos a second."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebee", "data", "check", folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = Watch(process)
    out, _ = process.communicate()
    seconds = time.monotonic() - started
    total = sum(int(number) for number in re.findall(r"^\w+: (\d+) photos", out, re.MULTILINE))
    wrong = [] if total == photos else [f"{total} photos counted, of {photos}"]
    return wrong, watch.peak_mb, photos / seconds


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--most-mb", type=int, default=1024)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgebee-crowd-") as temporary:
        folder = Path(temporary)
        draw(folder, args.photos)
        way = classify(folder, args.photos)
        wrong = way.wrong
        if way.cpu_ms[-1] > 2 * min(way.cpu_ms):
            wrong.append("the last tenth takes over twice the processor's time of the quickest")
        print(f"classify: {args.photos} photos, peak {way.peak_mb} MB; by tenths of the way:")
        print("  photos a second:", *(f"{speed:.0f}" for speed in way.photos_a_second))
        print("  processor, ms a photo:", *(f"{cpu:.2f}" for cpu in way.cpu_ms), flush=True)
        more, check_peak, speed = data_check(folder, args.photos)
        print(f"data check: peak {check_peak} MB, {speed:.0f} photos a second")
    wrong += more
    wrong += [f"{mb} MB" for mb in (way.peak_mb, check_peak) if mb > args.most_mb]
    for one in wrong:
        print(f"--- {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
