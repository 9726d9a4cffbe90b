"""Scaling while decoding costs no answer: photos of 12 megapixels get the label of small ones."""

import io

import classify
import pytest
from PIL import Image

MEGAPIXELS = 12


def enlarged(path):
    """The bytes of a JPEG of 12 megapixels, as a camera's: quality 90, halved colour."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    factor = (MEGAPIXELS * 1e6 / (image.width * image.height)) ** 0.5
    size = (round(image.width * factor), round(image.height * factor))
    file = io.BytesIO()
    large = image.resize(size, Image.Resampling.BICUBIC)
    large.save(file, "JPEG", quality=90, subsampling="4:2:0")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.hymenoptera
def test_scaling_while_decoding_costs_no_validation_photo_its_label(hymenoptera, model):
    classifier = classify.Classifier(model, threads=1, threshold=0)  # `unknown` is no label
    photos = list(classify.find_photos([hymenoptera / "val"]))
    assert len(photos) == 153
    small = dict(classifier.classify_many(photos))
    for path, (large, answer) in zip(
        photos, classifier.classify_many(map(enlarged, photos)), strict=True
    ):
        if answer.label != small[path].label:
            # Then it is the enlarging: decoded in full, without scaling, it comes out the same,
            # and the model was as good as tossing a coin before.
            with Image.open(io.BytesIO(large)) as opened:
                assert classifier(opened.convert("RGB")).label == answer.label, path
            assert small[path].score < 0.6, path
