"""What plain int8 cannot do is named: ranges that are too wide."""

from __future__ import annotations

import pytest

pytest.importorskip("keras", reason="needs edgebee[train]")
from fragile_models import LABELS, red_or_blue, write_photos

from edgebee.convert.conversion import FormatsRefusedError, convert_model
from edgebee.photos.dataset import load_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_dataset(str(write_photos(tmp_path_factory.mktemp("quantize") / "photos", 30)))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    return tmp_path


def test_a_loud_channel_ruins_int8_and_not_dynamic(folder, dataset):
    # One channel of 2000 times the others' values: with one range for all, the others are lost.
    red_or_blue(loud=2000).save(folder / "model.keras")
    with pytest.raises(FormatsRefusedError, match="take float16, or dynamic") as refusal:
        convert_model(folder / "model.keras", dataset, formats=["dynamic", "int8"])
    (dynamic,), (int8,) = refusal.value.converted, refusal.value.refused
    assert dynamic.path.is_file()
    assert dynamic.verification.comparison.correct == dynamic.verification.comparison.total
    assert int8.format == "int8"
    assert not int8.path.exists()


def test_scales_that_no_kernel_takes_are_refused(folder, dataset):
    red_or_blue(loud=1e6, stages=20).save(folder / "model.keras")
    with pytest.raises(FormatsRefusedError, match="does not run: damaged"):
        convert_model(folder / "model.keras", dataset)
