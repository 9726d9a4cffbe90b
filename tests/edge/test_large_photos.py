"""Scaling while decoding costs no answer: photos enlarged to 12 megapixels get the same label."""

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
def test_all_validation_photos_keep_their_label_at_12_megapixels(hymenoptera, model):
    classifier = classify.Classifier(model, threads=1)
    photos = list(classify.find_photos([hymenoptera / "val"]))
    assert len(photos) == 153
    small = dict(classifier.classify_many(photos))
    large = classifier.classify_many(map(enlarged, photos))
    changed = {
        path.name: (small[path].score, answer.score)
        for path, (_, answer) in zip(photos, large, strict=True)
        if answer.label != small[path].label
    }
    assert changed == {}
