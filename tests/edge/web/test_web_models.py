"""Models with other inputs and outputs than the one that ships, made on the spot."""

from __future__ import annotations

import base64
import json
import shutil

import classify
import numpy as np
import pytest
from web_pages import open_page, served  # beside this file

from edgebee.edge.web.page import build_page

pytestmark = pytest.mark.slow  # TensorFlow loads for seconds

tf = pytest.importorskip("tensorflow", reason="makes models with TensorFlow")
from made_models import channel_means, write  # noqa: E402  # needs TensorFlow

PATTERN = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3  # 0-213, no two alike


def logits(pixels):
    """Three scores that softmax has to make probabilities of."""
    return tf.reduce_mean(pixels, axis=[1, 2]) - 100.0


def how_blue(pixels):
    """One sigmoid score: of two labels, the second one's."""
    return tf.reduce_mean(pixels, axis=[1, 2])[:, 2:] / 255.0


def predict(browser, folder, litert_js, model, pixels):
    """Label -> score, as the page's own `Classifier` gives them, and what the page says of it."""
    build_page([model], folder, runtime=litert_js)
    with served(folder) as address:
        page = open_page(browser, address)
        pairs = page.evaluate(f"""(async () => {{
          const {{ Classifier }} = await import("./classifier.js")
          const {{ loadAsset }} = await import("./assets.js")
          const [model] = JSON.parse(document.getElementById("models").textContent)
          const classifier = await Classifier.load(await loadAsset(model.path), model.labels)
          const text = atob({json.dumps(base64.b64encode(pixels.tobytes()).decode())})
          const pixels = Uint8Array.from(text, letter => letter.charCodeAt(0))
          return (await classifier.classify(pixels)).scores
        }})()""")
        return dict(pairs), page.evaluate("document.getElementById('about').textContent")


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's remark
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (channel_means, {}),
        (logits, {}),
        (how_blue, {"labels": 2}),
        (channel_means, {"integer": tf.uint8}),
    ],
    ids=["float32", "logits", "one score", "uint8"],
)
def test_its_scores_are_the_runners(browser, tmp_path, litert_js, function, options):
    model = write(tmp_path / "model", function, **options)
    expected = classify.Classifier(model)(PATTERN).scores
    scores, about = predict(browser, tmp_path / "site", litert_js, model, PATTERN)
    assert scores.keys() == expected.keys()
    for label, score in expected.items():
        assert abs(scores[label] - score) < 1e-5  # floats are added up in another order
    assert ("0 to 255 is assumed" in about) == ("integer" not in options)


def test_a_float_model_of_edgebee_gives_the_same_to_a_rounding_error(
    browser, tmp_path, litert_js, artifacts
):
    model = tmp_path / "model_float32.tflite"
    shutil.copyfile(artifacts / "model_float32.tflite", model)
    random = np.random.default_rng(5)
    classifier = classify.Classifier(model)
    pixels = random.integers(0, 256, (*classifier.size, 3), np.uint8)
    expected = classifier(pixels).scores
    scores, about = predict(browser, tmp_path / "site", litert_js, model, pixels)
    for label, score in expected.items():
        assert abs(scores[label] - score) < 1e-4  # floats are added up in another order
    assert "assumed" not in about  # the file says it


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"integer": tf.int8}, "takes int8 and gives int8; LiteRT.js knows uint8 and float32"),
        ({"shape": (1, 4, 6, 1), "labels": 1}, r"takes \[1, 4, 6, 1\], not one RGB photo"),
        ({"labels": 4}, r"gives \[1, 3\] scores for its 4 label names|label"),
    ],
)
def test_another_kind_of_model_is_refused(tmp_path, litert_js, options, complaint):
    model = write(tmp_path / "model", channel_means, **options)
    with pytest.raises(classify.ModelError, match=complaint) as caught:
        build_page([model], tmp_path / "site", runtime=litert_js)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "site").exists()
