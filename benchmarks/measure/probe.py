"""Time one model: a process that loads it and executes commands.

    python -m edgebee.benchmarks.measure.probe tflite model_int8.tflite --first photo.jpg

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

import numpy as np

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
    score_all: Callable[[Any], Any] | None = None
    """`uint8 [N, H, W, 3]` to `float32 [N, labels]`, where that is faster than one by one."""
    with_threads: Callable[[int], Callable[[Any], Any]] | None = None
    """`score` on another number of threads, where that can be changed."""


def load_tflite(path: str, threads: int | None) -> Engine:
    """Load a `.tflite` file as the runner does.

    Raises:
        EdgebeeError: it cannot be used.
    """
    classifier = classify.Classifier(path, threads=threads, threshold=0)
    cores: int = classify.available_cpus()

    def with_threads(number: int) -> Callable[[Any], Any]:
        interpreter = classify.make_interpreter(path, number)
        return lambda pixels: classify.invoke(interpreter, pixels, path, classifier.input_values)

    return Engine(
        runtime=_version("ai-edge-litert", "tflite-runtime"),
        threads=min(threads or cores, cores),
        size=classifier.size,
        labels=classifier.labels,
        outputs=len(classifier.labels),
        score=lambda pixels: classify.invoke(
            classifier.interpreter, pixels, path, classifier.input_values
        ),
        with_threads=with_threads,
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
    decode, resize, invoke, answers = [], [], [], []
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
        answers.append(int(scores.argmax()))
    gc.enable()
    return {"decode": decode, "resize": resize, "invoke": invoke, "answers": answers}


def time_invokes(
    score: Callable[[Any], Any], pixels: Any, count: int, warm_up: int
) -> dict[str, object]:
    """Time `count` invokes on the same pixels, after `warm_up` that are not counted."""
    for _ in range(warm_up):
        score(pixels)
    invoke = []
    for _ in range(count):
        started = time.perf_counter()
        score(pixels)
        invoke.append(round((time.perf_counter() - started) * 1e3, 3))
    return {"invoke": invoke}


def score_all(engine: Engine, path: str, start: int, stop: int) -> dict[str, object]:
    """The scores for a part of an `.npy` file, `uint8 [N, H, W, 3]`, decoded once for all."""
    pixels = np.load(path, mmap_mode="r")[start:stop]
    if engine.score_all is not None:
        scores = engine.score_all(pixels)
    else:
        scores = np.stack([engine.score(np.asarray(one)) for one in pixels])
    return {"scores": [[round(float(score), 6) for score in row] for row in scores]}


def _commands(engine: Engine, first: str) -> Callable[[dict[str, Any]], dict[str, object]]:
    """What executes each command."""
    pixels = classify.read_photo(first, engine.size)
    swept: dict[int, Callable[[Any], Any]] = {}

    def answer(command: dict[str, Any]) -> dict[str, object]:
        if command["do"] == "score":
            return score_all(engine, command["pixels"], command["start"], command["stop"])
        if command["do"] == "round":
            return time_round(engine, command["photos"], command["warm_up"])
        if command["do"] == "memory":
            return {"peak_memory_mb": peak_memory_mb()}
        if command["do"] == "sweep" and engine.with_threads is not None:
            number = command["threads"]
            if number not in swept:
                swept[number] = engine.with_threads(number)
            return time_invokes(swept[number], pixels, command["count"], command["warm_up"])
        raise ValueError(f"no such command: {command}")

    return answer


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
            "sweeps": engine.with_threads is not None,
        }
    )
    execute = _commands(engine, first)
    for line in sys.stdin:
        try:
            answer(execute(json.loads(line)))
        except EdgebeeError as error:
            answer({"error": " ".join(str(error).split())})
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line of a probe."""
    parser = argparse.ArgumentParser(description="Time a model; see the top of this file.")
    parser.add_argument("engine", help="tflite, or what the module calls its own")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--first", required=True, help="photo for the first answer")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the probe on a `.tflite` file; returns the exit status."""
    given = parse_arguments(argv)
    return serve(lambda: load_tflite(given.model, given.threads), given.first)


if __name__ == "__main__":
    sys.exit(main())
