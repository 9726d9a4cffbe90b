"""A whole training: photos to a Keras model, its history and its picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edgebee.errors import TrainingError
from edgebee.files import atomic_write_all, encode_json, write_checksums
from edgebee.photos.dataset import Dataset, Photos
from edgebee.train.augmentation import View, make_views
from edgebee.train.backbone import build_backbone, build_classifier, cut_below, layers_above
from edgebee.train.batches import class_weights
from edgebee.train.calibration import expected_calibration_error, softmax
from edgebee.train.checkpoint import Checkpoints
from edgebee.train.cross_validation import Calibrated, HeldOut, calibrate, hold_out
from edgebee.train.features import Features, FrozenBase, extract_features, freeze_base
from edgebee.train.history import Epoch
from edgebee.train.phases import TwoPhases
from edgebee.train.plots import plot_confusion, plot_mistakes, plot_training
from edgebee.train.recipe import DEFAULT_LEARNING_RATE, Recipe
from edgebee.train.saving import save_keras

__all__ = ["Training", "Validation", "train", "write_training"]

UNBALANCED_RATIO = 2.0
"""Classes are weighted when the largest has more than this many times the smallest's photos."""


@dataclass(frozen=True)
class Validation:
    """What the finished model says of the validation photos."""

    paths: tuple[Path, ...]
    """Those that could be read."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the right ones."""
    scores: npt.NDArray[np.float32]
    """`[photos, classes]`"""
    calibrated: Calibrated
    error_before: float
    """Expected calibration error without the temperature, 0-1."""
    error_after: float
    """Expected calibration error with it."""

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """`[photos]`, the classes with the best scores."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)

    @property
    def correct(self) -> int:
        """How many are right."""
        return int((self.answers == self.classes).sum())

    def confusion(self) -> npt.NDArray[np.int64]:
        """`[classes, classes]`: photos of the row's class that were taken for the column's."""
        matrix = np.zeros((self.scores.shape[1],) * 2, np.int64)
        np.add.at(matrix, (self.classes, self.answers), 1)
        return matrix


@dataclass(frozen=True)
class Training:
    """A finished training."""

    model: Any
    """Keras: `float32 [N, S, S, 3]` in 0..255 -> `float32 [N, classes]` scores."""
    dataset: Dataset
    recipe: Recipe
    """With the learning rate that was chosen and the weights that it began with."""
    epochs: tuple[Epoch, ...]
    validation: Validation
    left_out: dict[str, str]
    """Photo, relative to the data set -> why it was not used."""
    seconds: dict[str, float]


def train(
    dataset: Dataset,
    recipe: Recipe,
    output: Path,
    *,
    resume: bool = False,
    say: Callable[[str], None],
) -> Training:
    """Train a classifier on a data set.

    Args:
        dataset: the photos.
        recipe: the settings.
        output: an existing folder, for checkpoints and for activations that do not fit the
            memory budget.
        resume: go on where an interrupted training with the same settings and photos was.
        say: takes one line at a time on what is going on.

    Raises:
        TrainingError: a class has no readable photo.
        WeightsError: the backbone's weights cannot be had.
    """
    keras.utils.set_random_seed(recipe.seed)
    checkpoints = Checkpoints(output, recipe, dataset)
    resumed = checkpoints.load() if resume else None
    clock = _Clock()
    with clock.part("prepare"):
        backbone = build_backbone(recipe.image_size, recipe.alpha, recipe.starting_weights)
        cut = _cut(backbone, recipe)
        base = freeze_base(backbone, cut)
    with clock.part("extract"):
        training = _extract(base, dataset.train, recipe, recipe.views, output, "training photos")
        validation = _extract(base, dataset.validation, recipe, 1, output, "validation photos")
    left_out = {
        **_left_out(dataset, dataset.train, training, say),
        **_left_out(dataset, dataset.validation, validation, say),
    }
    with clock.part("hold_out"):
        held_out = hold_out(training, len(dataset.labels), recipe)
    phases = TwoPhases(
        training,
        validation,
        len(dataset.labels),
        recipe,
        learning_rate=_learning_rate(held_out, recipe, say),
        weight_of_class=_balance(dataset, training, say),
        save=checkpoints.save,
        resumed=resumed,
    )
    with clock.part("feature_extraction"):
        say(f"Phase 1, feature extraction: the base is frozen, {_epochs(recipe.epochs)}")
        phases.extract_head()
    if recipe.fine_tune_epochs:
        with clock.part("fine_tuning"):
            _release(backbone, recipe, say)
            phases.fine_tune(layers_above(backbone, cut))
    with clock.part("calibrate"):
        calibrated = calibrate(held_out)
        validated = _validate(phases, dataset.validation, validation, calibrated)
        _divide_logits(phases.head, calibrated.temperature)
    model = build_classifier(backbone, phases.head)
    epochs = tuple(phases.epochs)
    used = replace(recipe, learning_rate=phases.learning_rate, weights=recipe.starting_weights)
    return Training(model, dataset, used, epochs, validated, left_out, clock.seconds)


def _cut(backbone: Any, recipe: Recipe) -> int:
    """Where the stored activations are taken; refuses to release nothing."""
    count = len(backbone.layers)
    if recipe.fine_tune_epochs and recipe.fine_tune_at >= count:
        raise TrainingError(
            f"--fine-tune-at {recipe.fine_tune_at}: there are {count} layers; "
            "release some of them, or take --fine-tune-epochs 0"
        )
    return cut_below(backbone, recipe.fine_tune_at)


def _validate(
    phases: TwoPhases, photos: Photos, features: Features, calibrated: Calibrated
) -> Validation:
    """What the trained model, its logits divided by the temperature, says of the photos."""
    logits = phases.logits
    scores = softmax(logits / calibrated.temperature).astype(np.float32)
    classes = features.classes[features.photos]
    return Validation(
        paths=tuple(photos.paths[photo] for photo in features.photos),
        classes=classes,
        scores=scores,
        calibrated=calibrated,
        error_before=expected_calibration_error(softmax(logits), classes),
        error_after=expected_calibration_error(scores, classes),
    )


def _release(backbone: Any, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Make the layers from `fine_tune_at` on trainable, and those below not."""
    for place, layer in enumerate(backbone.layers):
        layer.trainable = place >= recipe.fine_tune_at
    released = max(0, len(backbone.layers) - recipe.fine_tune_at)
    say(
        f"Phase 2, fine-tuning: {released} of {len(backbone.layers)} base layers released, "
        f"{_epochs(recipe.fine_tune_epochs)}"
    )


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _learning_rate(held_out: HeldOut | None, recipe: Recipe, say: Callable[[str], None]) -> float:
    """The head's: what the recipe says, else what held-out photos chose, said aloud."""
    if recipe.learning_rate is not None:
        return recipe.learning_rate
    if held_out is None:
        return DEFAULT_LEARNING_RATE
    right = int((held_out.logits.argmax(axis=1) == held_out.classes).sum())
    say(
        f"Learning rate {held_out.learning_rate:g} suits these photos "
        f"({right} of {len(held_out.classes)} held-out training photos right without fine-tuning)"
    )
    return held_out.learning_rate


def _divide_logits(head: Any, temperature: float) -> None:
    """Build the temperature into the head: `(x K + b) / T = x (K / T) + b / T`."""
    head.set_weights([weights / temperature for weights in head.get_weights()])


def write_training(training: Training, output: Path, split: dict[str, Any]) -> None:
    """Write `model.keras`, `labels.txt`, `history.json`, the pictures and `SHA256SUMS`.

    Args:
        training: from `train`.
        output: an existing folder.
        split: the settings that load the same photos again.

    Raises:
        OutputError: something could not be written.
    """
    dataset, validation = training.dataset, training.validation
    right = f"{validation.correct} of {len(validation.paths)}"
    what = "drawings, not photos" if dataset.drawn else f"{dataset.name} validation photos"
    labels = "".join(f"{label}\n" for label in dataset.labels)
    pictures = {
        "training.png": plot_training(training.epochs, f"{right} {what} right"),
        "confusion.png": plot_confusion(validation.confusion(), dataset.labels, what),
        "mistakes.png": plot_mistakes(
            validation.paths, validation.classes, validation.scores, dataset.labels, what
        ),
    }
    contents = {
        "labels.txt": labels.encode(),
        "history.json": encode_json(_describe(training, split)),
        **pictures,
    }
    # Together, since a model beside the labels of an earlier training would name things wrongly.
    atomic_write_all(
        {
            output / "model.keras": lambda part: save_keras(training.model, part),
            **{output / name: partial(Path.write_bytes, data=of) for name, of in contents.items()},
        }
    )
    write_checksums(output)
    Checkpoints(output, training.recipe, dataset).clear()


def _describe(training: Training, split: dict[str, Any]) -> dict[str, Any]:
    """The content of `history.json`."""
    dataset, validation = training.dataset, training.validation
    calibrated, threshold = validation.calibrated, validation.calibrated.threshold
    counts = {
        name: dict(zip(dataset.labels, photos.counts(len(dataset.labels)), strict=True))
        for name, photos in (("train", dataset.train), ("validation", dataset.validation))
    }
    packages = ("edgebee", "tensorflow", "keras", "numpy", "pillow")
    return {
        "epochs": [
            {key: round(value, 6) if isinstance(value, float) else value for key, value in row}
            for row in (asdict(epoch).items() for epoch in training.epochs)
        ],
        "validation": {
            "correct": validation.correct,
            "total": len(validation.paths),
            "confusion": validation.confusion().tolist(),
            "calibration": {
                "temperature": round(calibrated.temperature, 4),
                "threshold": None if threshold is None else round(threshold, 3),
                "expected_error_before": round(validation.error_before, 4),
                "expected_error_after": round(validation.error_after, 4),
            },
        },
        "labels": list(dataset.labels),
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "drawn": dataset.drawn,
            **split,
            "photos": counts,
            "left_out": training.left_out,
        },
        "recipe": asdict(training.recipe),
        "seconds": {part: round(value, 2) for part, value in training.seconds.items()},
        "versions": {name: version(name) for name in packages},
    }


def _extract(
    base: FrozenBase, photos: Photos, recipe: Recipe, views: int, scratch: Path, what: str
) -> Features:
    """Extract features with a progress bar; each photo's views follow from the seed."""

    def views_of(path: Path, photo: int) -> Iterator[View]:
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
