"""Models that plain int8 breaks, and the rung of the ladder that holds each of them."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs edgebee[train]")
import keras
from fragile_models import LABELS, SIZE_PX, red_or_blue, smooth_picture, write_photos

from edgebee.convert.layers import channel_error, find_layer_errors, names_around
from edgebee.convert.quantize import calibrate, quantize_float, quantize_int8, trace
from edgebee.convert.ranges import clip_ranges, mse_range, percentile_range
from edgebee.convert.representative import Calibration
from edgebee.edge.classify import Classifier
from edgebee.edge.tflite.runtimes import list_operators

OLD_PYTHON = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("recovery") / "photos", 30)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    return folder


# model -> the format that holds, the first words of the rung, the rung's neighbours that do not
CASES = {
    "few pixels of white": ({"spikes": 50_000.0}, "int8", "mse ranges"),
    "one loud channel": ({"loud": 2000.0}, "int8", "4 layers in float (around spread"),
    "a loud channel in every layer": (
        {"loud": 1000.0, "stages": 20},
        "int16x8",
        "16-bit activations",
    ),
}


@pytest.mark.parametrize(
    "case",
    [*list(CASES)[:2], pytest.param(list(CASES)[2], marks=pytest.mark.slow)],  # the whole ladder
)
def test_the_ladder_finds_the_rung_that_holds(edgebee, folder, photos, case):
    broken, format_, rung = CASES[case]
    red_or_blue(**broken).save(folder / "model.keras")
    command = ("convert", folder / "model.keras", "--data", photos, "--samples", 20)
    plain = edgebee(*command)
    assert plain.status == 1
    assert not list(folder.glob("*.tflite"))

    recovered = edgebee(*command, "--recover")
    assert recovered.status == 0, recovered.err
    (path,) = folder.glob("*.tflite")
    assert path.name == f"model_{format_}.tflite"
    (held,) = [line for line in recovered.errors if ": holds, " in line]
    assert held.startswith(rung)
    # It climbed past the ones below, saying so.
    assert "calibrated on 48 photos: does not hold" in recovered.err
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("edgebee.json"))
    assert manifest["provenance"]["recovery"] == held.split(": holds, ")[0]
    assert len(manifest["provenance"]["calibration"]["files"]) == 48
    seen = manifest["verification"]
    assert seen["keras_correct"] == seen["total"] == 12
    assert seen["correct"] >= 11
    answer = Classifier(path)(photos / "red" / "029.png")
    assert answer.label == "red"
    if OLD_PYTHON:
        code = (
            "from tflite_runtime.interpreter import Interpreter as I; import sys; "
            "i = I(sys.argv[1]); i.allocate_tensors(); i.invoke()"
        )
        subprocess.run([OLD_PYTHON, "-c", code, path], check=True, capture_output=True)


def test_the_worst_layers_are_printed(edgebee, folder, photos):
    red_or_blue(loud=2000).save(folder / "model.keras")
    done = edgebee("convert", folder / "model.keras", "--data", photos, "--recover")
    heading = next(line for line in done.errors if "the worst first" in line)
    first = done.errors[done.errors.index(heading) + 1].split()
    assert first == ["0.750", "CONV_2D", "spread"]  # three channels of four are gone


def test_a_sound_model_is_not_touched(edgebee, folder, photos):
    red_or_blue().save(folder / "model.keras")
    done = edgebee("convert", folder / "model.keras", "--data", photos, "--recover")
    assert done.status == 0
    assert "holds" not in done.err


def test_what_nothing_recovers_is_refused(edgebee, folder, photos):
    # Beyond sixteen bits too; and LiteRT's int8 kernels do not take such scales at all.
    red_or_blue(loud=1e6, stages=20).save(folder / "model.keras")
    done = edgebee(
        "convert", folder / "model.keras", "--data", photos, "--samples", 20, "--recover"
    )
    assert done.status == 1
    assert "none of 4 ways to recover it held" in done.errors[-1]
    assert not list(folder.glob("*.tflite"))


def test_an_operator_without_an_integer_kernel_is_named(edgebee, folder, photos):
    model = red_or_blue()
    softer = keras.layers.Activation("elu")(model.layers[-2].output)
    keras.Model(model.inputs, model.layers[-1](softer)).save(folder / "model.keras")
    done = edgebee("convert", folder / "model.keras", "--data", photos)
    assert done.status == 0, done.err
    (warning,) = [line for line in done.errors if "no kernels" in line]
    assert warning == "warning: int8 has no kernels for ELU: they stay in float"


# ------------------------------------------------------------------ per-layer error


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    found = [smooth_picture(rng, rng.uniform(60, 190, 3))[:SIZE_PX, :SIZE_PX] for _ in range(12)]
    pixels = np.stack(found)
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    return pixels


@pytest.fixture(scope="module")
def calibrated(pictures):
    float32 = quantize_float(trace(red_or_blue(loud=2000)), "float32")
    return calibrate(float32, Calibration(pictures, (), (), ()))


def test_the_layer_that_loses_is_found(calibrated, pictures):
    worst, *others = find_layer_errors(calibrated, pictures)
    assert worst.name == "spread"
    assert worst.error == pytest.approx(0.75, abs=0.01)
    assert max(layer.error for layer in others) < 0.05


def test_both_sides_of_a_tensor_become_float(calibrated, pictures):
    worst = find_layer_errors(calibrated, pictures)[0]
    names = names_around(calibrated, [worst.tensor])
    assert [name.split("/")[1] for name in names] == ["spread_1", "stage_0_1"]
    after = find_layer_errors(calibrated, pictures, names)
    assert not {layer.name for layer in after} & {"spread", "stage_0"}
    operators = dict(list_operators(quantize_int8(calibrated, "uint8", names)))
    assert "DEQUANTIZE" in operators
    assert "DEQUANTIZE" not in dict(list_operators(quantize_int8(calibrated)))


def test_channel_error_counts_a_quiet_channel_as_much_as_a_loud_one():
    expected = np.stack([np.linspace(0, 1000, 50), np.linspace(0, 1, 50)], axis=-1)
    quantized = (expected / 10).round().astype(np.int32)
    error = channel_error(expected.astype(np.float32), quantized, 10.0, 0)
    assert error == pytest.approx(0.5, abs=0.01)  # the second is gone, the first is there
    assert channel_error(expected.astype(np.float32), quantized * 0, 10.0, 0) == 1


# ------------------------------------------------------------------ ranges


def test_percentile_leaves_one_in_a_thousand_out():
    values = np.append(np.linspace(-1, 1, 100_000), [500.0] * 20).astype(np.float32)
    low, high = percentile_range(values)
    assert low == pytest.approx(-0.998, abs=0.001)
    assert high == pytest.approx(0.998, abs=0.003)


def test_mse_keeps_what_is_worth_keeping():
    rng = np.random.default_rng(0)
    even = rng.uniform(-1, 1, 50_000).astype(np.float32)
    assert mse_range(even) == pytest.approx((-1, 1), abs=0.03)
    bell = rng.standard_t(3, 50_000).astype(np.float32)  # a few values far out
    low, high = mse_range(bell)
    assert bell.min() < low < -4
    assert 4 < high < bell.max()

    def error(low, high):
        step = (high - low) / 255
        return ((np.round(bell.clip(low, high) / step) * step - bell) ** 2).mean()

    assert error(low, high) < error(bell.min(), bell.max())


def test_a_tensor_that_never_changes():
    assert mse_range(np.zeros(10, np.float32)) == (0.0, 0.0)


@pytest.mark.parametrize("method", ["mse", "percentile"])
def test_the_input_keeps_its_range(calibrated, pictures, method):
    # It would not take pixels as they are otherwise.
    clipped = clip_ranges(calibrated, pictures, method)
    assert clipped != calibrated
    quantize_int8(clipped)  # raises ConversionError when it does not
