"""`edgebee.convert_model`, as a program calls it: typed results, nothing printed."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

pytest.importorskip("keras", reason="needs edgebee[train]")
import edgebee
from edgebee.photos.dataset import load_dataset


def test_it_returns_what_it_wrote_and_prints_nothing(folder, capfd, tensorflow_started):
    steps = []
    made = edgebee.convert_model(
        folder / "model.keras", formats=["int8", "float32"], progress=steps.append
    )
    assert [one.format for one in made] == ["float32", "int8"]  # in their own order
    for one in made:
        content = one.path.read_bytes()
        assert one.path == folder / f"model_{one.format}.tflite"
        assert one.size_bytes == len(content)
        assert one.sha256 == hashlib.sha256(content).hexdigest()
        assert one.verification.comparison.total == 8
    with pytest.raises(dataclasses.FrozenInstanceError):
        made[0].format = "int8"
    assert capfd.readouterr().out == ""
    done = {step.task: (step.done, step.total) for step in steps}
    assert done == {
        "reading training photos": (24, 24),
        "reading validation photos": (8, 8),
        "converting": (2, 2),
    }


def test_a_result_is_readable(folder):
    (int8,) = edgebee.convert_model(str(folder / "model.keras"), output=folder / "out")
    assert repr(int8) == (
        f"ConvertedModel(int8, '{folder}/out/model_int8.tflite', "
        f"{int8.size_bytes / 1e6:.2f} MB, 8 of 8 correct (Keras 8))"
    )


def test_photos_can_be_handed_over(folder, photos):
    (folder / "history.json").unlink()
    (folder / "labels.txt").unlink()
    dataset = load_dataset(str(photos), val_fraction=0.5, seed=1)
    (int8,) = edgebee.convert_model(folder / "model.keras", dataset)
    assert int8.verification.comparison.total == 16


@pytest.mark.parametrize("formats", ["int8", ["int4"], []])
def test_formats_that_nobody_knows_are_refused_at_once(folder, formats):
    with pytest.raises(edgebee.EdgebeeError, match="take a list of float32"):
        edgebee.convert_model(folder / "model.keras", formats=formats)
    assert not list(folder.glob("*.tflite"))
