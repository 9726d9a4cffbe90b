"""What a model file says about itself: manifest, golden samples, its own threshold and hash."""

import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import classify
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pictures():
    """Three golden samples, `uint8 [h, w, 3]`: no two alike, none square with another."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (side, 64, 3), dtype=np.uint8) for side in (64, 33, 1)]


def enlarged(picture, size=224):
    """By repetition, as the manifest's contract has it."""
    rows, columns = (np.arange(size) * side // size for side in picture.shape[:2])
    return picture[rows][:, columns]


@pytest.fixture(scope="session")
def expected(model, pictures):
    """The scores of this machine's kernels."""
    interpreter = classify.make_interpreter(model)
    return [classify.invoke(interpreter, enlarged(picture)).tolist() for picture in pictures]


def golden(expected, tolerance=0.1, other=0.0):
    """The manifest's golden samples: scores as expected, and others that are off."""
    wrong = [[score + 0.5 for score in scores] for scores in expected]
    return {
        "tolerance": tolerance,
        "samples": [
            {
                "file": f"golden/{n}.png",
                "scores": {
                    "builtin": wrong[n],
                    "xnnpack": [score + other for score in expected[n]],
                },
            }
            for n in range(len(expected))
        ],
    }


@pytest.fixture
def pack(model, foreign_model, tmp_path, pictures):
    """Write a model with labels, a manifest and the golden pictures behind the network."""
    labels = "".join(f"{label}\n" for label in classify.read_labels(model))

    def write(manifest, name="packed.tflite", **members):
        path = tmp_path / name
        shutil.copy(foreign_model, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labels.txt", labels)
            if manifest is not None:
                said = manifest if isinstance(manifest, (str, bytes)) else json.dumps(manifest)
                archive.writestr("edgebee.json", said)
            for number, picture in enumerate(pictures):
                file = io.BytesIO()
                Image.fromarray(picture).save(file, "PNG")
                archive.writestr(f"golden/{number}.png", file.getvalue())
            for member, content in members.items():
                archive.writestr(member, content)
        return path

    return write


def refused(action, *arguments):
    """The message of the ModelError, which must be one line."""
    with pytest.raises(classify.ModelError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- manifest


def test_a_model_made_elsewhere_has_an_empty_manifest(foreign_model, pack):
    assert classify.read_manifest(foreign_model) == {}
    assert classify.read_manifest(pack(None)) == {}
    assert classify.read_manifest(pack("[1, 2]")) == {}  # some other program's


def test_the_manifest_comes_as_it_was_written(pack):
    manifest = {"format_version": 1, "labels": ["ants", "bees"], "scores": {"threshold": 0.61}}
    assert classify.read_manifest(pack(manifest)) == manifest


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused_by_name(pack, content):
    packed = pack(content)
    message = refused(classify.read_manifest, packed)
    assert message.startswith(f"{packed}: edgebee.json in it is damaged")
    assert "edgebee.json" in refused(classify.Classifier, packed)


def test_what_is_packed_is_checked_against_its_own_checksum(pack):
    packed = pack({"labels": ["ants", "bees"]})
    content = packed.read_bytes()
    packed.write_bytes(content.replace(b'{"labels"', b'{"babels"'))
    assert "damaged (Bad CRC-32" in refused(classify.read_manifest, packed)


def test_damage_inside_what_is_packed_tightly_is_refused(pack):
    packed = pack(None)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("edgebee.json", json.dumps({"labels": [f"bee {n}" for n in range(99)]}))
    content = bytearray(packed.read_bytes())
    start = content.index(b"edgebee.json") + len("edgebee.json")
    content[start + 40 : start + 80] = b"\xff" * 40
    packed.write_bytes(content)
    assert "damaged (Error -3 while decompressing" in refused(classify.read_manifest, packed)


def test_a_name_without_end_in_the_zip_is_not_repeated(pack):
    packed = pack({"labels": ["ants", "bees"]})
    content = bytearray(packed.read_bytes())
    entry = content.index(b"labels.txt") - 30
    struct.pack_into("<H", content, entry + 26, 60_000)  # length of the name, and all is quoted
    packed.write_bytes(content + bytes(60_000))
    assert len(refused(classify.read_labels, packed)) < 500


def test_a_member_that_would_fill_the_memory_is_left_packed(pack):
    packed = pack(None, **{"edgebee.json": "{}" + " " * 2_000_000})
    assert classify.read_manifest(packed) == {}


# ---------------------------------------------------------------- the network's checksum


@pytest.mark.parametrize(
    "checksum",
    [
        {"crc32": zlib.crc32},
        {"sha256": lambda network: hashlib.sha256(network).hexdigest()},  # until November 2026
        {"sha256": lambda network: hashlib.sha256(network).hexdigest(), "crc32": lambda _: None},
    ],
    ids="-".join,
)
def test_a_single_flipped_bit_is_found_before_the_runtime_sees_it(foreign_model, pack, checksum):
    network = foreign_model.read_bytes()
    said = {name: of(network) for name, of in checksum.items()}
    packed = pack({"network": {"bytes": len(network), **said}})
    classify.Classifier(packed)
    content = bytearray(packed.read_bytes())
    content[len(network) // 2] ^= 1
    packed.write_bytes(content)
    message = refused(classify.Classifier, packed)
    assert "its checksum is not the one in edgebee.json" in message
    assert "copy it" in message


# ---------------------------------------------------------------- threshold


@pytest.mark.parametrize(
    ("scores", "own"),
    [({"threshold": 0.97}, 0.97), ({"threshold": None}, 0.0), ({}, 0.0), (None, 0.0)],
)
def test_the_models_own_threshold_is_the_default(pack, scores, own, photo):
    packed = pack({"scores": scores})
    assert classify.Classifier(packed).threshold == own
    assert classify.Classifier(packed, threshold=0.5).threshold == 0.5
    assert classify.Classifier(packed, threshold=0).threshold == 0


def test_below_the_models_own_threshold_it_says_unknown(pack, class_picture):
    # The other class has some of it, too.
    packed = pack({"scores": {"threshold": 1.0}})
    assert classify.Classifier(packed)(class_picture).label == "unknown"
    assert classify.Classifier(packed, threshold=0)(class_picture).label in ("ants", "bees")


# ---------------------------------------------------------------- self-test


def test_golden_samples_that_give_the_recorded_scores_pass_to_the_bit(pack, expected):
    start = time.perf_counter()
    assert classify.selftest(pack({"golden": golden(expected)})) == classify.SelfTest(
        passed=True, difference=0.0, kernels="xnnpack"
    )
    # "Within a second" on an idle Pi; here there may be others at work.
    assert time.perf_counter() - start < 5


def test_scores_within_the_tolerance_pass_and_say_how_far_they_are(pack, expected):
    tested = classify.selftest(pack({"golden": golden(expected, tolerance=0.1, other=0.0625)}))
    assert (tested.passed, tested.difference) == (True, pytest.approx(0.0625))


def test_scores_beyond_the_tolerance_fail(pack, expected):
    tested = classify.selftest(pack({"golden": golden(expected, tolerance=0.1, other=0.25)}))
    assert (tested.passed, tested.difference) == (False, pytest.approx(0.25))


def test_the_nearest_kernels_count(pack, expected):
    tested = classify.selftest(pack({"golden": golden(expected, tolerance=1.0, other=0.75)}))
    assert tested.kernels == "builtin"


def test_a_model_without_golden_samples_cannot_be_tested(foreign_model, pack):
    for model in (foreign_model, pack({"golden": None}), pack({"golden": {"samples": []}})):
        message = refused(classify.selftest, model)
        assert "no golden samples to test with" in message
        assert "convert it again" in message


@pytest.mark.parametrize(
    "samples",
    [
        [{"file": "golden/9.png", "scores": {"xnnpack": [0.5, 0.5, 0.5]}}],
        [{"file": "labels.txt", "scores": {"xnnpack": [0.5, 0.5, 0.5]}}],
        [{"file": "../../etc/passwd", "scores": {"xnnpack": [0.5, 0.5, 0.5]}}],
        [{"file": "golden/0.png", "scores": {"xnnpack": [0.5, 0.5, 0.5, 0.5]}}],
        [{"file": "golden/0.png", "scores": {"xnnpack": [0.5, 0.5]}}],
        [{"file": "golden/0.png", "scores": {"xnnpack": ["a", "b", "c"]}}],
        [{"file": "golden/0.png", "scores": {}}],
        ["golden/0.png"],
    ],
)
def test_golden_samples_that_are_none_are_refused(pack, samples):
    packed = pack({"golden": {"tolerance": 0.1, "samples": samples}})
    assert refused(classify.selftest, packed).startswith(f"{packed}: no golden samples")


@pytest.mark.parametrize(
    ("other", "status", "verdict"),
    [
        (0.0, 0, "passed, bit-identical (xnnpack)"),
        (0.0625, 0, "passed, max. difference 0.062 (xnnpack)"),
        (0.25, 1, "failed, max. difference 0.250 (xnnpack)"),
    ],
)
def test_the_command_line_gives_the_verdict_in_a_line(
    pack, expected, runner, tmp_path, other, status, verdict
):
    packed = pack({"golden": golden(expected, other=other)})
    shutil.copy(runner, tmp_path)
    done = subprocess.run(
        [sys.executable, "classify.py", "--selftest", "-m", packed],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = f"{packed}: self-test {verdict}\n"
    assert (done.returncode, done.stdout, done.stderr) == (status, said, "")


@pytest.fixture(params=["this", pytest.param("tflite-runtime", marks=pytest.mark.slow)])
def python(request):
    """The Python that runs the tests, and one with the other runtime where there is one."""
    if request.param == "this":
        return sys.executable
    named = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")
    return named or pytest.skip("EDGEBEE_TFLITE_RUNTIME_PYTHON names no python")


@pytest.mark.parametrize(
    ("asked", "off", "status"), [(["--json"], 0.0, 0), (["--format", "json"], 0.25, 1)]
)
def test_a_program_gets_the_verdict_as_one_object(
    pack, expected, runner, tmp_path, python, asked, off, status
):
    # A tenth is more than two sorts of kernels differ by on these pictures; a quarter is not.
    recorded = golden(expected, other=off)
    packed = pack({"golden": recorded})
    shutil.copy(runner, tmp_path)
    done = subprocess.run(
        [python, "classify.py", "--selftest", *asked, "-m", packed],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (status, "", 1)
    said = json.loads(done.stdout)
    assert list(said) == ["model", "passed", "difference", "kernels"]
    assert (said["model"], said["passed"]) == (str(packed), not status)
    assert said["kernels"] == "xnnpack"
    assert 0 <= said["difference"] <= (0.3 if status else 0.1)


def test_the_command_line_says_when_there_is_nothing_to_test(foreign_model, runner, tmp_path):
    shutil.copy(runner, tmp_path)
    done = subprocess.run(
        [sys.executable, "classify.py", "--selftest", "-m", foreign_model],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {foreign_model}: no golden samples")
    assert done.stderr.count("\n") == 1
