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
    photos = list(classify.find_images([hymenoptera / "val"]))
    assert len(photos) == 153
    kept = {"scaled": 0, "in full": 0}
    small = dict(classifier.classify_many(photos))
    for path, (large, scaled) in zip(
        photos, classifier.classify_many(map(enlarged, photos)), strict=True
    ):
        with Image.open(io.BytesIO(large)) as opened:  # without a hint of the size: nothing scaled
            full = classifier(opened.convert("RGB"))
        kept["scaled"] += scaled.label == small[path].label
        kept["in full"] += full.label == small[path].label
        if len({small[path].label, scaled.label, full.label}) > 1:
            print(f"{path.name}: {small[path][:2]}, scaled {scaled[:2]}, in full {full[:2]}")
            # Only where the model was as good as tossing a coin before.
            assert small[path].score < 0.6, path
        if scaled.label != small[path].label:
            # Then it is the enlarging: decoded in full, without scaling, it comes out the same.
            assert full.label == scaled.label, path
    print(f"the label of the small photo, of {len(photos)}, decoded: {kept}")
