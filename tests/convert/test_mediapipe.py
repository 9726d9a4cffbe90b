"""MediaPipe Tasks, a reader of the metadata standard that is none of ours, says the same.

It brings its own TensorFlow Lite and cannot share an environment with ours for ever: the
variable EDGEBEE_MEDIAPIPE_PYTHON names an interpreter that has the package `mediapipe`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgebee.edge
from edgebee.edge.classify import Classifier, find_images, read_labels, read_photo

VARIABLE = "EDGEBEE_MEDIAPIPE_PYTHON"
PYTHON = os.environ.get(VARIABLE)
SCRIPT = Path(__file__).with_name("mediapipe_answers.py")
SHIPPED = Path(edgebee.edge.__file__).parent / "models" / "hymenoptera_int8.tflite"
VALIDATION_PHOTOS = 153
STEP = 1 / 256
"""Of an int8 model's scores."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PYTHON is None, reason=f"{VARIABLE} names no Python with mediapipe"),
]


def answers_of_mediapipe(model: Path, crops: np.ndarray, folder: Path) -> list[dict[str, float]]:
    np.save(folder / "crops.npy", crops)
    done = subprocess.run(
        [PYTHON, str(SCRIPT), str(model), str(folder / "crops.npy")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def both(model: Path, crops: np.ndarray, folder: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The labels, and the scores of MediaPipe and of the runner, `[crops, labels]`."""
    labels = list(read_labels(model))
    theirs = answers_of_mediapipe(model, crops, folder)
    assert [sorted(answer) for answer in theirs] == [sorted(labels)] * len(crops)
    classifier = Classifier(model, threshold=0.0)
    ours = [classifier(crop).scores for crop in crops]
    scores = [[[one[label] for label in labels] for one in side] for side in (theirs, ours)]
    return labels, np.array(scores[0]), np.array(scores[1])


@pytest.mark.hymenoptera
def test_the_same_labels_on_all_validation_photos(hymenoptera, tmp_path):
    photos = list(find_images([hymenoptera / "val"]))
    assert len(photos) == VALIDATION_PHOTOS
    crops = np.stack([read_photo(photo, (224, 224)) for photo in photos])
    _, theirs, ours = both(SHIPPED, crops, tmp_path)
    assert (theirs.argmax(axis=1) == ours.argmax(axis=1)).all()
    # Both run int8 with XNNPACK, of different releases: a rounding somewhere, a few steps here.
    assert np.abs(theirs - ours).max() <= 4 * STEP
    of_bees = np.array([photo.parent.name == "bees" for photo in photos])
    assert ((theirs.argmax(axis=1) == 1) == of_bees).mean() > 0.95  # the answers mean something


@pytest.mark.parametrize(
    ("format_", "tolerance"),
    [
        ("float32", 1e-3),  # kernels add up in another order
        ("float16", 1e-3),
        ("dynamic", 0.05),  # activations are quantized on the way: a rounding can become a step
        ("int8", 4 * STEP),
    ],
)
def test_every_format_is_read_with_its_normalization(artifacts, tmp_path, format_, tolerance):
    from edgebee.photos.dataset import load_dataset

    photos = load_dataset("sample").validation.paths[::6]
    crops = np.stack([read_photo(photo, (96, 96)) for photo in photos])
    _, theirs, ours = both(artifacts / f"model_{format_}.tflite", crops, tmp_path)
    assert np.abs(theirs - ours).max() <= tolerance
    assert np.ptp(theirs[:, 0]) > 0.2  # pixels that were scaled wrongly would all look alike


def test_neither_is_one_category_like_the_others(tmp_path):
    model = Path(__file__).parents[1] / "edge" / "dark_light_neither.tflite"
    colours = [(30, 30, 30), (200, 200, 200), (60, 190, 60)]
    crops = np.stack([np.full((32, 48, 3), colour, np.uint8) for colour in colours])
    labels, theirs, ours = both(model, crops, tmp_path)
    assert [labels[best] for best in theirs.argmax(axis=1)] == ["dark", "light", "neither"]
    assert np.abs(theirs - ours).max() <= 4 * STEP
