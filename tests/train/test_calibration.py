"""Calibrated scores."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.stats import expected_calibration_error
from edgebee.train.calibration import cross_entropy, fit_temperature, softmax, withholding_threshold


def calibrated_examples(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn with exactly the chances that the logits say."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, classes))
    chances = softmax(logits).cumsum(axis=1)
    return logits, (rng.random((count, 1)) < chances).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_applied_is_found(temperature):
    logits, classes = calibrated_examples(20_000, 3)
    # 20,000 draws tell a temperature to about 2 %, and the candidates are 1 % apart.
    assert fit_temperature(logits * temperature, classes) == pytest.approx(temperature, rel=0.04)


@pytest.mark.parametrize("scale", [0.05, 0.7, 1.3, 40])
def test_no_other_candidate_gives_a_smaller_loss(scale):
    logits, classes = calibrated_examples(200, 3)
    found = fit_temperature(logits * scale, classes)
    least = min(cross_entropy(logits * scale / one, classes) for one in np.geomspace(0.2, 5, 321))
    assert cross_entropy(logits * scale / found, classes) == pytest.approx(least, rel=1e-12)


def test_calibration_mends_the_error_and_keeps_every_answer():
    logits, classes = calibrated_examples(20_000, 3)
    sure = logits * 3
    temperature = fit_temperature(sure, classes)
    before, after = softmax(sure), softmax(sure / temperature)
    assert expected_calibration_error(before, classes) > 0.1
    assert expected_calibration_error(after, classes) < 0.02  # sampling noise of 15 bins
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))


@pytest.mark.parametrize(("lowest", "expected"), [(0.6, 0.6), (0.99, 0.95)])
def test_a_sure_prediction_is_never_withheld(lowest, expected):
    scores = np.full((200, 2), [lowest, 1 - lowest])
    assert withholding_threshold(scores, np.zeros(200, np.int64)) == pytest.approx(expected)
