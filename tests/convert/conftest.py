"""Photos and a small trained model, for the tests of the command.

What loads TensorFlow is imported by the fixtures: without it, tests are skipped and not broken.
"""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def warnings():
    """What the library warns of while the test runs, in its own words."""
    messages = []

    class Collector(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    # Not pytest's `caplog`: once a command has run in this process, nothing goes to the root.
    handler = Collector(logging.WARNING)
    logger = logging.getLogger("edgebee")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture
def photos(tmp_path):
    """Class folders of softly spotted photos, sixteen a class."""
    from fragile_models import smooth_picture

    rng = np.random.default_rng(0)
    for label, level in (("dark", 60), ("light", 190)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(16):
            pixels = smooth_picture(rng, (level, level, level))
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path, photos):
    """What a training leaves, as far as `convert` looks: model, labels, which photos."""
    from small_models import classifier

    folder = tmp_path / "trained"
    folder.mkdir()
    classifier().save(folder / "model.keras")
    (folder / "labels.txt").write_text("dark\nlight\n")
    data = {"source": str(photos), "val_fraction": 0.25, "seed": 3, "exclude": []}
    (folder / "history.json").write_text(json.dumps({"data": data}))
    return folder
