"""Models with other inputs and outputs than the one that ships, made on the spot."""

import classify
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="makes models with TensorFlow")

PATTERN = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3  # 0-213, no two alike


def write(folder, function, shape, *, labels=3, integer=None):
    """Convert `function` to `folder/model.tflite`, with names for its scores beside it."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))]
    )
    if integer is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Both ends of the range, so that one step of the input is one grey level.
        ends = [np.zeros(shape, np.float32), np.full(shape, 255, np.float32)]
        converter.representative_dataset = lambda: ([end] for end in ends)
        converter.inference_input_type = converter.inference_output_type = integer
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    (folder / "labels.txt").write_text("".join(f"label {index}\n" for index in range(labels)))
    return path


def channel_means(pixels):
    """Three scores, 0-1: how red, green and blue the picture is."""
    return tf.reduce_mean(pixels, axis=[1, 2]) / 255.0


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
