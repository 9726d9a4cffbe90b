"""Calibration: a temperature that makes a score of 0.9 correct nine times in ten.

Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): dividing the logits by
one number, fitted on examples the model was not trained on, corrects overconfidence and never
changes which label is best.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["cross_entropy", "fit_temperature", "log_losses", "softmax", "withholding_threshold"]

_TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 321))
"""Candidates, 1 % apart: far finer than a few hundred photos can determine."""

WITHHELD_SHARE = 0.01
"""Share of correct predictions that the threshold turns into `unknown`."""
SURE = 0.95
"""Score that is never withheld."""


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Logits `[..., classes]` as scores of the same shape that add up to 1 over the classes."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float64)


def log_losses(
    logits: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """`-log(score of the true class)`, `[n]`.

    Args:
        logits: `[n, classes]`.
        classes: `[n]`, the true classes.
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    right = wide[np.arange(len(classes)), classes]
    return np.asarray(np.log(np.exp(wide).sum(axis=1)) - right, np.float64)


def cross_entropy(logits: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]) -> float:
    """Mean of `log_losses`."""
    return float(log_losses(logits, classes).mean())


def fit_temperature(logits: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]) -> float:
    """The temperature that gives out-of-fold examples the smallest log-loss.

    Args:
        logits: `[n, classes]`, of examples that the model was not trained on.
        classes: `[n]`, their true classes.

    Returns:
        A factor between 0.2 and 5 to divide logits by.
    """
    # The log-loss is convex in 1 / temperature: where it no longer falls, everything lower is left.
    low, high = 0, len(_TEMPERATURES) - 1
    while low < high:
        middle = (low + high) // 2
        here, above = (
            cross_entropy(logits / temperature, classes)
            for temperature in _TEMPERATURES[middle : middle + 2]
        )
        low, high = (low, middle) if here <= above else (middle + 1, high)
    return float(_TEMPERATURES[low])


def withholding_threshold(
    scores: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]
) -> float:
    """The score below which a prediction is better withheld, as `unknown`.

    It withholds one in a hundred of the correct predictions, by out-of-fold photos: incorrect
    ones and photos of something else score low far more often. Where the classes are easily
    distinguished, it withholds fewer: a score of `SURE` is an answer.

    Args:
        scores: `[n, classes]`, calibrated, of examples that the model was not trained on.
        classes: `[n]`, the true classes.

    Returns:
        0-1; 0 when no prediction is correct.
    """
    best = scores.max(axis=1)[scores.argmax(axis=1) == classes]
    return min(float(np.quantile(best, WITHHELD_SHARE)), SURE) if len(best) else 0.0
