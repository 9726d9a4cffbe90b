"""Models with other inputs and outputs than the one that ships, made on the spot."""

import json
import pickle
import zipfile

import classify
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="makes models with TensorFlow")
from made_models import channel_means, write  # noqa: E402  # needs TensorFlow

PATTERN = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3  # 0-213, no two alike


def test_a_float_model_gets_the_values_0_to_255_and_its_scores_are_passed_on(tmp_path):
    classifier = classify.Classifier(write(tmp_path, channel_means, (1, 4, 6, 3)))
    assert classifier.interpreter.get_input_details()[0]["dtype"] == np.float32
    assert classifier.size == (4, 6)
    scores = classify.invoke(classifier.interpreter, PATTERN)
    assert scores.dtype == np.float32
    assert np.allclose(scores, PATTERN.mean(axis=(0, 1)) / 255, atol=1e-6)  # float32's rounding
    assert classifier(PATTERN).label == "label 2"  # the blue values are the greatest


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's remark
@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_an_integer_model_of_either_sign_says_the_same(tmp_path, kind):
    path = write(tmp_path, channel_means, (1, 4, 6, 3), integer=getattr(tf, kind))
    classifier = classify.Classifier(path)
    assert classifier.interpreter.get_input_details()[0]["dtype"] == np.dtype(kind)
    scores = classify.invoke(classifier.interpreter, PATTERN)
    # The mean and the output are rounded to steps of 1/255.
    assert np.allclose(scores, PATTERN.mean(axis=(0, 1)) / 255, atol=2 / 255)


@pytest.mark.parametrize(
    ("shape", "function", "complaint"),
    [
        ((1, 4, 6, 1), lambda x: tf.reduce_mean(x, axis=[1, 2]), r"takes \[1, 4, 6, 1\]"),
        ((2, 4, 6, 3), channel_means, r"takes \[2, 4, 6, 3\]"),
        ((1, 3), lambda x: x * 2.0, r"takes \[1, 3\]"),
        ((1, 4, 6, 3), lambda x: x * 2.0, r"gives \[1, 4, 6, 3\] scores"),
    ],
)
def test_models_that_do_not_say_what_is_in_one_photo_are_refused(
    tmp_path, shape, function, complaint
):
    path = write(tmp_path, function, shape)
    with pytest.raises(classify.ModelError, match=complaint):
        classify.Classifier(path)


def test_a_model_whose_scores_are_nan_makes_no_prediction(tmp_path):
    """0 / 0 on a black photo, 1 on others: a model without fault may do that, and one with."""
    path = write(tmp_path, lambda x: tf.reduce_max(x, axis=[1, 2]) / tf.reduce_max(x), (1, 4, 6, 3))
    classifier = classify.Classifier(path)
    assert classifier(PATTERN).score == 1
    with pytest.raises(classify.ModelError) as caught:
        classifier(np.zeros_like(PATTERN))
    assert str(caught.value) == (
        f"{path}: makes no prediction (its scores are NaN or infinite); copy or convert it again"
    )


def with_metadata(path, mean, deviation):
    """Put TFLite metadata that state a normalization into a model, as Model Maker does."""
    flatbuffers = pytest.importorskip("flatbuffers")

    def table(build, fields):
        build.StartObject(max(fields) + 1)
        for number, (slot, value) in fields.items():
            slot(build)(number, value, 0)
        return build.EndObject()

    def offset(build):
        return build.PrependUOffsetTRelativeSlot

    def byte(build):
        return build.PrependUint8Slot

    def offsets(build, one):
        build.StartVector(4, 1, 4)
        build.PrependUOffsetTRelative(one)
        return build.EndVector()

    def floats(build, values):
        build.StartVector(4, len(values), 4)
        for value in reversed(values):
            build.PrependFloat32(value)
        return build.EndVector()

    build = flatbuffers.Builder(256)
    options = table(
        build, {0: (offset, floats(build, mean)), 1: (offset, floats(build, deviation))}
    )
    unit = table(build, {0: (byte, 1), 1: (offset, options)})
    tensor = table(build, {4: (offset, offsets(build, unit))})
    graph = table(build, {2: (offset, offsets(build, tensor))})
    metadata = table(build, {3: (offset, offsets(build, graph))})
    build.Finish(metadata, b"M001")

    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    buffer.data = list(build.Output())
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    packed = flatbuffers.Builder(1024)
    packed.Finish(model.Pack(packed), file_identifier=b"TFL3")
    path.write_bytes(bytes(packed.Output()))
    return path


def first_pixels(pixels):
    """Three scores: the values that the network gets for the first pixel."""
    return pixels[:, 0, 0, :] + 0.0


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [("0..255", (0.0, 3.0, 6.0)), ("0..1", (0.0, 3 / 255, 6 / 255)),
     ("-1..1", (-1.0, 3 / 127.5 - 1, 6 / 127.5 - 1))],
)  # fmt: skip
def test_a_float_model_gets_the_range_that_is_named(tmp_path, normalize, expected):
    path = write(tmp_path, first_pixels, (1, 4, 6, 3))
    classifier = classify.Classifier(path, normalize=normalize)
    scores = classify.invoke(classifier.interpreter, PATTERN, path, classifier.input_values)
    assert np.allclose(scores, expected, atol=1e-6)  # float32's rounding


def test_a_float_model_that_does_not_say_is_answered_with_a_line(tmp_path, caplog):
    path = write(tmp_path, first_pixels, (1, 4, 6, 3))
    caplog.clear()  # of what TensorFlow said
    classifier = classify.Classifier(path)
    assert classifier.input_values is None
    assert caplog.messages == [
        f"{path}: does not say which values it takes; 0..255 is assumed, --normalize -1..1 or "
        "0..1 says otherwise"
    ]


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [((127.5,), (127.5,)), ((0.0,), (255.0,)), ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))],
)
def test_normalization_in_the_metadata_is_applied(tmp_path, caplog, mean, deviation):
    path = with_metadata(write(tmp_path, first_pixels, (1, 4, 6, 3)), mean, deviation)
    caplog.clear()
    classifier = classify.Classifier(path)
    scores = classify.invoke(classifier.interpreter, PATTERN, path, classifier.input_values)
    expected = (PATTERN[0, 0] - np.array(mean)) / np.array(deviation)
    assert np.allclose(scores, expected, atol=1e-5)  # float32's rounding
    assert caplog.messages == []


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_a_quantized_model_gets_the_step_that_stands_for_the_normalized_value(tmp_path, kind):
    path = write(tmp_path, channel_means, (1, 4, 6, 3), integer=getattr(tf, kind))
    with_metadata(path, (0.0,), (255.0,))  # and so all pixels are 0 or 1 of its 0-255
    classifier = classify.Classifier(path)
    scores = classify.invoke(classifier.interpreter, PATTERN, path, classifier.input_values)
    assert scores.max() < 0.02


def test_a_range_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(classify.ModelError, match=r"is none of 0\.\.255, 0\.\.1, -1\.\.1"):
        classify.Classifier(write(tmp_path, first_pixels, (1, 4, 6, 3)), normalize="0..2")


def test_features_are_refused_where_no_dense_layer_makes_the_scores(tmp_path):
    classifier = classify.Classifier(write(tmp_path, channel_means, (1, 4, 6, 3)))
    with pytest.raises(classify.ModelError, match="has no dense layer"):
        classifier.embed(PATTERN)


def test_one_sigmoid_score_is_that_of_the_second_label(tmp_path):
    def blueness(pixels):
        return tf.reduce_mean(pixels, axis=[1, 2])[:, 2:] / 255.0

    classifier = classify.Classifier(write(tmp_path, blueness, (1, 4, 6, 3), labels=2))
    scores = classifier(np.full((4, 6, 3), 204, np.uint8)).scores
    assert scores == pytest.approx({"label 1": 0.8, "label 0": 0.2})


def test_logits_become_scores_with_a_line(tmp_path, caplog):
    path = write(tmp_path, lambda x: channel_means(x) * 20.0 - 10.0, (1, 4, 6, 3))
    classifier = classify.Classifier(path)
    caplog.clear()
    for _ in range(2):
        scores = classifier(PATTERN).scores
    logits = PATTERN.mean(axis=(0, 1)) / 255 * 20 - 10
    shares = np.exp(logits) / np.exp(logits).sum()
    assert [scores[f"label {index}"] for index in range(3)] == pytest.approx(shares, abs=1e-5)
    assert caplog.messages == [f"{path}: gives logits, which softmax makes scores of"]


def test_scores_of_more_dimensions_are_taken_as_they_are(tmp_path):
    path = write(tmp_path, lambda x: tf.reshape(channel_means(x), [1, 1, 1, 3]), (1, 4, 6, 3))
    assert classify.Classifier(path)(PATTERN).label == "label 2"


@pytest.mark.parametrize(
    ("shape", "function", "reason"),
    [
        ((1, 3, 4, 6), lambda x: tf.reduce_mean(x, axis=[2, 3]), "(channels first)"),
        ((1, 4, 6, 1), lambda x: tf.reduce_mean(x, axis=[1, 2]), "(grey)"),
        ((1, None, None, 3), channel_means, "takes photos of any size; name the one"),
    ],
)
def test_what_is_wrong_with_an_input_is_said(tmp_path, shape, function, reason):
    with pytest.raises(classify.ModelError) as caught:
        classify.Classifier(write(tmp_path, function, shape))
    assert reason in str(caught.value)


def test_a_model_of_free_size_is_run_at_the_size_that_is_named(tmp_path, caplog):
    path = write(tmp_path, channel_means, (1, None, None, 3))
    classifier = classify.Classifier(path, size=(4, 6))
    assert classifier.size == (4, 6)
    with pickle.loads(pickle.dumps(classifier)) as again:
        scores = list(again(PATTERN).scores.values())
    means = sorted(PATTERN.mean(axis=(0, 1)) / 255, reverse=True)
    assert scores == pytest.approx(means, abs=1e-6)  # float32's rounding


def test_a_size_that_a_model_does_not_take_is_refused(tmp_path):
    path = write(tmp_path, channel_means, (1, 4, 6, 3))
    assert classify.Classifier(path, size=(4, 6)).size == (4, 6)
    with pytest.raises(classify.ModelError, match=r"takes \[1, 4, 6, 3\], not 6x4; leave out --s"):
        classify.Classifier(path, size=(6, 4))


@pytest.mark.parametrize(
    ("text", "size"), [("224", (224, 224)), ("240x320", (240, 320)), ("2\u00d71", (2, 1))]
)
def test_a_size_is_height_and_width_or_one_number(text, size):
    assert classify.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "224x", "x224", "-4", "2.5", "12345", "4x4x3"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ValueError, match="is not like 224 or 240x320"):
        classify.parse_size(text)


def test_which_of_several_outputs_is_taken_is_said(tmp_path, caplog):
    path = write(
        tmp_path, lambda x: (channel_means(x), tf.reduce_max(x, axis=[1, 2])), (1, 4, 6, 3)
    )
    classifier = classify.Classifier(path)
    line = next(one for one in caplog.messages if "outputs" in one)
    assert line.startswith(f"{path}: has 2 outputs; the first, ")
    assert classifier(PATTERN).scores["label 2"] == pytest.approx(PATTERN[..., 2].mean() / 255)


def test_a_model_with_operators_of_tensorflow_says_so(tmp_path):
    def scores(pixels):
        return channel_means(pixels) * tf.linalg.det(tf.eye(3) + tf.reduce_mean(pixels))

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(scores).get_concrete_function(tf.TensorSpec((1, 4, 6, 3), tf.float32))]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    content = converter.convert()
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(classify.ModelError) as caught:
        classify.make_interpreter(path)
    assert str(caught.value).startswith(f"{path}: needs operators of TensorFlow itself (")
    assert str(caught.value).endswith("; convert it without SELECT_TF_OPS")
    # Files for the Edge TPU have one operator of its own.
    own = b"edgetpu-custom-op".ljust(len(b"FlexMatrixDeterminant"), b"\0")
    path.write_bytes(content.replace(b"FlexMatrixDeterminant", own).replace(b"Flex", b"flex"))
    with pytest.raises(classify.ModelError, match=r": made for an Edge TPU \(.*; take the file "):
        classify.make_interpreter(path)


@pytest.mark.parametrize("shape", [(1, 84, 8400), (1, 10, 4)])
def test_a_detector_is_called_one(tmp_path, shape):
    path = write(tmp_path, lambda x: tf.zeros(shape) + tf.reduce_mean(x), (1, 4, 6, 3))
    with pytest.raises(classify.ModelError, match=r"as object detectors do, not \[1, 3\]"):
        classify.Classifier(path)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_of_other_widths_are_normalized_too(tmp_path, dtype, caplog):
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [
            tf.function(
                lambda x: tf.reduce_mean(tf.cast(x, tf.float32), [1, 2])
            ).get_concrete_function(tf.TensorSpec((1, 4, 6, 3), dtype))
        ]
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    scores = classify.Classifier(path, normalize="0..1")(PATTERN).scores
    assert scores["c"] == pytest.approx(PATTERN[..., 2].mean() / 255, abs=1e-3)  # of float16
    classify.Classifier(path)
    assert "0..255 is assumed" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("name", "encode"), [("metadata.json", json.dumps), ("temp_meta.txt", repr)]
)
def test_files_of_ultralytics_say_their_labels_and_take_values_of_0_to_1(tmp_path, name, encode):
    path = write(tmp_path, lambda x: tf.reduce_mean(x, axis=[1, 2]), (1, 4, 6, 3))
    path.with_name("labels.txt").unlink()
    about = {"author": "Ultralytics", "names": {0: "ants", 1: "bees", 2: "蜂"}, "imgsz": [4, 6]}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, encode(about))
    prediction = classify.Classifier(path)(PATTERN)
    assert prediction.label == "蜂"
    assert prediction.score == pytest.approx(PATTERN[..., 2].mean() / 255, abs=1e-6)


def test_a_zip_with_a_model_is_to_be_unpacked(tmp_path):
    path = tmp_path / "converted_tflite.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model_unquant.tflite", b"\0\0\0\0TFL3")
    with pytest.raises(classify.ModelError, match="a zip file; unpack it"):
        classify.make_interpreter(path)


def test_a_model_of_free_size_is_not_deployed(tmp_path, capsys):
    cli = pytest.importorskip("edgebee.cli", reason="the lone runner deploys nothing")
    path = write(tmp_path, channel_means, (1, None, None, 3))
    with pytest.raises(SystemExit):
        cli.edgebee(["deploy", "-m", str(path), "-p", "1", "nobody@127.0.0.1"])
    assert f"Error: {path}: takes photos of any size; convert it " in capsys.readouterr().err
