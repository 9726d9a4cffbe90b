"""What an interrupted training leaves, and what is refused as such."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from edgebee.errors import TrainingError
from edgebee.photos.dataset import load_dataset
from edgebee.run import Epoch
from edgebee.train.checkpoint import Checkpoint, Checkpoints, clear_checkpoint
from edgebee.train.recipe import Recipe

EPOCH = Epoch(
    epoch=1, phase="feature_extraction", seconds=1.0,
    loss=0.5, accuracy=0.8, val_loss=0.4, val_accuracy=0.9,
)  # fmt: skip
STATE = Checkpoint((EPOCH,), (np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7)))


@pytest.fixture
def dataset(tmp_path):
    for name in ("ants/1.jpg", "ants/2.jpg", "bees/1.jpg", "bees/2.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"only its name and size count here")
    return load_dataset(str(tmp_path / "photos"))


@pytest.fixture
def checkpoints(dataset, tmp_path):
    kept = Checkpoints(tmp_path, Recipe(), dataset)
    kept.save(STATE)
    return kept


def without_layout(content: bytes) -> bytes:
    """A checkpoint as it was before its layout had a number."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    header = json.loads(str(arrays.pop("header")))
    del header["layout"]
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array(json.dumps(header)), **arrays)
    return buffer.getvalue()


def test_what_was_kept_comes_back(checkpoints):
    loaded = checkpoints.load()
    assert loaded.epochs == STATE.epochs
    for ours, theirs in zip(loaded.variables, STATE.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_once_forgotten_there_is_none(checkpoints):
    clear_checkpoint(checkpoints.path.parent)
    with pytest.raises(TrainingError, match="no interrupted training there; leave --resume out"):
        checkpoints.load()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_layout, "made by another version of edgebee"),
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: content.replace(np.float32(4).tobytes(), b"\xff" * 4), "damaged"),
        (lambda _: b"", "damaged"),
        (lambda _: b"no archive", "damaged"),
    ],
    ids=["older", "half", "altered", "empty", "text"],
)
def test_what_cannot_be_gone_on_with_is_one_line(checkpoints, change, said):
    content = checkpoints.path.read_bytes()
    assert change(content) != content
    checkpoints.path.write_bytes(change(content))
    with pytest.raises(TrainingError, match=f"{said}.*leave --resume out") as refused:
        checkpoints.load()
    assert str(checkpoints.path) in str(refused.value)


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"augmentations": 2}, {"image_size": 96}], ids=str
)
def test_other_settings_are_another_training(checkpoints, dataset, tmp_path, changed):
    with pytest.raises(TrainingError, match="had other settings or photos"):
        Checkpoints(tmp_path, replace(Recipe(), **changed), dataset).load()
