"""The photos worth a look: incorrect predictions, and those that differ from Keras.

Each comes as the models see it, with the predictions and with Grad-CAM heat maps of Keras.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.benchmarks.measure.results import Results
from edgebee.benchmarks.report.summary import short_names
from edgebee.edge.classify import PhotoError, read_photo
from edgebee.errors import BenchmarkError

__all__ = ["Card", "Gallery", "HeatMap", "Predicted", "make_gallery", "spotlight", "worth_a_look"]

MOST_CARDS = 20
THUMBNAIL_PIXELS = 208
"""A side; twice what a phone shows of it, for its dense screen."""
JPEG_QUALITY = 80
_SIZE_WITHOUT_MODEL = (224, 224)
_MOST_HEAT_MAPS = 2

Pixels = npt.NDArray[np.uint8]
Heat = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predicted:
    """A prediction and which variants gave it.

    Attributes:
        label: its name.
        correct: whether it is.
        low: smallest score that it was given with, 0-1.
        high: largest.
        variants: short names; empty when it was all of them.
    """

    label: str
    correct: bool
    low: float
    high: float
    variants: tuple[str, ...]


@dataclass(frozen=True)
class HeatMap:
    """Grad-CAM of the Keras model for one label.

    Attributes:
        label: its name.
        picture: JPEG; the photo, in colour where regions drove the score.
        found: False when nothing in the photo supports the label.
    """

    label: str
    picture: bytes
    found: bool


@dataclass(frozen=True)
class Card:
    """One photo.

    Attributes:
        name: path below the data's root.
        label: the true one.
        predictions: each different one, the most frequent first.
        photo: JPEG, as the models see it; None when it cannot be read any more.
        heat_maps: empty when there was no Keras model.
    """

    name: str
    label: str
    predictions: tuple[Predicted, ...]
    photo: bytes | None
    heat_maps: tuple[HeatMap, ...]


@dataclass(frozen=True)
class Gallery:
    """The cards and what they leave out.

    Attributes:
        cards: at most MOST_CARDS, disagreements first.
        total: photos that would deserve one.
        disagreements: on how many of them some variant differs from the reference.
        silence: why there is no Grad-CAM; None when there is.
    """

    cards: tuple[Card, ...]
    total: int
    disagreements: int
    silence: str | None


def worth_a_look(results: Results) -> tuple[list[int], int]:
    """Which photos deserve a card.

    Returns:
        Their places in `data.photos`: first those on which a variant and the reference (without
        one, two variants) disagree, then those that all have incorrect, the surest mistakes first;
        and how many are of the first kind.
    """
    scores = np.array([variant.scores for variant in results.variants])  # [variant, photo, label]
    predicted = scores.argmax(axis=2)
    truth = np.array([photo.label for photo in results.data.photos])
    names = [variant.name for variant in results.variants]
    reference = names.index(results.reference) if results.reference in names else 0
    differs = (predicted != predicted[reference]).sum(axis=0)
    incorrect = (predicted != truth).any(axis=0)
    sureness = np.where(predicted != truth, scores.max(axis=2), 0).max(axis=0)
    places = np.flatnonzero((differs > 0) | incorrect)
    order = sorted(places.tolist(), key=lambda place: (differs[place] == 0, -sureness[place]))
    return order, int((differs > 0).sum())


def make_gallery(results: Results, model: Any = None) -> Gallery:
    """Read the photos that deserve it, and explain them with Grad-CAM.

    Args:
        results: of the benchmark.
        model: the Keras model; None when there is none.
    """
    places, disagreements = worth_a_look(results)
    explain, silence = _explainer(model)
    size = _SIZE_WITHOUT_MODEL if model is None else model.input_shape[1:3]
    cards = tuple(_card(results, place, size, explain) for place in places[:MOST_CARDS])
    return Gallery(cards, len(places), disagreements, silence)


def _explainer(model: Any) -> tuple[Any, str | None]:
    """A GradCam of the model, or None and why there is none."""
    if model is None:
        return None, "There was no Keras model for Grad-CAM."
    from edgebee.benchmarks.report.gradcam import GradCam

    try:
        return GradCam(model), None
    except BenchmarkError as error:
        return None, f"{error}."


def _card(results: Results, place: int, size: tuple[int, int], explain: Any) -> Card:
    """The card of one photo."""
    photo, labels = results.data.photos[place], results.data.labels
    predictions = _predictions(results, place)
    try:
        pixels = read_photo(Path(results.data.root, photo.name), size)
    except PhotoError:  # it was there when it was measured
        return Card(photo.name, labels[photo.label], predictions, None, ())
    heat_maps: list[HeatMap] = []
    if explain is not None:
        asked = _asked(results, place)
        heats = explain(np.stack([pixels] * len(asked)), asked)
        heat_maps = [
            HeatMap(labels[label], _jpeg(spotlight(pixels, heat)), bool(heat.any()))
            for label, heat in zip(asked, heats, strict=True)
        ]
    return Card(photo.name, labels[photo.label], predictions, _jpeg(pixels), tuple(heat_maps))


def _predictions(results: Results, place: int) -> tuple[Predicted, ...]:
    """The variants' predictions of one photo, equal ones put together."""
    names, labels = short_names(results.variants), results.data.labels
    given: dict[int, list[tuple[float, str]]] = {}
    for variant in results.variants:
        scores = np.array(variant.scores[place])
        prediction = int(scores.argmax())
        given.setdefault(prediction, []).append((float(scores[prediction]), names[variant.name]))
    truth = results.data.photos[place].label
    return tuple(
        Predicted(
            label=labels[prediction],
            correct=prediction == truth,
            low=min(score for score, _ in by),
            high=max(score for score, _ in by),
            variants=() if len(given) == 1 else tuple(name for _, name in by),
        )
        for prediction, by in sorted(given.items(), key=lambda item: -len(item[1]))
    )


def _asked(results: Results, place: int) -> list[int]:
    """The labels to explain: the reference's prediction, then the truth or another one."""
    predicted = [int(np.argmax(variant.scores[place])) for variant in results.variants]
    names = [variant.name for variant in results.variants]
    reference = names.index(results.reference) if results.reference in names else 0
    wanted = [predicted[reference], results.data.photos[place].label, *predicted]
    return list(dict.fromkeys(wanted))[:_MOST_HEAT_MAPS]


def spotlight(pixels: Pixels, heat: Heat) -> Pixels:
    """A photo that keeps its colour where regions drove the score and loses it elsewhere.

    Args:
        pixels: `uint8 [H, W, 3]`.
        heat: `float32 [h, w]`, 0-1.

    Returns:
        `uint8 [H, W, 3]`, with a line around where there is at least half of the most evidence.
    """
    height, width = pixels.shape[:2]
    smooth = Image.fromarray(heat).resize((width, height), Image.Resampling.BICUBIC)
    light = np.asarray(smooth, np.float32).clip(0, 1)[..., np.newaxis]
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., np.newaxis]
    lit = light * pixels + (1 - light) * _DIMMED * grey
    inside = light[..., 0] >= 0.5
    down, across = inside[1:] != inside[:-1], inside[:, 1:] != inside[:, :-1]
    edge = np.zeros_like(inside)
    edge[1:], edge[:-1] = down, down
    edge[1:] |= down  # two pixels wide, which survives being made smaller
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    lit[edge] = _LINE
    return lit.round().astype(np.uint8)


_DIMMED = 0.55
_LINE = (255, 214, 92)
"""Light yellow: seen on green, brown and grey alike."""


def _jpeg(pixels: Pixels) -> bytes:
    """A thumbnail of bounded size."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
