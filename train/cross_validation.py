"""Cross-validation: predictions for the training photos by heads that did not learn from them.

The training photos are cut into folds. Each fold's photos are predicted by heads that learned
from the others, on the frozen base, one for each learning rate that comes into question. That
chooses the rate, whether crops of the subject are learned from as well, the temperature of the
scores, and the threshold below which a prediction is better withheld. All heads learn side by side
from the same batches, so that many cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgebee.train.batches import Batches
from edgebee.train.calibration import fit_temperature, log_losses, softmax, withholding_threshold
from edgebee.train.features import Features
from edgebee.train.folds import FOLDS, same_scenes, stratified_folds
from edgebee.train.recipe import DEFAULT_LEARNING_RATE, Recipe
from edgebee.train.rejection import Heads

if TYPE_CHECKING:
    from edgebee.train.fit import Fit

__all__ = ["Calibration", "OutOfFold", "calibrate", "choose_setting", "cross_validate"]

LEARNING_RATES = (DEFAULT_LEARNING_RATE, 2e-3, 8e-3)
"""That come into question, rising. A subject far from ImageNet's needs a high one to be learned in
ten epochs; where a low one is enough, a high one overfits."""
LEAST_PHOTOS = 5 * FOLDS
"""Below this everything here would be guessed, not measured."""
MOST_PHOTOS = 1_000
"""They decide one rate and one temperature; more of them would only take longer."""
MOST_CLASSES_FOR_ALL_FOLDS = 40
"""With more classes the heads are large and the photos many: one fold is predicted."""


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for photos that their heads had not learned from."""

    learning_rate: float
    """The heads': what the recipe says, else the one that suits the photos."""
    learn_subject_crops: bool
    """Whether they learned from crops of the subject as well: unless that is worse."""
    logits: npt.NDArray[np.float32]
    """`[photos, classes]`, of the photos as they are."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the true ones."""
    heads: Heads
    """That predicted them."""
    photos: npt.NDArray[np.int64]
    """`[photos of the heads]`, that were cut into folds, also those that no head predicts."""


@dataclass(frozen=True)
class Calibration:
    """How scores are made to mean what they say, fitted on out-of-fold predictions."""

    temperature: float
    """That the logits are divided by; 1 leaves them."""
    threshold: float | None
    """Score, 0-1, below which a prediction is better withheld; None when it was not measured."""


def cross_validate(training: Features, class_count: int, recipe: Recipe) -> OutOfFold | None:
    """Predict each photo by heads that did not see it, and choose what the photos are to decide.

    Args:
        training: features of the training photos.
        class_count: how many classes there are.
        recipe: the settings.

    Returns:
        None when there are too few photos.
    """
    if len(training.photos) < LEAST_PHOTOS:
        return None
    rng = np.random.default_rng(recipe.seed)
    # Of all photos, so that those whose background was cut out are the first of them, too.
    order = rng.permutation(len(training.classes))
    photos = np.sort(order[np.isin(order, training.photos)][:MOST_PHOTOS])
    training = replace(training, photos=photos)
    fold_of = _folds(training, recipe.seed)
    folds = FOLDS if class_count <= MOST_CLASSES_FOR_ALL_FOLDS else 1
    rates = LEARNING_RATES if recipe.learning_rate is None else (recipe.learning_rate,)
    classes = training.classes[photos[fold_of[photos] < folds]]

    crops = training.subject_crops
    compares = crops > 0 and recipe.subject_crops is None
    learned = (True, False) if compares else (True,)
    settings = [(rate, with_crops) for with_crops in learned for rate in rates]
    logits, heads = _predict_out_of_fold(training, fold_of, folds, settings, class_count, recipe)
    losses = _losses(logits[:, : training.augmentations - crops], classes)
    chosen = choose_setting(losses[: len(rates)]) if len(rates) > 1 else 0
    if compares and choose_setting(losses[[chosen, chosen + len(rates)]]):
        chosen += len(rates)
    rate, learn_subject_crops = settings[chosen]
    return OutOfFold(
        rate, learn_subject_crops, logits[:, 0, chosen], classes, heads[chosen], photos
    )


def _folds(training: Features, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each photo, `[photos]`; 0 for those that are not used."""
    photos = training.photos
    classes = training.classes[photos]
    plain = training.pooled.take(photos * training.augmentations)
    fold_of = np.zeros(len(training.classes), np.int64)
    fold_of[photos] = stratified_folds(classes, FOLDS, seed, same_scenes(plain, classes))
    return fold_of


def _predict_out_of_fold(
    training: Features,
    fold_of: npt.NDArray[np.int64],
    folds: int,
    settings: Sequence[tuple[float, bool]],
    class_count: int,
    recipe: Recipe,
) -> tuple[npt.NDArray[np.float32], list[Heads]]:
    """Learn a head for every setting and fold from the other folds, and predict its own.

    Args:
        training: features of the photos.
        fold_of: `[photos]`.
        folds: that are predicted; the first ones.
        settings: rates, and whether the crops of the subject are learned from.
        class_count: how many classes there are.
        recipe: the other settings.

    Returns:
        Logits `[photos, images, settings, classes]` of the photos in these folds, and the heads
        of each setting.
    """
    photos, images = training.photos, training.augmentations
    rates, crops = zip(*settings, strict=True)
    left_out = np.tile(np.arange(folds), len(settings))  # of each head, folds running fastest
    is_crop = np.arange(images) >= images - training.subject_crops
    batches = Batches(
        training,
        "feature_extraction",
        recipe.batch_size,
        recipe.seed,
        weights=(fold_of[:, np.newaxis] != left_out).astype(np.float32),
        image_weights=(~is_crop[:, np.newaxis] | np.repeat(crops, folds)).astype(np.float32),
    )
    fit = _fit(batches, np.repeat(rates, folds).tolist(), class_count, recipe)
    shape = (len(photos), images, len(settings), folds, class_count)
    every = fit.logits(training.pooled.take(rows) for rows in training.rows(photos)).reshape(shape)
    own = fold_of[photos]
    predicted = np.flatnonzero(own < folds)
    kernels, biases = fit.heads()
    heads = [
        Heads(kernels[start : start + folds], biases[start : start + folds], own)
        for start in range(0, len(kernels), folds)
    ]
    return every[predicted, :, :, own[predicted]], heads


def _fit(batches: Batches, rates: Sequence[float], class_count: int, recipe: Recipe) -> Fit:
    """Fit a head for every rate, side by side."""
    from edgebee.train.fit import Fit

    epochs = max(1, recipe.epochs)
    fit = Fit(
        batches.features.pooled.shape[1],
        class_count,
        learning_rates=rates,
        steps=epochs * batches.steps,
        batch_size=batches.batch_size,
        dropout=recipe.dropout,
        seed=recipe.seed,
    )
    for epoch in range(epochs):
        fit.learn(batches.of(epoch))
    return fit


def _losses(
    logits: npt.NDArray[np.float32], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Log-loss `[settings, photos]` over a photo's images, each with its best temperature.

    Without one, a low rate would look worse than it is: its scores are underconfident, which
    the temperature corrects afterwards.

    Args:
        logits: `[photos, images, settings, classes]`.
        classes: `[photos]`, the true ones.
    """
    photos, images, settings, class_count = logits.shape
    of_image = np.repeat(classes, images)
    losses = np.empty((settings, photos))
    for setting in range(settings):
        flat = logits[:, :, setting].reshape(photos * images, class_count)
        calibrated = flat / fit_temperature(flat, of_image)
        losses[setting] = log_losses(calibrated, of_image).reshape(photos, images).mean(axis=1)
    return losses


def choose_setting(losses: npt.NDArray[np.floating]) -> int:
    """The first setting that is as good as the best, as far as the photos show.

    The one-standard-error rule (Breiman et al., "Classification and Regression Trees", 1984,
    section 3.4.3), with the error of the paired differences: of settings that are
    not significantly different, the first.

    Args:
        losses: `[settings, photos]`, the preferred first; rates rise, since a low one fits the
            photos less closely.

    Returns:
        Its place; 0 when a loss is NaN, which the first epoch then refuses.
    """
    excess = losses - losses[losses.mean(axis=1).argmin()]
    error = excess.std(axis=1, ddof=1) / np.sqrt(losses.shape[1])
    return int(np.flatnonzero(~(excess.mean(axis=1) > error))[0])


def calibrate(out_of_fold: OutOfFold | None) -> Calibration:
    """Temperature and threshold from out-of-fold predictions; neither with too few photos."""
    if out_of_fold is None:
        return Calibration(1.0, None)
    logits, classes = out_of_fold.logits, out_of_fold.classes
    temperature = fit_temperature(logits, classes)
    return Calibration(temperature, withholding_threshold(softmax(logits / temperature), classes))
