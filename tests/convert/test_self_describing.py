"""What a converted file says of itself, and that it is true."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras", reason="needs edgebee[train]")
from fragile_models import LABELS, red_or_blue, write_photos

from edgebee.convert.conversion import convert_model
from edgebee.convert.golden import choose_pictures, draw_pictures, encode_png, enlarge
from edgebee.convert.verification import run_model
from edgebee.edge.classify import read_labels, read_manifest, selftest
from edgebee.edge.tflite.runtimes import list_operators

FORMATS = ("float32", "float16", "dynamic", "int8")


MICRO_PYTHON = os.environ.get("EDGEBEE_MICRO_PYTHON")
"""With `tflite-micro`, the interpreter of TensorFlow Lite for Microcontrollers."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("described") / "photos", 30)


@pytest.fixture(scope="module")
def source(tmp_path_factory, photos):
    """A model with the record of its training."""
    folder = tmp_path_factory.mktemp("described") / "trained"
    folder.mkdir()
    red_or_blue().save(folder / "model.keras")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    data = {"source": str(photos), "val_fraction": 0.4, "seed": 0, "exclude": []}
    result = {"correct": 24, "total": 24, "calibration": {"temperature": 0.8, "threshold": 0.6}}
    (folder / "history.json").write_text(json.dumps({"data": data, "validation": result}))
    return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    """Every format of it."""
    folder = tmp_path_factory.mktemp("described") / "made"
    convert_model(source / "model.keras", formats=FORMATS, samples=20, seed=5, output=folder)
    return folder


def file(made, format_):
    return made / f"model_{format_}.tflite"


@pytest.mark.parametrize("format_", FORMATS)
def test_the_manifest_is_all_there(made, source, format_):
    manifest = read_manifest(file(made, format_))
    assert list(manifest) == [
        "format_version", "labels", "preprocessing", "scores", "golden", "provenance",
        "verification", "runtime", "network",
    ]  # fmt: skip
    assert manifest["format_version"] == 1
    assert tuple(manifest["labels"]) == read_labels(file(made, format_)) == LABELS
    assert manifest["preprocessing"] == {
        "height": 32, "width": 32, "dtype": "uint8" if format_ == "int8" else "float32",
        "colour": "RGB", "range": [0, 255], "orientation": "EXIF",
        "fit": "short side scaled, centre cut", "resampling": "bicubic", "transparency": "white",
    }  # fmt: skip
    assert manifest["scores"] == {"temperature": 0.8, "threshold": 0.6}
    keras = hashlib.sha256((source / "model.keras").read_bytes()).hexdigest()
    provenance = manifest["provenance"]
    assert provenance["keras_sha256"] == keras
    assert provenance["format"] == format_
    assert provenance["seed"] == 5
    assert provenance["recovery"] is None
    for name in ("weights_sha256", "data_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", provenance[name])
    assert provenance["versions"].keys() >= {"edgebee", "tensorflow", "keras", "ai-edge-litert"}
    seen = manifest["verification"]
    assert (seen["total"], seen["keras_correct"], seen["correct"]) == (24, 24, 24)
    assert seen["max_drop"] == 2.0


def test_the_calibration_photos_are_named(made, photos):
    calibration = read_manifest(file(made, "int8"))["provenance"]["calibration"]
    assert len(calibration["files"]) == len(set(calibration["files"])) == 20
    from edgebee.photos.dataset import load_dataset

    dataset = load_dataset(str(photos), val_fraction=0.4, seed=0)
    training = {path.relative_to(photos).as_posix() for path in dataset.train.paths}
    assert set(calibration["files"]) <= training
    assert calibration["of_class"] == {"blue": 10, "red": 10}
    assert calibration["distinct"] == 20


def test_floats_need_no_calibration(made):
    assert read_manifest(file(made, "float16"))["provenance"]["calibration"] is None


@pytest.mark.parametrize("format_", FORMATS)
def test_the_operators_are_those_of_the_file(made, format_):
    runtime = read_manifest(file(made, format_))["runtime"]
    operators = list_operators(file(made, format_).read_bytes())
    assert runtime["operators"] == [list(operator) for operator in operators]
    assert re.fullmatch(r"\d+\.\d+\.\d+", runtime["min_version"])


@pytest.mark.parametrize("format_", FORMATS)
def test_the_network_is_the_one_in_front_of_the_zip(made, format_):
    content = file(made, format_).read_bytes()
    network = read_manifest(file(made, format_))["network"]
    assert content[network["bytes"] :].startswith(b"PK")
    held = content[: network["bytes"]]
    assert hashlib.sha256(held).hexdigest() == network["sha256"]
    assert zlib.crc32(held) == network["crc32"]


@pytest.mark.parametrize("format_", FORMATS)
def test_no_dates_and_no_paths_inside(made, photos, format_):
    content = file(made, format_).read_bytes()
    for folder in (photos, made):
        assert str(folder).encode() not in content
    with zipfile.ZipFile(file(made, format_)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist()[:2] == ["labels.txt", "edgebee.json"]


# ------------------------------------------------------------------ golden samples


@pytest.mark.parametrize("format_", FORMATS)
def test_the_runner_tests_itself(made, format_):
    tested = selftest(file(made, format_))
    assert tested.passed
    assert tested.difference < 1e-4


@pytest.mark.parametrize("format_", FORMATS)
def test_scores_of_both_kinds_of_kernel_are_recorded(made, format_):
    content = file(made, format_).read_bytes()
    golden = read_manifest(file(made, format_))["golden"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        small = [Image.open(io.BytesIO(archive.read(one["file"]))) for one in golden["samples"]]
    assert all(one.mode == "RGB" and max(one.size) <= 64 for one in small)
    pixels = np.stack([enlarge(np.asarray(one), (32, 32)) for one in small])
    for kernels in ("xnnpack", "builtin"):
        recorded = np.float32([one["scores"][kernels] for one in golden["samples"]])
        scores = run_model(content, pixels, builtin_kernels=kernels == "builtin")
        assert np.array_equal(recorded, scores)  # nine digits hold a float32 to the bit


def test_golden_samples_weigh_little(made):
    with zipfile.ZipFile(file(made, "int8")) as archive:
        golden = [one for one in archive.infolist() if one.filename.startswith("golden/")]
    assert sum(one.file_size for one in golden) < 5_000


def test_a_model_that_computes_something_else_fails_its_test(made, tmp_path):
    content = file(made, "int8").read_bytes()
    other = file(made, "dynamic").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        manifest = json.loads(archive.read("edgebee.json"))
    for sample in manifest["golden"]["samples"]:
        for scores in sample["scores"].values():
            scores.reverse()
    del manifest["network"]  # its hash would tell before any sample is asked
    with zipfile.ZipFile(io.BytesIO(other)) as archive:
        end = archive.infolist()[0].header_offset
        files = {one.filename: archive.read(one) for one in archive.infolist()}
    files["edgebee.json"] = json.dumps(manifest).encode()
    path = tmp_path / "wrong.tflite"
    path.write_bytes(other[:end])
    with zipfile.ZipFile(path, "a") as archive:
        for name, one in files.items():
            archive.writestr(name, one)
    assert not selftest(path).passed


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (96, 160), (5, 7)])
def test_pictures_are_enlarged_by_repetition(size):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    large = enlarge(pixels, size)
    assert large.shape == (*size, 3)
    height, width = size
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
        expected = pixels[row * 4 // height, column * 4 // width]
        assert np.array_equal(large[row, column], expected)


def test_pictures_are_the_same_every_time():
    for one, other in zip(draw_pictures(), draw_pictures(), strict=True):
        assert np.array_equal(one, other)
        read = np.asarray(Image.open(io.BytesIO(encode_png(one))))
        assert np.array_equal(read, one)


def test_pictures_that_tell_most_are_chosen():
    pictures = [np.full((4, 4, 3), number, np.uint8) for number in range(8)]
    best = np.array([0.99, 0.55, 0.7, 0.99, 0.8, 0.9, 0.95, 0.51])
    scores = np.stack([best, 1 - best], axis=1)
    scores[6] = scores[6][::-1]
    chosen = [int(one[0, 0, 0]) for one in choose_pictures(pictures, scores)]
    # Undecided ones (1 and 7) are not; of both labels the least certain one comes first.
    assert chosen[:2] == [2, 6]
    assert chosen == [2, 6, 4, 5]


# ------------------------------------------------------------------ types of input and output


@pytest.fixture(scope="module")
def typed(source, made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("typed") / "int8"
    convert_model(
        source / "model.keras", formats=["int8"], samples=20, seed=5, output=folder, io="int8"
    )
    return {"uint8": file(made, "int8"), "int8": file(folder, "int8")}


@pytest.mark.parametrize(
    ("io_", "input_", "output"),
    [("uint8", (1.0, 0), (1 / 256, 0)), ("int8", (1.0, -128), (1 / 256, -128))],
)
def test_io(typed, io_, input_, output):
    from edgebee.edge.classify import make_interpreter

    interpreter = make_interpreter(typed[io_])
    (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] == exit_["dtype"] == np.dtype(io_)
    assert (entry["quantization"], exit_["quantization"]) == (input_, output)
    preprocessing = read_manifest(typed[io_])["preprocessing"]
    assert preprocessing["dtype"] == io_
    assert preprocessing["range"] == ([-128, 127] if io_ == "int8" else [0, 255])


def test_the_type_changes_no_answer(typed):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 1, 1, 3), np.uint8).repeat(32, 1).repeat(32, 2)
    scores = {io_: run_model(path.read_bytes(), pixels) for io_, path in typed.items()}
    assert np.array_equal(scores["uint8"], scores["int8"])


@pytest.mark.slow
@pytest.mark.skipif(MICRO_PYTHON is None, reason="no Python with tflite-micro is named")
@pytest.mark.parametrize("io_", ["int8", "uint8"])
def test_microcontrollers_run_int8(typed, io_):
    code = (
        "import sys; from tflite_micro import runtime; "
        "model = runtime.Interpreter.from_file(sys.argv[1], arena_size=20_000_000); model.invoke()"
    )
    command = [MICRO_PYTHON, "-c", code, typed[io_]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------ checksums, repeatability


def test_checksums_hold(made):
    command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"model_{name}.tflite: OK" for name in sorted(FORMATS)]


@pytest.mark.slow
def test_another_process_in_another_folder_makes_the_same_bytes(
    made, source, edgebee_process, tmp_path
):
    # Another hash seed as well: nothing may hang on the order of a set.
    done = edgebee_process(
        "convert", source / "model.keras", "--samples", 20, "--seed", 5, "--output", "here",
        *(option for name in FORMATS for option in ("--quantize", name)),
        cwd=tmp_path, PYTHONHASHSEED="4",
    )  # fmt: skip
    assert done.status == 0, done.err
    for path in [*(file(made, name) for name in FORMATS), made / "SHA256SUMS"]:
        assert (tmp_path / "here" / path.name).read_bytes() == path.read_bytes()


def test_one_photo_more_is_another_data_hash(made, source, photos, tmp_path, edgebee):
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(photos / "red" / "000.png", tmp_path / "photos" / "red" / "999.png")
    done = edgebee(
        "convert", source / "model.keras", "--quantize", "float32", "--output", tmp_path,
        "--data", tmp_path / "photos",
    )  # fmt: skip
    assert done.status == 0, done.err
    before, after = (
        read_manifest(file(folder, "float32"))["provenance"] for folder in (made, tmp_path)
    )
    assert before["data_sha256"] != after["data_sha256"]
    assert before["weights_sha256"] == after["weights_sha256"]
