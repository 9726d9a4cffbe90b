"""Results of every size and oddity, for the tests of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from examples import make_device, make_run  # beside this file
from PIL import Image

from edgebee.benchmarks.measure.accuracy import measure_accuracy
from edgebee.benchmarks.measure.results import (
    FORMAT_VERSION,
    Data,
    Photo,
    Results,
    Settings,
    Variant,
)

NASTY = '<img src=x onerror="boom()">&amp;"\'$x_1$ {{ 7*7 }}'
"""A label and file name that is HTML, matplotlib's mathematics and a template at once."""

FORMATS = ("float32", "float16", "dynamic", "int8")


def labels_of(classes: int) -> tuple[str, ...]:
    """Some names, the first of which is NASTY, the second of another script, the third long."""
    odd = (NASTY, "蜜蜂", "a species with a very long name that no table has room for, probably")
    return (*odd, *(f"class {number}" for number in range(3, classes)))[:classes]


def make_scores(truth: np.ndarray, classes: int, seed: int, strength: float = 2.5) -> np.ndarray:
    """Scores `[photos, classes]` that add up to 1 and are mostly right."""
    logits = np.random.default_rng(seed).normal(size=(len(truth), classes))
    logits[np.arange(len(truth)), truth] += strength
    shares = np.exp(logits)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def make_big(
    folder: Path, *, classes: int = 2, photos: int = 60, variants: int = 5, devices: int = 1,
    keras: bool = True, labels: Sequence[str] | None = None, photo_size: int = 0,
) -> Results:  # fmt: skip
    """A benchmark of so many of everything.

    Args:
        folder: where the photos' names are; they are only written with a `photo_size`.
        classes: labels.
        photos: validation photos.
        variants: models, Keras among them when `keras`.
        devices: machines.
        keras: whether the first variant is the Keras model.
        labels: names; default those of `labels_of`.
        photo_size: pixels a side of the noise that each photo is.
    """
    names = tuple(labels or labels_of(classes))
    truth = np.arange(photos) % classes
    reference = make_scores(truth, classes, seed=0)
    made = []
    for number in range(variants):
        is_keras = keras and number == 0
        scores = (
            reference if is_keras else 0.9 * reference + 0.1 * make_scores(truth, classes, number)
        )
        format_ = "keras" if is_keras else FORMATS[number % len(FORMATS)]
        file = (
            "model.keras" if is_keras else f"model_{format_}{'' if number < 5 else number}.tflite"
        )
        against = None if is_keras or not keras else reference
        made.append(
            Variant(
                name=file, format=format_,
                size_bytes=9_000_000 // (number + 1), sha256="0" * 64,
                scores=tuple(tuple(row) for row in scores.tolist()),
                accuracy=measure_accuracy(scores, truth, names, against),
            )
        )  # fmt: skip
    shown = tuple(Photo(f"val/{number}{NASTY.replace('/', '')}.png", int(right))
                  for number, right in enumerate(truth))  # fmt: skip
    if photo_size:
        write_noise(folder, shown, photo_size)
    machines = []
    for place in range(devices):
        speed = 12.0 * (place + 1)
        runs = tuple(
            make_run(one.name, speed / (n + 1), speed if n else None, 0.02, at_home=place == 0)
            for n, one in enumerate(made)
        )
        machines.append(make_device("this machine" if place == 0 else f"pi@{place}.{NASTY}", runs))
    return Results(
        edgebee="0.1.0",
        date="2026-11-25T02:00:00+00:00",
        data=Data("insects", str(folder), False, names, shown, ()),
        settings=Settings(rounds=3, photos_a_round=4, threads=2),
        reference="model.keras" if keras else None,
        variants=tuple(made),
        devices=tuple(machines),
        artifacts=str(folder),
        format_version=FORMAT_VERSION,
    )


def write_noise(folder: Path, photos: Sequence[Photo], size: int) -> None:
    """Photos that no JPEG makes small."""
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    (folder / "val").mkdir(parents=True, exist_ok=True)
    for photo in photos:
        Image.fromarray(noise).save(folder / photo.name, compress_level=0)


def with_failure(results: Results) -> Results:
    """The last device could not be reached."""
    last = replace(results.devices[-1], runs=(), conditions=None, reference=None,
                   failure=f"{NASTY}: connection refused; check that ssh runs there")  # fmt: skip
    return replace(results, devices=(*results.devices[:-1], last))
