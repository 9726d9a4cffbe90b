"""The four files that `edgebee convert` makes of a really trained model."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from edgebee.edge.classify import Classifier, invoke, read_photo

SIDE_PX = 96  # of the model that conftest.py trains
FORMATS = ("float32", "float16", "dynamic", "int8")


@pytest.fixture(scope="module")
def photos(artifacts):
    """The validation drawings that the model was not trained on."""
    from edgebee.photos.dataset import load_dataset

    return load_dataset("sample").validation.paths


@pytest.fixture(scope="module")
def keras_scores(artifacts, photos):
    import keras

    model = keras.models.load_model(artifacts / "model.keras", compile=False)
    pixels = np.stack([read_photo(path, (SIDE_PX, SIDE_PX)) for path in photos])
    return model.predict(pixels.astype(np.float32), verbose=0)


@pytest.fixture(scope="module")
def scores_of(artifacts, photos):
    """Scores of one format on every validation drawing, computed once."""
    known = {}

    def scores(format_):
        if format_ not in known:
            classifier = Classifier(artifacts / f"model_{format_}.tflite")
            pixels = (read_photo(path, classifier.size) for path in photos)
            known[format_] = np.stack([invoke(classifier.interpreter, one) for one in pixels])
        return known[format_]

    return scores


def tensors(path):
    """Names of tensor types and of operators in a `.tflite` file, from its flatbuffer."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    types = {number: name for name, number in vars(schema.TensorType).items()}
    operators = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    (graph,) = model.subgraphs
    codes = [model.operatorCodes[operator.opcodeIndex] for operator in graph.operators]
    return (
        {types[tensor.type] for tensor in graph.tensors},
        {operators[code.builtinCode] for code in codes},
    )


# ------------------------------------------------------------------ what goes in and comes out


def test_int8_takes_pixels_exactly_as_they_are(artifacts):
    interpreter = Classifier(artifacts / "model_int8.tflite").interpreter
    (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] == exit_["dtype"] == np.uint8
    assert entry["shape"].tolist() == [1, SIDE_PX, SIDE_PX, 3]
    assert entry["quantization"] == (1.0, 0)  # exactly: the byte is the pixel
    assert exit_["shape"].tolist() == [1, 2]
    assert exit_["quantization"] == (1 / 256, 0)  # exactly: a score is the byte / 256


@pytest.mark.parametrize("format_", ["float32", "float16", "dynamic"])
def test_the_other_formats_take_the_same_pixels_as_floats(artifacts, format_):
    interpreter = Classifier(artifacts / f"model_{format_}.tflite").interpreter
    (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] == exit_["dtype"] == np.float32
    assert entry["shape"].tolist() == [1, SIDE_PX, SIDE_PX, 3]
    assert exit_["shape"].tolist() == [1, 2]


def test_int8_is_integers_throughout(artifacts):
    types, operators = tensors(artifacts / "model_int8.tflite")
    assert types == {"INT8", "UINT8", "INT32"}  # INT32: biases
    assert "DEQUANTIZE" not in operators


@pytest.mark.parametrize(
    ("format_", "weights"), [("float32", "FLOAT32"), ("float16", "FLOAT16"), ("dynamic", "INT8")]
)
def test_weights_are_stored_as_the_name_says(artifacts, format_, weights):
    types, _ = tensors(artifacts / f"model_{format_}.tflite")
    assert types == {"FLOAT32", "INT32", weights}


@pytest.mark.parametrize(
    ("format_", "most_mb"),
    # Bytes a weight x 2.2 million weights, and a little for the graph.
    [("float32", 9.2), ("float16", 4.7), ("dynamic", 2.8), ("int8", 2.8)],
)
def test_size(artifacts, format_, most_mb):
    assert (artifacts / f"model_{format_}.tflite").stat().st_size <= most_mb * 1e6


# ------------------------------------------------------------------ the same answers as Keras

# The largest and the mean difference of a score that is allowed:
TOLERANCES = {
    # The same arithmetic, summed in another order.
    "float32": (1e-4, 1e-5),
    # Weights keep 11 of 24 bits.
    "float16": (0.06, 0.01),
    # Weights keep 8 bits; a logit moves by some tenths, the score of an undecided photo with
    # it. On average little may be lost.
    "dynamic": (0.4, 0.06),
    # Activations keep 8 bits as well, calibrated here on few drawings.
    "int8": (0.4, 0.06),
}


@pytest.mark.parametrize("format_", FORMATS)
def test_scores_are_those_of_keras(scores_of, keras_scores, format_):
    difference = np.abs(scores_of(format_) - keras_scores)
    largest, mean = TOLERANCES[format_]
    assert difference.max() <= largest
    assert difference.mean() <= mean


@pytest.mark.parametrize("format_", FORMATS)
def test_what_keras_is_sure_of_stays(scores_of, keras_scores, format_):
    # A lead of twice the largest difference cannot be lost.
    sure = np.abs(keras_scores[:, 0] - keras_scores[:, 1]) > 2 * TOLERANCES[format_][0]
    assert sure.sum() > len(sure) // 4  # else this test says nothing
    answers = scores_of(format_).argmax(axis=1)
    assert (answers == keras_scores.argmax(axis=1))[sure].all()


@pytest.mark.parametrize("format_", FORMATS)
def test_scores_are_shares_of_one(scores_of, format_):
    scores = scores_of(format_)
    assert scores.min() >= 0
    assert scores.max() <= 1
    # Each of the two scores of int8 is rounded to 1/256.
    assert np.abs(scores.sum(axis=1) - 1).max() <= (2 / 256 if format_ == "int8" else 1e-5)


# ------------------------------------------------------------------ self-describing


@pytest.mark.parametrize("format_", FORMATS)
def test_any_zip_reader_finds_the_labels(artifacts, format_):
    with zipfile.ZipFile(artifacts / f"model_{format_}.tflite") as archive:
        assert archive.namelist()[:2] == ["labels.txt", "edgebee.json"]
        assert archive.read("labels.txt") == (artifacts / "labels.txt").read_bytes()


# ------------------------------------------------------------------ same photos, same bytes


@pytest.mark.slow  # of a small model it is held true every day: test_self_describing.py
def test_another_process_makes_the_same_bytes(
    artifacts, calibration_samples, edgebee_process, tmp_path
):
    # Another hash seed as well: nothing may hang on the order of a set.
    done = edgebee_process(
        "convert", artifacts / "model.keras", "--quantize", "int8",
        "--samples", calibration_samples, "--max-drop", 10, "--output", tmp_path,
        PYTHONHASHSEED="4",
    )  # fmt: skip
    assert done.status == 0, done.err
    name = "model_int8.tflite"
    assert (tmp_path / name).read_bytes() == (artifacts / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["float32", "float16", "dynamic"])
def test_converting_again_makes_the_same_bytes(
    artifacts, calibration_samples, edgebee, tmp_path, format_
):
    model, name = artifacts / "model.keras", f"model_{format_}.tflite"
    # Asked for alone: the other formats and their calibration have no part in it.
    options = ("--quantize", format_, "--samples", calibration_samples, "--output", tmp_path)
    assert edgebee("convert", model, *options, "--max-drop", 10).status == 0
    assert (tmp_path / name).read_bytes() == (artifacts / name).read_bytes()
