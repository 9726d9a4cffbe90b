"""Time one model: a process that loads it and executes commands.

    python -m edgebee.benchmarks.measure.probe model_int8.tflite --first photo.jpg

Commands come as JSON lines on standard input, answers go as JSON lines to standard output; the
first is written unasked, when the model has classified its first photo. The end of the input ends
the process. Runs in the plain install, so on a device too.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgebee.edge import classify
from edgebee.edge.device.machine import peak_memory_mb
from edgebee.errors import EdgebeeError

__all__ = ["STARTED", "Engine", "load_tflite", "main", "parse_arguments", "serve"]

STARTED = "EDGEBEE_PROBE_STARTED_NS"
"""Variable in which a probe finds when it was started, by the system's monotonic clock."""


@dataclass(frozen=True)
class Engine:
    """A loaded model."""

    runtime: str
    """Library and version."""
    threads: int | None
    """Threads for invoking; None where the runtime chooses itself."""
    size: tuple[int, int]
    """Height and width of the input, in pixels."""
    labels: Sequence[str] | None
    """None where the file does not say."""
    outputs: int | None
    """Scores that it gives; None where it does not say."""
    score: Callable[[Any], Any]
    """`uint8 [H, W, 3]` pixels to `float32 [labels]` scores."""


def load_tflite(path: str, threads: int | None) -> Engine:
    """Load a `.tflite` file as the runner does.

    Raises:
        EdgebeeError: it cannot be used.
    """
    classifier = classify.Classifier(path, threads=threads, threshold=0)
    cores: int = classify.available_cpus()
    return Engine(
        runtime=_version("ai-edge-litert", "tflite-runtime"),
        threads=min(threads or cores, cores),
        size=classifier.size,
        labels=classifier.labels,
        outputs=len(classifier.labels),
        score=lambda pixels: classify.invoke(
            classifier.interpreter, pixels, path, classifier.input_values
        ),
    )


def _version(*packages: str) -> str:
    """Name and version of the first package that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    for package in packages:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return f"{packages[0]} of unknown version"


# ---------------------------------------------------------------- commands
def time_round(engine: Engine, photos: Sequence[str], warm_up: int) -> dict[str, object]:
    """Time each photo from file to scores, once.

    Args:
        engine: the model.
        photos: files.
        warm_up: invokes before that are not counted: since this model's last round others
            have had the caches.
    """
    pixels = classify.read_photo(photos[0], engine.size)
    for _ in range(warm_up):
        engine.score(pixels)
    decode, resize, invoke, predictions = [], [], [], []
    gc.collect()
    gc.disable()  # as timeit does
    for photo in photos:
        started = time.perf_counter()
        image = classify.decode_image(photo, engine.size)
        decoded = time.perf_counter()
        pixels = classify.resize_image(image, engine.size)
        read = time.perf_counter()
        scores = engine.score(pixels)
        ended = time.perf_counter()
        decode.append(round((decoded - started) * 1e3, 3))
        resize.append(round((read - decoded) * 1e3, 3))
        invoke.append(round((ended - read) * 1e3, 3))
        predictions.append(int(scores.argmax()))
    gc.enable()
    return {"decode": decode, "resize": resize, "invoke": invoke, "predictions": predictions}


def score_all(engine: Engine, photos: Sequence[str]) -> dict[str, object]:
    """The scores for photos; for one that cannot be read, why."""

    def score(photo: str) -> list[float] | str:
        try:
            pixels = classify.read_photo(photo, engine.size)
        except classify.PhotoError as error:
            return str(error)
        return [round(float(score), 6) for score in engine.score(pixels)]

    return {"scores": [score(photo) for photo in photos]}


def execute(engine: Engine, command: dict[str, Any]) -> dict[str, object]:
    """Do what one command asks for."""
    if command["do"] == "score":
        return score_all(engine, command["photos"])
    return time_round(engine, command["photos"], command["warm_up"])


# ---------------------------------------------------------------- process
def serve(load: Callable[[], Engine], first: str) -> int:
    """Load a model, classify a first photo, then execute commands until the input ends.

    Args:
        load: loads the model.
        first: a photo.

    Returns:
        The exit status.
    """
    # Without the variable, as when it is tried by hand, the interpreter's own start is not counted.
    started_ns = int(os.environ.pop(STARTED, 0)) or time.monotonic_ns()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not come between the answers

    def answer(fields: dict[str, object]) -> None:
        out.write(json.dumps(fields) + "\n")
        out.flush()

    try:
        loading = time.perf_counter()
        engine = load()
        load_ms = (time.perf_counter() - loading) * 1e3
        engine.score(classify.read_photo(first, engine.size))
    except EdgebeeError as error:
        answer({"error": " ".join(str(error).split())})
        return 1
    cold_start_ms = (time.monotonic_ns() - started_ns) / 1e6
    answer(
        {
            "runtime": engine.runtime,
            "threads": engine.threads,
            "size": engine.size,
            "labels": engine.labels,
            "outputs": engine.outputs,
            "load_ms": round(load_ms, 3),
            "cold_start_ms": round(cold_start_ms, 3),
            "peak_memory_mb": peak_memory_mb(),
        }
    )
    for line in sys.stdin:
        try:
            answer(execute(engine, json.loads(line)))
        except EdgebeeError as error:
            answer({"error": " ".join(str(error).split())})
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line of a probe."""
    parser = argparse.ArgumentParser(description="Time a model; see the top of this file.")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--first", required=True, help="photo for the first prediction")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the probe on a `.tflite` file; returns the exit status."""
    given = parse_arguments(argv)
    return serve(lambda: load_tflite(given.model, given.threads), given.first)


if __name__ == "__main__":
    sys.exit(main())
