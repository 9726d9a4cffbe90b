"""The photos worth a look: incorrect predictions, and those that differ from Keras.

Each comes as the models see it, with the predictions and with a Grad-CAM heat map of Keras.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.benchmarks.measure.results import Results
from edgebee.benchmarks.report.gradcam import GradCam, can_be_explained
from edgebee.benchmarks.report.neither import (
    accepted_strangers,
    column_labels,
    find_knowing,
    read_stranger,
)
from edgebee.benchmarks.report.summary import short_names
from edgebee.benchmarks.report.templates import encode_thumbnail
from edgebee.edge.classify import PhotoError, read_photo

__all__ = ["Card", "Gallery", "Predicted", "make_gallery", "spotlight", "worth_a_look"]

MOST_CARDS = 20
MOST_STRANGERS = 8
_SIZE_WITHOUT_MODEL = (224, 224)
_DIMMED = 0.55

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
class Card:
    """One photo.

    Attributes:
        name: path below the data's root.
        label: the true one.
        predictions: each different one, the most frequent first.
        photo: JPEG, as the models see it; None when it cannot be read any more.
        heat_map: JPEG, Grad-CAM for the reference's prediction; None without a Keras model.
    """

    name: str
    label: str
    predictions: tuple[Predicted, ...]
    photo: bytes | None
    heat_map: bytes | None


@dataclass(frozen=True)
class Gallery:
    """The cards and what they leave out.

    Attributes:
        cards: at most MOST_CARDS, disagreements first.
        total: photos that would deserve one.
        disagreements: on how many of them some variant differs from the reference.
        strangers: at most MOST_STRANGERS that the variant to take takes for a class, the surest
            first; their label is where they come from.
        accepted: how many there are of these.
    """

    cards: tuple[Card, ...]
    total: int
    disagreements: int
    strangers: tuple[Card, ...] = ()
    accepted: int = 0


def worth_a_look(results: Results) -> tuple[list[int], int]:
    """Which photos deserve a card.

    Returns:
        Their places in `data.photos`: first those on which a variant and the reference (without
        one, two variants) disagree, then those that all have incorrect, the surest mistakes first;
        and how many are of the first kind.
    """
    # Some variants may know `neither` and have one score more: `[variant, photo]` from here on.
    predicted = np.array([np.argmax(variant.scores, axis=1) for variant in results.variants])
    best = np.array([np.max(variant.scores, axis=1) for variant in results.variants])
    truth = np.array([photo.label for photo in results.data.photos])
    differs = (predicted != predicted[0]).sum(axis=0)  # the reference is the first
    incorrect = (predicted != truth).any(axis=0)
    sureness = np.where(predicted != truth, best, 0).max(axis=0)
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
    explain = GradCam(model) if model is not None and can_be_explained(model) else None
    size = _SIZE_WITHOUT_MODEL if model is None else model.input_shape[1:3]
    cards = tuple(_card(results, place, size, explain) for place in places[:MOST_CARDS])
    variant = find_knowing(results)
    accepted = accepted_strangers(variant) if variant else []
    strangers = tuple(_stranger_card(results, place) for place in accepted[:MOST_STRANGERS])
    return Gallery(cards, len(places), disagreements, strangers, len(accepted))


def _stranger_card(results: Results, place: int) -> Card:
    """The card of a picture of none of the classes, with the prediction of the variant to take."""
    variant, stranger = find_knowing(results), results.data.strangers[place]
    assert variant is not None
    scores = np.array(variant.stranger_scores[place])
    best, score = results.data.labels[int(scores.argmax())], float(scores.max())
    name = short_names(results.variants)[variant.name]
    try:
        picture: bytes | None = encode_thumbnail(read_stranger(results, place, _SIZE_WITHOUT_MODEL))
    except PhotoError:  # it was there when it was measured
        picture = None
    predicted = Predicted(best, correct=False, low=score, high=score, variants=(name,))
    return Card(stranger.name, stranger.source, (predicted,), picture, None)


def _card(results: Results, place: int, size: tuple[int, int], explain: GradCam | None) -> Card:
    """The card of one photo."""
    photo = results.data.photos[place]
    picture: bytes | None = None
    heat_map: bytes | None = None
    try:
        pixels = read_photo(Path(results.data.root, photo.name), size)
    except PhotoError:  # it was there when it was measured
        pass
    else:
        picture = encode_thumbnail(pixels)
        if explain is not None:
            predicted = int(np.argmax(results.variants[0].scores[place]))
            heat_map = encode_thumbnail(spotlight(pixels, explain(pixels, predicted)))
    label = results.data.labels[photo.label]
    return Card(photo.name, label, _predictions(results, place), picture, heat_map)


def _predictions(results: Results, place: int) -> tuple[Predicted, ...]:
    """The variants' predictions of one photo, equal ones put together."""
    names, labels = short_names(results.variants), column_labels(results)
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


def spotlight(pixels: Pixels, heat: Heat) -> Pixels:
    """A photo that keeps its colour where regions drove the score and loses it elsewhere.

    Args:
        pixels: `uint8 [H, W, 3]`.
        heat: `float32 [h, w]`, 0-1.

    Returns:
        `uint8 [H, W, 3]`.
    """
    height, width = pixels.shape[:2]
    smooth = Image.fromarray(heat).resize((width, height), Image.Resampling.BICUBIC)
    light = np.asarray(smooth, np.float32).clip(0, 1)[..., np.newaxis]
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., np.newaxis]
    return (light * pixels + (1 - light) * _DIMMED * grey).round().astype(np.uint8)
