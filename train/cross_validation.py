"""Cross-validation: predictions for the training photos by heads that did not learn from them.

The training photos are cut into folds. Each fold's photos are predicted by heads that learned
from the others, on the frozen base, one for each learning rate that comes into question. That
chooses the rate, the temperature of the scores, and the threshold below which a prediction is
better withheld. All heads learn side by side from the same batches, so that many cost little
more than one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgebee.photos.duplicates import group_same_pictures
from edgebee.train.batches import Batches
from edgebee.train.calibration import (
    FOLDS,
    fit_temperature,
    log_losses,
    softmax,
    stratified_folds,
    withholding_threshold,
)
from edgebee.train.features import Features
from edgebee.train.recipe import DEFAULT_LEARNING_RATE, Recipe
from edgebee.train.rejection import Heads

if TYPE_CHECKING:
    from edgebee.train.fit import Fit

__all__ = ["Calibration", "OutOfFold", "calibrate", "choose_rate", "cross_validate"]

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
    """Predict each photo by heads that did not see it, and choose the rate if that is left open.

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
    fold_of = np.zeros(len(training.classes), np.int64)
    fold_of[photos] = _folds(training, photos, recipe.seed)
    folds = FOLDS if class_count <= MOST_CLASSES_FOR_ALL_FOLDS else 1
    rates = LEARNING_RATES if recipe.learning_rate is None else (recipe.learning_rate,)
    predicted = fold_of[photos] < folds
    shape = (len(photos), training.augmentations, len(rates), folds, class_count)
    chosen_photos = replace(training, photos=photos)
    fit = _fit(chosen_photos, fold_of, folds, rates, class_count, recipe)
    rows = photos[:, np.newaxis] * training.augmentations + np.arange(training.augmentations)
    every = fit.logits(training.pooled.take(one) for one in rows).reshape(shape)
    # Of each photo the heads that left its own fold out.
    own = fold_of[photos][predicted]
    logits = every[predicted][np.arange(len(own)), :, :, own]
    classes = training.classes[photos[predicted]]
    chosen = choose_rate(_losses(logits, classes)) if len(rates) > 1 else 0
    kernels, biases = fit.heads()
    own_rate = slice(chosen * folds, (chosen + 1) * folds)
    heads = Heads(kernels[own_rate], biases[own_rate], fold_of[photos])
    return OutOfFold(rates[chosen], logits[:, 0, chosen], classes, heads, photos)


def _folds(training: Features, photos: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """The fold of each of `photos`; those that show the same are in one.

    In two, the one would be predicted by a head that learned from the other: a burst of a camera
    would make every prediction look sure.
    """
    fold_of = stratified_folds(training.classes[photos], FOLDS, seed)
    signatures = [training.signatures[photo] for photo in photos.tolist()]
    for group in group_same_pictures([b""] * len(photos), signatures):
        fold_of[list(group.members)] = fold_of[group.members[0]]
    return fold_of


def _fit(
    training: Features,
    fold_of: npt.NDArray[np.int64],
    folds: int,
    rates: tuple[float, ...],
    class_count: int,
    recipe: Recipe,
) -> Fit:
    """Fit a head for every rate and fold that does not see the fold, folds running fastest."""
    from edgebee.train.fit import Fit

    left_out = np.tile(np.arange(folds), len(rates))
    weights = (fold_of[:, np.newaxis] != left_out).astype(np.float32)
    batches = Batches(training, "feature_extraction", recipe.batch_size, recipe.seed, weights)
    epochs = max(1, recipe.epochs)
    fit = Fit(
        training.pooled.shape[1],
        class_count,
        learning_rates=np.repeat(rates, folds).tolist(),
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
    """Log-loss `[rates, photos]` over a photo's images, each rate with its best temperature.

    Without one, a low rate would look worse than it is: its scores are underconfident, which
    the temperature corrects afterwards.

    Args:
        logits: `[photos, images, rates, classes]`.
        classes: `[photos]`, the true ones.
    """
    photos, images, rates, class_count = logits.shape
    of_image = np.repeat(classes, images)
    losses = np.empty((rates, photos))
    for rate in range(rates):
        flat = logits[:, :, rate].reshape(photos * images, class_count)
        calibrated = flat / fit_temperature(flat, of_image)
        losses[rate] = log_losses(calibrated, of_image).reshape(photos, images).mean(axis=1)
    return losses


def choose_rate(losses: npt.NDArray[np.floating]) -> int:
    """The lowest rate that is as good as the best, as far as the photos show.

    The one-standard-error rule (Breiman et al., "Classification and Regression Trees", 1984,
    section 3.4.3), with the error of the paired differences: of settings that are
    not significantly different, the one that fits them least closely.

    Args:
        losses: `[rates, photos]`, rates rising.

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
