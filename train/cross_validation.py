"""Held-out folds: what the training photos tell of a head that was not trained on them.

The training photos are cut into folds. Each fold's photos are asked of heads that learned from
the others, on the frozen base, one for each learning rate that comes into question. That tells
which rate suits the photos, how far scores can be believed, and below which an answer is better
withheld. All heads learn side by side from the same batches, so that many cost little more than
one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgebee.train.batches import FoldBatches
from edgebee.train.calibration import (
    FOLDS,
    fit_temperature,
    log_losses,
    softmax,
    stratified_folds,
    withholding_threshold,
)
from edgebee.train.features import Features
from edgebee.train.head import LinearHeads
from edgebee.train.recipe import DEFAULT_LEARNING_RATE, Recipe

__all__ = ["Calibration", "OutOfFold", "calibrate", "choose_rate", "cross_validate"]

LEARNING_RATES = (DEFAULT_LEARNING_RATE, 2e-3, 8e-3)
"""That come into question, rising. A subject far from ImageNet's needs a high one to be learned in
ten epochs; where a low one is enough, a high one overfits."""
LEAST_PHOTOS = 5 * FOLDS
"""Below this everything here would be guessed, not measured."""
MOST_PHOTOS = 1_000
"""Held-out photos tell one rate and one temperature; more of them would only take longer."""
MOST_CLASSES_FOR_ALL_FOLDS = 40
"""With more classes the heads are large and the photos many: one fold is held out."""


@dataclass(frozen=True)
class OutOfFold:
    """What heads said of photos that they had not learned from."""

    learning_rate: float
    """The heads': what the recipe says, else the one that suits the photos."""
    logits: npt.NDArray[np.float32]
    """`[photos, classes]`, of the plain views."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the right ones."""


@dataclass(frozen=True)
class Calibration:
    """What held-out folds of the training photos say of the scores."""

    temperature: float
    """That the logits are divided by; 1 leaves them."""
    threshold: float | None
    """Score, 0-1, below which an answer is better withheld; None when it was not measured."""


def cross_validate(training: Features, class_count: int, recipe: Recipe) -> OutOfFold | None:
    """Ask held-out photos, and choose the head's learning rate if the recipe leaves it open.

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
    photos = np.sort(rng.permutation(training.photos)[:MOST_PHOTOS])
    fold_of = np.zeros(len(training.classes), np.int64)
    fold_of[photos] = stratified_folds(training.classes[photos], FOLDS, recipe.seed)
    folds = FOLDS if class_count <= MOST_CLASSES_FOR_ALL_FOLDS else 1
    rates = LEARNING_RATES if recipe.learning_rate is None else (recipe.learning_rate,)
    heads = _learn(replace(training, photos=photos), fold_of, folds, rates, class_count, recipe)
    asked = photos[fold_of[photos] < folds]
    logits = np.empty((len(asked), training.views, len(rates), class_count), np.float32)
    for fold in range(folds):
        own = fold_of[asked] == fold
        rows = asked[own][:, np.newaxis] * training.views + np.arange(training.views)
        said = heads.logits(training.pooled.take(rows.ravel()), slice(fold, None, folds))
        logits[own] = said.reshape(len(rows), training.views, len(rates), class_count)
    classes = training.classes[asked]
    chosen = choose_rate(_losses(logits, classes)) if len(rates) > 1 else 0
    return OutOfFold(rates[chosen], logits[:, 0, chosen], classes)


def _learn(
    training: Features,
    fold_of: npt.NDArray[np.int64],
    folds: int,
    rates: tuple[float, ...],
    class_count: int,
    recipe: Recipe,
) -> LinearHeads:
    """Heads for every rate, and for every fold one that does not see it, folds running fastest."""
    batches = FoldBatches(
        training,
        fold_of,
        np.tile(np.arange(folds), len(rates)),
        class_count=class_count,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    epochs = max(1, recipe.epochs)
    heads = LinearHeads(
        training.pooled.shape[1],
        class_count,
        heads=folds * len(rates),
        steps=epochs * len(batches),
        learning_rate=np.repeat(rates, folds),
        dropout=recipe.dropout,
        seed=recipe.seed,
    )
    for epoch in range(epochs):
        heads.learn(batches.of(epoch), epoch)
    return heads


def _losses(
    logits: npt.NDArray[np.float32], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Log-loss `[rates, photos]` over a photo's views, each rate with its best temperature.

    Without one, a low rate would look worse than it is: its scores are timid, which the
    temperature mends afterwards.

    Args:
        logits: `[photos, views, rates, classes]`.
        classes: `[photos]`, the right ones.
    """
    photos, views, rates, class_count = logits.shape
    of_view = np.repeat(classes, views)
    losses = np.empty((rates, photos))
    for rate in range(rates):
        flat = logits[:, :, rate].reshape(photos * views, class_count)
        calibrated = flat / fit_temperature(flat, of_view)
        losses[rate] = log_losses(calibrated, of_view).reshape(photos, views).mean(axis=1)
    return losses


def choose_rate(losses: npt.NDArray[np.floating]) -> int:
    """The lowest rate that is as good as the best, as far as the photos can tell.

    The one-standard-error rule (Breiman et al., "Classification and Regression Trees", 1984,
    section 3.4.3), with the error of the paired differences: of settings that the photos cannot
    tell apart, the one that fits them least closely.

    Args:
        losses: `[rates, photos]`, rates rising.

    Returns:
        Its place; 0 when a loss is no number, which the first epoch then refuses.
    """
    excess = losses - losses[losses.mean(axis=1).argmin()]
    error = excess.std(axis=1, ddof=1) / np.sqrt(losses.shape[1])
    return int(np.flatnonzero(~(excess.mean(axis=1) > error))[0])


def calibrate(out_of_fold: OutOfFold | None) -> Calibration:
    """Temperature and threshold from held-out folds; neither when there were too few photos."""
    if out_of_fold is None:
        return Calibration(1.0, None)
    logits, classes = out_of_fold.logits, out_of_fold.classes
    temperature = fit_temperature(logits, classes)
    return Calibration(temperature, withholding_threshold(softmax(logits / temperature), classes))
