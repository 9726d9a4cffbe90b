"""How close the runner is to the least that a prediction can cost, as ratios within one run.

The *floor* of a photo is what nobody can go below: the JPEG decoded at the smallest scale
that covers the model's input, and the bare invoke of the int8 model. The *usual way* is
what the examples of TFLite do: the photo decoded in full, resized, and a float32 model.

Ways that are compared are timed interleaved, photo by photo or process by process, so that whatever
else the machine does meets all of them; of each the median counts. Absolute times depend on
the machine, the ratios hardly.
"""

from __future__ import annotations

import py_compile
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgebee.edge import classify
from edgebee.errors import BenchmarkError

__all__ = [
    "Comparison",
    "Memory",
    "camera_photo",
    "compare_cold_start",
    "compare_folder",
    "compare_photo",
    "measure_memory",
]

BARE_START = """
import sys
import numpy
from PIL import Image
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
print(flush=True)
"""
"""The least that a process must do before it can predict: its imports, the model, one invoke."""

MANY_PREDICTIONS = """
import itertools, pathlib, re, sys
import classify

def occupied_mb(line):  # of this process alone: getrusage would count its parent's peak
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(line + r":\\s+(\\d+) kB", status)[1]) * 1024 / 1e6

def open_files():
    return sum(1 for _ in pathlib.Path("/proc/self/fd").iterdir())

model, photo, total = sys.argv[1], sys.argv[2], int(sys.argv[3])
results = classify.Classifier(model, threads=1).classify_many(itertools.repeat(photo, total))
for number, _ in enumerate(results, 1):
    if number == max(total // 10, 1):
        early, early_files = occupied_mb("VmRSS"), open_files()
print(occupied_mb("VmHWM"), early, occupied_mb("VmRSS"), early_files, open_files())
"""


@dataclass(frozen=True)
class Comparison:
    """Medians of two ways of doing the same, milliseconds."""

    name: str
    ours_ms: float
    other_ms: float
    other: str

    @property
    def ratio(self) -> float:
        """How many times as long ours takes."""
        return self.ours_ms / self.other_ms


@dataclass(frozen=True)
class Memory:
    """What a process that classifies many photos occupies, megabytes of 10^6 bytes."""

    predictions: int
    peak_mb: float
    early_mb: float
    """After the first tenth of the predictions."""
    late_mb: float
    """After the last."""
    early_files: int
    """Open files after the first tenth."""
    late_files: int


def camera_photo(path: Path, width: int, height: int) -> Path:
    """Write a JPEG that costs as much to decode as a camera's: shapes, fine detail, grain.

    Quality 90 with halved colour, as phones and the Pi's camera write. 4000 x 3000 pixels
    come to some 4 MB.
    """
    rng = np.random.default_rng([width, height])
    shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    detail = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    size, cubic = (width, height), Image.Resampling.BICUBIC
    image = Image.blend(shapes.resize(size, cubic), detail.resize(size, cubic), 0.25)
    grain = Image.effect_noise(size, 12).convert("RGB")
    Image.blend(image, grain, 0.3).save(path, quality=90, subsampling="4:2:0")
    return path


def time_interleaved(rounds: int, *ways: Callable[[], float | None]) -> list[float]:
    """Do each of the ways `rounds` times, interleaved; the median of each, milliseconds.

    A way may return the seconds that count, where these are not all that it takes.
    """
    taken: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()  # what the first time loads is not its cost
    for _ in range(rounds):
        for times, way in zip(taken, ways, strict=True):
            start = time.perf_counter()
            seconds = way()
            times.append(1e3 * (time.perf_counter() - start if seconds is None else seconds))
    return [statistics.median(times) for times in taken]


def compare_photo(
    name: str, photo: Path, model: Path, float_model: Path | None, rounds: int
) -> list[Comparison]:
    """Photo to label against the floor and, with `float_model`, the usual way; one thread each."""
    classifier = classify.Classifier(model, threads=1)

    def ours_() -> None:
        classifier(photo)

    ways: list[Callable[[], None]] = [
        ours_,
        lambda: _floor(photo, classifier.size, classifier.interpreter),
    ]
    if float_model:
        usual = classify.make_interpreter(float_model, 1)
        ways.append(lambda: _usual_way(photo, usual))
    ours, floor, *others = time_interleaved(rounds, *ways)
    found = [Comparison(name, ours, floor, "floor")]
    return found + [Comparison(name, ours, other, "usual way") for other in others]


def _floor(photo: Path, size: tuple[int, int], interpreter: Any) -> None:
    with Image.open(photo) as image:
        image.draft("RGB", (max(size), max(size)))
        image.load()
    interpreter.invoke()


def _usual_way(photo: Path, interpreter: Any) -> None:
    entry, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    height, width = entry["shape"][1:3]
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB").resize((width, height)), entry["dtype"])
    interpreter.set_tensor(entry["index"], pixels[np.newaxis])
    interpreter.invoke()
    interpreter.get_tensor(output["index"])


def compare_cold_start(photo: Path, model: Path, rounds: int) -> list[Comparison]:
    """From a process's start to its prediction, and `BARE_START`.

    As a script, which Python compiles at every start, and as a module, of which it keeps what it
    compiled.
    """
    with _lone_runner(model) as folder:
        (folder / "bare.py").write_text(BARE_START, encoding="utf-8")
        py_compile.compile(str(folder / "classify.py"))  # which the first start does, if it may
        script, module, bare = time_interleaved(
            rounds,
            lambda: _first_line(folder, "classify.py", "-m", model.name, photo),
            lambda: _first_line(folder, "-m", "classify", "-m", model.name, photo),
            lambda: _first_line(folder, "bare.py", model.name),
        )
    return [
        Comparison("cold start", script, bare, "bare start"),
        Comparison("cold start as a module", module, bare, "bare start"),
    ]


def compare_folder(photos: Sequence[Path], model: Path, rounds: int) -> Comparison:
    """Photos one after the other on one core, against all cores; milliseconds a photo."""
    cores = classify.available_cpus()
    classifier = classify.Classifier(model, threads=1)

    def classify_all(workers: int) -> None:
        for _, result in classifier.classify_many(photos, workers=workers):
            if isinstance(result, classify.PhotoError):
                raise result

    one, all_ = time_interleaved(rounds, lambda: classify_all(1), lambda: classify_all(cores))
    return Comparison("a folder", all_ / len(photos), one / len(photos), "one core")


def measure_memory(photo: Path, model: Path, predictions: int) -> Memory:
    """Classify the same photo again and again in a process of its own, on all cores."""
    with _lone_runner(model) as folder:
        (folder / "many.py").write_text(MANY_PREDICTIONS, encoding="utf-8")
        peak, early, late, *files = _python(
            folder, "many.py", model.name, photo, str(predictions)
        ).split()
    return Memory(predictions, float(peak), float(early), float(late), int(files[0]), int(files[1]))


@contextmanager
def _lone_runner(model: Path) -> Iterator[Path]:
    """A folder with the two files that are copied to a Pi."""
    with tempfile.TemporaryDirectory(prefix="edgebee-speed-") as temporary:
        shutil.copy(classify.__file__, temporary)
        shutil.copy(model, temporary)
        yield Path(temporary)


def _first_line(folder: Path, *arguments: str | Path) -> float:
    """Seconds from the start of a Python process to its first line; it may then end."""
    start = time.perf_counter()
    with _start(folder, *arguments) as process:
        line = process.stdout and process.stdout.readline()
        seconds = time.perf_counter() - start
        _, complaint = process.communicate()
    if not line or process.returncode:
        raise BenchmarkError(f"{arguments[0]} failed: {_last_line(complaint)}")
    return seconds


def _python(folder: Path, *arguments: str | Path) -> str:
    """Standard output of a Python process.

    Raises:
        BenchmarkError: it failed; its last line says why.
    """
    with _start(folder, *arguments) as process:
        output, complaint = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{arguments[0]} failed: {_last_line(complaint)}")
    return output


def _start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
