"""A whole training: photos to a calibrated Keras model, with its history."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import NEITHER
from edgebee.errors import TrainingError
from edgebee.photos.dataset import Dataset, Photos
from edgebee.progress import ProgressCallback, ignore_progress
from edgebee.run import Epoch, NeitherRecord
from edgebee.stats import confusion_matrix, expected_calibration_error
from edgebee.train.calibration import softmax
from edgebee.train.cross_validation import Calibration, OutOfFold, calibrate, cross_validate
from edgebee.train.neither import LearnedNeither, learn_neither
from edgebee.train.photo_features import RunTasks, run_here, run_on
from edgebee.train.recipe import DEFAULT_LEARNING_RATE, Recipe
from edgebee.train.rejection import Rejection, neither_logits

if TYPE_CHECKING:
    from edgebee.cluster import Cluster
    from edgebee.train.features import Features
    from edgebee.train.phases import TwoPhases

__all__ = ["Training", "Validation", "train_classifier"]

logger = logging.getLogger("edgebee.train")

UNBALANCED_RATIO = 2.0
"""Classes are weighted when the largest has more than this many times the smallest's photos."""


@dataclass(frozen=True, repr=False, eq=False)
class Validation:
    """What the finished model predicts for the validation photos."""

    paths: tuple[Path, ...]
    """Those that could be read."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the true ones."""
    scores: npt.NDArray[np.float32]
    """`[photos, classes]`, calibrated, 0-1; of the classes alone, `neither` left out."""
    neither: npt.NDArray[np.float32] | None
    """`[photos]`, the scores of `neither`, 0-1; None for a model without it."""
    calibration: Calibration
    error_before: float
    """Expected calibration error without the temperature, 0-1."""
    error_after: float
    """Expected calibration error with it."""

    def __repr__(self) -> str:
        return f"<Validation: {self.correct} of {len(self.paths)} correct>"

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """`[photos]`, the classes with the best scores."""
        return np.asarray(self.scores.argmax(axis=1), np.int64)

    @property
    def correct(self) -> int:
        """How many predictions are correct."""
        return int((self.predictions == self.classes).sum())

    @property
    def correct_as_seen(self) -> int:
        """How many are correct as the user sees them: `neither` and `unknown` are incorrect."""
        clear = self.scores.max(axis=1) >= (self.calibration.threshold or 0.0)
        correct = self.predictions == self.classes
        return int((correct & clear & ~self.called_neither).sum())

    @property
    def called_neither(self) -> npt.NDArray[np.bool_]:
        """`[photos]`, whether the score of `neither` is the largest."""
        if self.neither is None:
            return np.zeros(len(self.paths), bool)
        return np.asarray(self.neither > self.scores.max(axis=1) * (1 - self.neither))

    def confusion(self) -> npt.NDArray[np.int64]:
        """`[classes, classes]`: photos of the row's class that were predicted as the column's."""
        return confusion_matrix(self.classes, self.predictions, self.scores.shape[1])


@dataclass(frozen=True, repr=False, eq=False)
class Training:
    """A finished training."""

    model: Any
    """Keras: `float32 [N, S, S, 3]` in 0..255 -> `float32 [N, labels]` scores."""
    dataset: Dataset
    recipe: Recipe
    """With what was chosen by cross-validation and the weights that it began with."""
    epochs: tuple[Epoch, ...]
    validation: Validation
    neither: NeitherRecord | None = None
    """How the last label was learned, and what it is worth; None for a model without it."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Photo, relative to the data set -> why it was not used."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Part of the training -> wall-clock time."""

    def __repr__(self) -> str:
        validation = self.validation
        return (
            f"<Training on {self.dataset.name}: {', '.join(self.dataset.labels)}; "
            f"{len(self.epochs)} epochs; {validation.correct} of {len(validation.paths)} "
            "validation photos correct>"
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's, in the order of its scores; `neither` last where it has learned it."""
        return self.dataset.labels + ((NEITHER,) if self.neither is not None else ())

    def save(self, folder: str | Path) -> Path:
        """Write `model.keras`, `labels.txt`, `history.json`, the pictures and `SHA256SUMS`.

        Models of an earlier training in the folder are moved to `previous/` in it, since they
        would answer differently.

        Args:
            folder: made if it is missing.

        Returns:
            The path of `model.keras`.

        Raises:
            OutputError: something could not be written.
        """
        from edgebee.train.saving import save_training

        return save_training(self, Path(folder))


def train_classifier(
    dataset: Dataset,
    recipe: Recipe = Recipe(),
    *,
    checkpoints: str | Path | None = None,
    resume_from: str | Path | None = None,
    cluster: Cluster | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Training:
    """Train a classifier on a data set.

    Args:
        dataset: the photos.
        recipe: the settings.
        checkpoints: an existing folder where the state is written after every epoch;
            activations that do not fit into memory go there, too. None: no checkpoints.
        resume_from: the folder of an interrupted training with the same settings and photos,
            to continue it.
        cluster: where photos are decoded, augmented and sent through the frozen base, from
            `edgebee.cluster.connect`; None: on this machine. The model is the same.
        progress: called with the photos that were read, and the steps of every epoch.

    Raises:
        TrainingError: a class has no readable photo, or there is nothing to resume.
        WeightsError: the backbone's weights cannot be had.
        ClusterError: the cluster does not do the work.
    """
    run = run_here if cluster is None else run_on(cluster)
    if checkpoints is not None:
        return _train(dataset, recipe, Path(checkpoints), checkpoints, resume_from, progress, run)
    with tempfile.TemporaryDirectory(prefix="edgebee-train-") as scratch:
        return _train(dataset, recipe, Path(scratch), None, resume_from, progress, run)


def _train(
    dataset: Dataset,
    recipe: Recipe,
    scratch: Path,
    checkpoints: str | Path | None,
    resume_from: str | Path | None,
    progress: ProgressCallback,
    run: RunTasks,
) -> Training:
    import keras

    from edgebee.train.backbone import build_backbone, layers_above
    from edgebee.train.checkpoint import Checkpoint, Checkpoints
    from edgebee.train.extraction import extract_dataset
    from edgebee.train.features import freeze_base
    from edgebee.train.phases import TwoPhases

    def save(checkpoint: Checkpoint) -> None:
        if checkpoints is not None:
            Checkpoints(Path(checkpoints), recipe, dataset).save(checkpoint)

    keras.utils.set_random_seed(recipe.seed)
    resumed = None
    if resume_from is not None:
        resumed = Checkpoints(Path(resume_from), recipe, dataset).load()
    clock = _Clock()
    with clock.part("prepare"):
        backbone = build_backbone(
            recipe.image_size, recipe.alpha, recipe.starting_weights, recipe.backbone
        )
        cut = _cut(backbone, recipe)
        base = freeze_base(backbone, cut)
    with clock.part("extract"):
        training, validation, left_out = extract_dataset(
            base, dataset, recipe, scratch, progress, run
        )
    with clock.part("cross_validate"):
        out_of_fold = cross_validate(training, len(dataset.labels), recipe)
        if out_of_fold is not None and not out_of_fold.learn_subject_crops:
            logger.info(
                "Crops of the subject are left out: cross-validation is better without them"
            )
            training = replace(training, learn_subject_crops=False)
    with clock.part("neither"):
        learned = learn_neither(
            base, dataset, training, validation, out_of_fold, recipe, progress, run
        )
        left_out |= learned.left_out
    phases = TwoPhases(
        training,
        validation,
        len(dataset.labels),
        recipe,
        learning_rate=_learning_rate(out_of_fold, recipe),
        class_weights=_balance(dataset, training),
        save=save,
        resumed=resumed,
        progress=progress,
    )
    with clock.part("feature_extraction"):
        logger.info("Phase 1, feature extraction: the base is frozen, %s", _epochs(recipe.epochs))
        phases.extract_head()
    if recipe.fine_tune_epochs:
        with clock.part("fine_tuning"):
            _release(backbone, recipe)
            phases.fine_tune(layers_above(backbone, cut), learned.examples)
    kernel, bias = phases.weights
    if len(bias) > len(dataset.labels):
        learned = learned.tuned(kernel[:, -1], float(bias[-1]))
        kernel, bias = kernel[:, :-1], bias[:-1]
    with clock.part("calibrate"):
        calibration = calibrate(out_of_fold)
        validated = _validate(phases, dataset.validation, validation, calibration, learned)
    model = _build(backbone, (kernel, bias), learned.rejection, calibration.temperature)
    used = replace(
        recipe,
        learning_rate=phases.learning_rate,
        weights=recipe.starting_weights,
        fine_tune_at=recipe.first_released_layer,
        subject_crops=training.subject_crops > 0 and training.learn_subject_crops,
    )
    return Training(
        model=model,
        dataset=dataset,
        recipe=used,
        epochs=tuple(phases.epochs),
        validation=validated,
        neither=learned.record(validated),
        left_out=left_out,
        seconds=clock.seconds,
    )


def _cut(backbone: Any, recipe: Recipe) -> Any:
    """Where the stored activations are taken; refuses to release nothing."""
    from edgebee.train.backbone import cut_below

    count = len(backbone.layers)
    if recipe.fine_tune_epochs and recipe.first_released_layer >= count:
        raise TrainingError(
            f"--fine-tune-at {recipe.first_released_layer}: there are {count} layers; "
            "release some of them, or take --fine-tune-epochs 0"
        )
    return cut_below(backbone, recipe.first_released_layer)


def _validate(
    phases: TwoPhases,
    photos: Photos,
    features: Features,
    calibration: Calibration,
    learned: LearnedNeither,
) -> Validation:
    """The predictions for the validation photos, by the model as it is and calibrated."""
    logits, neither = phases.logits, None
    scores = softmax(logits / calibration.temperature).astype(np.float32)
    if learned.rejection is not None:
        last = neither_logits(phases.features, learned.rejection)
        together = np.column_stack([logits, last]) / calibration.temperature
        neither = softmax(together)[:, -1].astype(np.float32)
    classes = features.classes[features.photos]
    return Validation(
        paths=tuple(photos.paths[photo] for photo in features.photos),
        classes=classes,
        scores=scores,
        neither=neither,
        calibration=calibration,
        error_before=expected_calibration_error(softmax(logits), classes),
        error_after=expected_calibration_error(scores, classes),
    )


def _release(backbone: Any, recipe: Recipe) -> None:
    """Make the layers from `fine_tune_at` on trainable but for BatchNorm, and those below not.

    What BatchNorm scales by, the kernel before it can learn, too; left alone it spares a sixth
    of the time of a step.
    """
    import keras

    for place, layer in enumerate(backbone.layers):
        fixed = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = place >= recipe.first_released_layer and not fixed
    logger.info(
        "Phase 2, fine-tuning: %d of %d base layers released, %s",
        max(0, len(backbone.layers) - recipe.first_released_layer),
        len(backbone.layers),
        _epochs(recipe.fine_tune_epochs),
    )


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _learning_rate(out_of_fold: OutOfFold | None, recipe: Recipe) -> float:
    """The head's: what the recipe gives, else what cross-validation chose."""
    if recipe.learning_rate is not None:
        return recipe.learning_rate
    if out_of_fold is None:
        return DEFAULT_LEARNING_RATE
    correct = int((out_of_fold.logits.argmax(axis=1) == out_of_fold.classes).sum())
    logger.info(
        "Learning rate %g chosen by cross-validation (%d of %d training photos correct)",
        out_of_fold.learning_rate,
        correct,
        len(out_of_fold.classes),
    )
    return out_of_fold.learning_rate


def _build(
    backbone: Any,
    head: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    rejection: Rejection | None,
    temperature: float,
) -> Any:
    """The model, with the temperature in its head: `(x K + b) / T = x (K / T) + b / T`."""
    from edgebee.train.backbone import NeitherBranch, build_classifier

    kernel, bias = (weights / np.float32(temperature) for weights in head)
    if rejection is None:
        return build_classifier(backbone, kernel, bias)
    lowest, highest = rejection.bounds
    branch = NeitherBranch(
        kernel=rejection.kernel[:, np.newaxis] / np.float32(temperature),
        bias=(rejection.bias + rejection.offset) / temperature,
        prototypes=rejection.prototypes,
        slope=rejection.slope / temperature,
        bounds=(lowest / temperature, highest / temperature),
    )
    return build_classifier(backbone, kernel, bias, branch)


def _balance(dataset: Dataset, training: Features) -> npt.NDArray[np.float32]:
    """How much an example of each class counts in the loss, `[classes]`; 1 unless unbalanced."""
    from edgebee.train.batches import class_weights

    classes = training.classes[training.photos]
    counts = np.bincount(classes)
    if counts.max() <= UNBALANCED_RATIO * counts.min():
        return np.ones(len(dataset.labels), np.float32)
    logger.info(
        "Unbalanced: %d photos of '%s', %d of '%s'; every class counts the same in the loss",
        counts.max(),
        dataset.labels[counts.argmax()],
        counts.min(),
        dataset.labels[counts.argmin()],
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
