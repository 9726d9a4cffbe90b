"""A whole training: photos to a Keras model, its history and its picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edgebee.artifacts import write_bytes, write_json, write_text, write_through
from edgebee.edge.classify import read_photo
from edgebee.errors import TrainingError
from edgebee.train.backbone import build_backbone, build_classifier, cut_below, layers_above
from edgebee.train.dataset import Dataset, Photos
from edgebee.train.features import Features, FrozenBase, extract_features, freeze_base
from edgebee.train.history import Epoch, describe_training
from edgebee.train.phases import class_weights, extract_head, fine_tune
from edgebee.train.plots import plot_training
from edgebee.train.recipe import Recipe
from edgebee.train.views import make_views

__all__ = ["Training", "predict_photos", "train", "write_training"]

UNBALANCED_RATIO = 2.0
"""Classes are weighted when the largest has more than this many times the smallest's photos."""


@dataclass(frozen=True)
class Training:
    """A finished training."""

    model: Any
    """Keras: `float32 [N, S, S, 3]` in 0..255 -> `float32 [N, classes]` scores."""
    dataset: Dataset
    recipe: Recipe
    epochs: tuple[Epoch, ...]
    correct: int
    total: int
    left_out: dict[str, str]
    """Photo, relative to the data set -> why it was not used."""
    seconds: dict[str, float]


def train(
    dataset: Dataset, recipe: Recipe, scratch: Path, *, say: Callable[[str], None]
) -> Training:
    """Train a classifier on a data set.

    Args:
        dataset: the photos.
        recipe: the settings.
        scratch: folder for activations that do not fit the memory budget.
        say: takes one line at a time on what is going on.

    Raises:
        TrainingError: a class has no readable photo.
        WeightsError: the backbone's weights cannot be had.
    """
    keras.utils.set_random_seed(recipe.seed)
    clock = _Clock()
    with clock.part("prepare"):
        backbone = build_backbone(recipe.image_size, recipe.alpha, recipe.weights)
        cut = cut_below(backbone, recipe.fine_tune_at)
        base = freeze_base(backbone, cut)
    with clock.part("extract"):
        training = _extract(base, dataset.train, recipe, recipe.views, scratch, "training photos")
        validation = _extract(base, dataset.validation, recipe, 1, scratch, "validation photos")
    left_out = {
        **_left_out(dataset, dataset.train, training, say),
        **_left_out(dataset, dataset.validation, validation, say),
    }
    weight_of_class = _balance(dataset, training, say)
    class_count = len(dataset.labels)
    with clock.part("feature_extraction"):
        say(f"Phase 1, feature extraction: the base is frozen, {recipe.epochs} epochs")
        head, epochs = extract_head(training, validation, class_count, recipe, weight_of_class)
    released = backbone.layers[recipe.fine_tune_at :]
    if recipe.fine_tune_epochs:
        with clock.part("fine_tuning"):
            say(
                f"Phase 2, fine-tuning: {len(released)} of {len(backbone.layers)} base layers "
                f"released, {recipe.fine_tune_epochs} epochs"
            )
            for place, layer in enumerate(backbone.layers):
                layer.trainable = place >= recipe.fine_tune_at
            above = layers_above(backbone, cut)
            epochs += fine_tune(above, head, training, validation, recipe, weight_of_class)
    model = build_classifier(backbone, head)
    with clock.part("validate"):
        scores = predict_photos(model, [dataset.validation.paths[i] for i in validation.photos])
        answers = scores.argmax(axis=1)
    return Training(
        model=model,
        dataset=dataset,
        recipe=recipe,
        epochs=tuple(epochs),
        correct=int((answers == validation.classes[validation.photos]).sum()),
        total=len(answers),
        left_out=left_out,
        seconds=clock.seconds,
    )


def write_training(training: Training, output: Path, split: dict[str, Any]) -> None:
    """Write `model.keras`, `labels.txt`, `history.json` and `training.png`.

    Args:
        training: from `train`.
        output: an existing folder.
        split: the settings that load the same photos again.

    Raises:
        OutputError: something could not be written.
    """
    dataset = training.dataset
    title = f"{dataset.name}: {training.correct} of {training.total} validation photos right"
    if dataset.drawn:
        title = f"drawings, not photos: {training.correct} of {training.total} right"
    write_through(output / "model.keras", training.model.save)
    write_text(output / "labels.txt", "".join(f"{label}\n" for label in dataset.labels))
    write_bytes(output / "training.png", plot_training(training.epochs, title))
    history = describe_training(
        dataset,
        training.recipe,
        training.epochs,
        correct=training.correct,
        total=training.total,
        split=split,
        left_out=training.left_out,
        seconds=training.seconds,
    )
    write_json(output / "history.json", history)


def predict_photos(
    model: Any, paths: Sequence[Path], batch_size: int = 32
) -> npt.NDArray[np.float32]:
    """Scores `float32 [photos, classes]` of readable photos, read in the runner's way."""
    size = tuple(model.input_shape[1:3])
    return np.concatenate(
        [
            model.predict_on_batch(
                np.stack(
                    [read_photo(path, size) for path in paths[start : start + batch_size]]
                ).astype(np.float32)
            )
            for start in range(0, len(paths), batch_size)
        ]
    )


def _extract(
    base: FrozenBase, photos: Photos, recipe: Recipe, views: int, scratch: Path, what: str
) -> Features:
    """Extract features with a progress bar; each photo's views follow from the seed."""

    def views_of(path: Path, photo: int) -> Iterator[npt.NDArray[np.uint8]]:
        rng = np.random.default_rng([recipe.seed, photo])
        return make_views(path, recipe.image_size, views, rng)

    with tqdm(total=len(photos), desc=f"reading {what}", unit="photo", disable=None) as bar:
        return extract_features(
            base, photos.paths, photos.classes, views_of, views, scratch, progress=bar.update
        )


def _left_out(
    dataset: Dataset, photos: Photos, features: Features, say: Callable[[str], None]
) -> dict[str, str]:
    """Say which photos could not be read; refuse when a class has none left."""
    for message in features.unreadable.values():
        say(f"warning: {message}; left out")
    remaining = np.bincount(features.classes[features.photos], minlength=len(dataset.labels))
    for label, count in zip(dataset.labels, remaining, strict=True):
        if count == 0:
            raise TrainingError(
                f"{dataset.root}: no readable photo of '{label}' is left "
                f"({len(features.unreadable)} damaged); add photos or remove the class"
            )
    return {
        photos.paths[photo].relative_to(dataset.root).as_posix(): message.rsplit(": ", 1)[-1]
        for photo, message in features.unreadable.items()
    }


def _balance(
    dataset: Dataset, training: Features, say: Callable[[str], None]
) -> npt.NDArray[np.float32] | None:
    """Weights for unbalanced classes, said aloud; None when they are balanced enough."""
    classes = training.classes[training.photos]
    counts = np.bincount(classes)
    if counts.max() <= UNBALANCED_RATIO * counts.min():
        return None
    most, least = dataset.labels[counts.argmax()], dataset.labels[counts.argmin()]
    say(
        f"Unbalanced: {counts.max()} photos of '{most}', {counts.min()} of '{least}'; "
        "every class counts the same in the loss"
    )
    return class_weights(classes, len(dataset.labels))


class _Clock:
    """Wall-clock seconds of the parts of a training."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
