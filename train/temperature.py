"""Calibrated scores: a temperature that makes "0.9" right nine times in ten.

Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): dividing the logits by
one number, fitted on examples the model was not trained on, mends over-confidence and never
changes which label is best.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["expected_calibration_error", "fit_temperature", "softmax", "stratified_folds"]

FOLDS = 4
"""Parts that the training photos are cut into; each is held out once."""

_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 321))
"""Candidates, 1 % apart: far finer than what a few hundred photos can tell."""

_BINS = 15
"""As in Guo et al."""


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Logits `[n, classes]` as scores `[n, classes]` that add up to 1 in each row."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float64)


def fit_temperature(logits: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]) -> float:
    """The temperature that gives held-out examples the smallest log-loss.

    Args:
        logits: `[n, classes]`, of examples that the model was not trained on.
        classes: `[n]`, their right classes.

    Returns:
        A factor between 0.2 and 5 to divide logits by.
    """
    wide = logits.astype(np.float64)
    rows = np.arange(len(classes))
    losses = [
        -np.log(softmax(wide / temperature)[rows, classes] + 1e-12).mean()
        for temperature in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def expected_calibration_error(
    scores: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]
) -> float:
    """How far the best scores are from the share that is right, on average over bins.

    Args:
        scores: `[n, classes]`, rows adding up to 1.
        classes: `[n]`, the right classes.

    Returns:
        0 (calibrated) to 1.
    """
    best = scores.max(axis=1)
    right = scores.argmax(axis=1) == classes
    bins = np.minimum((best * _BINS).astype(int), _BINS - 1)
    error = sum(abs(best[bins == one].sum() - right[bins == one].sum()) for one in np.unique(bins))
    return float(error / len(classes))


def stratified_folds(
    classes: npt.NDArray[np.int64], folds: int, seed: int
) -> npt.NDArray[np.int64]:
    """Which fold each example is in, every class spread evenly over the folds.

    Args:
        classes: `[n]`.
        folds: how many.
        seed: which examples go together.

    Returns:
        `[n]`, 0 to `folds` - 1.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(classes))
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    fold = np.empty(len(classes), np.int64)
    fold[order] = np.arange(len(classes)) % folds
    return fold
