"""Measuring: every model over the same photos, answers and times.

A model is anything that turns `uint8 [H, W, 3]` pixels into `float32 [classes]` scores; Keras
and every `.tflite` pass through the same loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import Classifier, PhotoError, invoke, read_photo
from edgebee.errors import BenchmarkError

__all__ = ["Contender", "Latency", "Measurement", "keras_contender", "measure", "tflite_contender"]

WARM_UP_INVOKES = 5
"""Not counted: the first calls allocate, trace and fill caches."""

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Contender:
    """A loaded model, ready to be measured."""

    name: str
    format: str
    """`keras`, `float32`, `float16`, `dynamic`, `int8` or another file's name ending."""
    path: Path
    size: tuple[int, int]
    """Height and width of the input, in pixels."""
    labels: tuple[str, ...]
    score: Callable[[Pixels], Scores]


@dataclass(frozen=True)
class Latency:
    """Median and 95th percentile, in milliseconds."""

    p50: float
    p95: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Latency:
        """Summarise `[n]` times, n >= 1."""
        p50, p95 = np.percentile(milliseconds, (50, 95))
        return cls(float(p50), float(p95))


@dataclass(frozen=True)
class Measurement:
    """What one model did on the photos."""

    contender: Contender
    size_bytes: int
    answers: npt.NDArray[np.int64]
    """`[photos]`, class index that the model gave each readable photo."""
    correct: int
    total: int
    decode: Latency
    invoke: Latency

    def agreement(self, other: Measurement) -> float:
        """Share of photos that both models give the same label, 0-1."""
        return float((self.answers == other.answers).mean())


def tflite_contender(path: Path, threads: int) -> Contender:
    """A `.tflite` file as the runner runs it.

    Raises:
        ModelError: it cannot be used.
    """
    classifier = Classifier(path, threads=threads)
    return Contender(
        name=path.stem,
        format=path.stem.rsplit("_", 1)[-1],
        path=path,
        size=classifier.size,
        labels=classifier.labels,
        score=lambda pixels: invoke(classifier.interpreter, pixels),
    )


def keras_contender(path: Path, model: Any, labels: Sequence[str]) -> Contender:
    """A Keras model in its fastest form for one photo: traced once, no `predict` around it."""
    import tensorflow as tf

    height, width = model.input_shape[1:3]

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, height, width, 3), tf.uint8)]
    )
    def traced(pixels: Any) -> Any:
        return model(tf.cast(pixels, tf.float32), training=False)

    return Contender(
        name=path.stem,
        format="keras",
        path=path,
        size=(height, width),
        labels=tuple(labels),
        score=lambda pixels: np.asarray(traced(pixels[np.newaxis])[0]),
    )


def measure(
    contender: Contender,
    paths: Sequence[Path],
    classes: Sequence[int],
    *,
    progress: Callable[[], object] = lambda: None,
    skipped: Callable[[str], None] = lambda message: None,
) -> Measurement:
    """Ask one model about every photo, timing decode and invoke apart.

    Args:
        contender: the model.
        paths: photos.
        classes: the right class index of each.
        progress: called for each photo.
        skipped: called with a message for each photo that cannot be read.

    Raises:
        BenchmarkError: no photo could be read.
    """
    blank = np.zeros((*contender.size, 3), np.uint8)
    for _ in range(WARM_UP_INVOKES):
        contender.score(blank)
    answers: list[int] = []
    truth: list[int] = []
    decode_ms: list[float] = []
    invoke_ms: list[float] = []
    for path, right in zip(paths, classes, strict=True):
        progress()
        started = time.perf_counter()
        try:
            pixels = read_photo(path, contender.size)
        except PhotoError as error:
            skipped(str(error))
            continue
        decoded = time.perf_counter()
        scores = contender.score(pixels)
        invoked = time.perf_counter()
        decode_ms.append((decoded - started) * 1e3)
        invoke_ms.append((invoked - decoded) * 1e3)
        answers.append(int(scores.argmax()))
        truth.append(right)
    if not answers:
        raise BenchmarkError("no validation photo could be read; name others with --data")
    return Measurement(
        contender=contender,
        size_bytes=contender.path.stat().st_size,
        answers=np.array(answers, np.int64),
        correct=int((np.array(answers) == truth).sum()),
        total=len(answers),
        decode=Latency.of(decode_ms),
        invoke=Latency.of(invoke_ms),
    )
