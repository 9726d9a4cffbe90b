"""A folder of very many photos: memory that stays bounded, speed that stays the same.

    python tests/attacks/crowd.py --photos 50000

Draws the photos, then lets `edgebee data check` and `edgebee classify --json` go over them, and
prints for each the photos a second in every tenth of the way and the most memory. Exit status
1 when a photo is missed or answered twice, the order is another than the folder's, the last
tenth takes over twice the time of the first, or memory passes `--most-mb`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["classify", "data_check", "draw"]

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


def classify(folder: Path, photos: int) -> tuple[list[str], int, list[float]]:
    """Answer for all of them; return what went wrong, peak memory, photos a second by tenths."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebee", "classify", "--json", folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    watch, paths, times = Watch(process), [], [time.monotonic()]
    assert process.stdout is not None
    for line in process.stdout:
        paths.append(json.loads(line)["path"])
        if len(paths) % max(1, photos // 10) == 0:
            times.append(time.monotonic())
    process.wait()
    expected = [str(path) for path in sorted(folder.glob("*/*.jpg"))]
    wrong = []
    if sorted(paths) != sorted(expected):
        wrong.append(f"{len(paths)} answers for {len(expected)} photos")
    elif paths != expected:
        wrong.append("another order than the folder's")
    seconds = [max(after - before, 1e-9) for before, after in itertools.pairwise(times)]
    return wrong, watch.peak_mb, [photos / 10 / tenth for tenth in seconds]


def data_check(folder: Path, photos: int) -> tuple[list[str], int, float]:
    """Look at all of them; return what went wrong, peak memory and photos a second."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebee", "data", "check", "--json", folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = Watch(process)
    out, _ = process.communicate()
    seconds = time.monotonic() - started
    counts = json.loads(out)["counts"]
    total = sum(sum(side.values()) for side in counts.values())
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
        wrong, peak, speeds = classify(folder, args.photos)
        if speeds and speeds[-1] < speeds[0] / 2:
            wrong.append("the last tenth is over twice as slow as the first")
        tenths = " ".join(f"{speed:.0f}" for speed in speeds)
        print(
            f"classify: {args.photos} photos, peak {peak} MB; photos a second by tenths: {tenths}"
        )
        more, check_peak, speed = data_check(folder, args.photos)
        print(f"data check: peak {check_peak} MB, {speed:.0f} photos a second")
    wrong += more
    wrong += [f"{mb} MB" for mb in (peak, check_peak) if mb > args.most_mb]
    for one in wrong:
        print(f"--- {one}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
