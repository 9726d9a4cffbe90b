"""`edgebee convert`: what it says, which photos it looks at, what it leaves behind."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgebee.edge.classify import Classifier

pytest.importorskip("keras", reason="needs edgebee[train]")
from fragile_models import smooth_picture
from small_models import classifier

# ------------------------------------------------------------------ what it says


def test_results_on_stdout_talk_on_stderr(edgebee, folder):
    done = edgebee("convert", folder / "model.keras", "--quantize", "int8")
    assert done.status == 0
    assert done.out.startswith(f"{folder / 'model_int8.tflite'}: ")
    assert len(done.out.splitlines()) == 1
    assert done.errors == [
        "int8 is calibrated on 24 training photos",
        f"Next: edgebee benchmark {folder}",
    ]


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ([], ["int8"]),
        (["--quantize", "float16"], ["float16"]),
        (["--quantize", "int8", "--quantize", "float32"], ["float32", "int8"]),
        (["--quantize", "all", "--quantize", "int8"], ["dynamic", "float16", "float32", "int8"]),
    ],
)
def test_formats_asked_for_are_made_and_no_others(edgebee, folder, tmp_path, options, made):
    done = edgebee("convert", folder / "model.keras", *options, "--output", tmp_path / "a" / "b")
    assert done.status == 0
    names = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    assert names == ["SHA256SUMS", *(f"model_{format_}.tflite" for format_ in made)]
    assert done.errors[-2].startswith(f"Next: edgebee classify -m {tmp_path / 'a' / 'b'}")


def test_the_default_model_is_the_one_that_train_writes(edgebee, folder, monkeypatch):
    folder.rename(folder.with_name("artifacts"))
    monkeypatch.chdir(folder.parent)
    done = edgebee("convert")
    assert done.status == 0
    assert Path("artifacts/model_int8.tflite").is_file()
    assert done.errors[-1] == "Next: edgebee benchmark"


def test_a_model_from_elsewhere_is_welcome(edgebee, folder, photos):
    # Keras' older format, no history: whoever brings it names the photos.
    classifier().save(folder / "mine.h5")
    (folder / "history.json").unlink()
    done = edgebee("convert", folder / "mine.h5", "--data", photos)
    assert done.status == 0
    answer = Classifier(folder / "model_int8.tflite")(photos / "dark" / "0.png")
    assert set(answer.scores) == {"dark", "light"}


def test_an_existing_file_is_replaced_whole(edgebee, folder):
    path = folder / "model_int8.tflite"
    path.write_text("old")
    leftover = folder / ".model_int8.99999part.tflite"  # of a run that was killed
    leftover.write_text("half")
    assert edgebee("convert", folder / "model.keras").status == 0
    assert path.read_bytes()[4:8] == b"TFL3"
    assert not leftover.exists()


# ------------------------------------------------------------------ which photos


def redraw(paths, level):
    """Give photos another brightness."""
    rng = np.random.default_rng(1)
    for path in paths:
        Image.fromarray(smooth_picture(rng, (level, level, level))).save(path)


def network(path):
    """The model without the zip behind it, which also tells of the photos for verifying."""
    with zipfile.ZipFile(path) as archive:
        return path.read_bytes()[: archive.infolist()[0].header_offset]


def manifest(path):
    """What the file says of itself."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("edgebee.json"))


def test_calibration_never_sees_a_validation_photo(edgebee, folder, photos):
    from edgebee.photos.dataset import load_dataset

    dataset = load_dataset(str(photos), val_fraction=0.25, seed=3)
    made = []
    for change in (None, dataset.validation, dataset.train):
        if change is not None:
            # The mean colour of a photo is all that this model looks at.
            redraw(change.paths, 240)
        assert edgebee("convert", folder / "model.keras").status == 0
        made.append(network(folder / "model_int8.tflite"))
    assert made[0] == made[1]
    assert made[1] != made[2]


@pytest.mark.parametrize("spelling", ["absolute", "relative", "with a detour"])
def test_naming_the_training_photos_keeps_their_split(
    edgebee, folder, photos, monkeypatch, spelling
):
    # Otherwise photos that the model has learned would be asked in the benchmark.
    from edgebee.photos.dataset import load_dataset

    monkeypatch.chdir(photos.parent)
    # In any other split one of these would be calibrated on, and be seen in the bytes.
    redraw(load_dataset(str(photos), val_fraction=0.25, seed=3).validation.paths, 240)
    data = {"absolute": photos, "relative": "photos", "with a detour": "./trained/../photos/"}
    assert edgebee("convert", folder / "model.keras").status == 0
    expected = (folder / "model_int8.tflite").read_bytes()
    assert edgebee("convert", folder / "model.keras", "--data", data[spelling]).status == 0
    assert (folder / "model_int8.tflite").read_bytes() == expected


@pytest.mark.slow
def test_seed_and_samples_choose_the_photos(edgebee, folder, photos):
    # Every photo in another grey, so that another choice is another range.
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        redraw([path], 20 + 7 * number)

    def made(*options):
        assert edgebee("convert", folder / "model.keras", *options).status == 0
        return network(folder / "model_int8.tflite")

    assert made("--samples", 8) == made("--samples", 8, "--seed", 0)
    assert len({made("--samples", 8, "--seed", seed) for seed in range(4)}) > 1
    drawn = manifest(folder / "model_int8.tflite")["provenance"]["calibration"]["files"]
    assert len(drawn) == 8


def test_a_damaged_photo_is_left_out_aloud(edgebee, folder, photos):
    for path in photos.glob("dark/1*"):
        path.write_bytes(path.read_bytes()[:50])
    done = edgebee("convert", folder / "model.keras")
    assert done.status == 0
    warnings = [line for line in done.errors if line.startswith("warning: ")]
    assert len(warnings) == 7  # 1 and 10 to 15, for calibration or for verification
    assert all("dark" in line and line.endswith("left out") for line in warnings)


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfdark\r\n\r\nlight \r\n", b"0 dark\n1 light\n", b"1: dark\n2: light\n"],
    ids=["BOM, CRLF, blank lines", "numbered from 0", "numbered from 1"],
)
def test_labels_as_other_programs_write_them(edgebee, folder, content):
    (folder / "labels.txt").write_bytes(content)
    done = edgebee("convert", folder / "model.keras", "--quantize", "float32")
    assert done.status == 0, done.err
    assert "8 of 8 correct" in done.out
    assert manifest(folder / "model_float32.tflite")["labels"] == ["dark", "light"]


def test_the_order_of_the_scores_is_that_of_the_labels(edgebee, folder):
    # Class folders are in the order of their names; the model's scores need not be.
    import keras

    model = keras.models.load_model(folder / "model.keras")
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel[:, ::-1], bias[::-1]])
    model.save(folder / "model.keras")
    (folder / "labels.txt").write_text("light\ndark\n")
    done = edgebee("convert", folder / "model.keras")
    assert done.status == 0, done.err
    assert "8 of 8 correct" in done.out
    assert manifest(folder / "model_int8.tflite")["labels"] == ["light", "dark"]
