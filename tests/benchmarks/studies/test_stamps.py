"""Folders to measure neither on, made of cut-out pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edgebee.benchmarks.studies.__main__ import studies
from edgebee.benchmarks.studies.stamps import CLASSES, KINDS, STRANGERS
from edgebee.photos.dataset import load_dataset


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """Two cut-outs for each pattern of the study, coloured noise on nothing; and a cartoon."""
    folder = tmp_path_factory.mktemp("stamps")
    rng = np.random.default_rng(0)
    patterns = [one for many in (*STRANGERS.values(), *KINDS.values()) for one in many]
    patterns += ["animals/insects/hornet.png", "animals/birds/cartoon/*.png"]
    for pattern in patterns:
        for name in "ab":
            path = folder / pattern.replace("**/", "").replace("money/*", "money/coins")
            path = path.with_name(path.name.replace("*", name))
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (60, 60, 4), np.uint8)
            pixels[..., 3] = 255
            pixels[:10, :, 3] = 0
            Image.fromarray(pixels).save(path)
    return folder


@pytest.mark.hymenoptera
def test_strangers_others_and_classes_are_made(source, tmp_path):
    output = tmp_path / "made"
    done = CliRunner().invoke(studies, ["stamps", str(source), str(output)])
    assert done.exit_code == 0, done.output
    folders = {folder.name for folder in (output / "strangers").iterdir()}
    assert folders == {*STRANGERS, "blank frames"}
    assert len(list((output / "strangers" / "insects").iterdir())) == 5 * 10 * 2
    assert len(list((output / "other").iterdir())) == 60
    for name, (kinds, *_) in CLASSES.items():
        assert load_dataset(output / "classes" / name).labels == tuple(sorted(list(KINDS)[:kinds]))
    made = [np.asarray(Image.open(path)) for path in output.rglob("*.png")]
    assert {pixels.shape for pixels in made} == {(224, 224, 3)}

    done = CliRunner().invoke(studies, ["stamps", str(source), str(output)])
    assert done.exit_code == 1
    assert done.output == f"Error: {output}: exists already; name another folder\n"


@pytest.mark.hymenoptera
def test_a_folder_without_stamps_is_refused(tmp_path):
    done = CliRunner().invoke(studies, ["stamps", str(tmp_path), str(tmp_path / "made")])
    assert done.exit_code == 1
    assert f"Error: {tmp_path}: no stamps animals/insects/grasshopper.png" in done.output
    assert not (tmp_path / "made").exists()
