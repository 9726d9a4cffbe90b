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


def best_class(prediction):
    """The class with the best score, and its share of what the classes have."""
    classes = [label for label in prediction.scores if label != classify.NEITHER]
    have = sum(prediction.scores[label] for label in classes)
    return classes[0], prediction.scores[classes[0]] / (have or 1)


@pytest.mark.slow
@pytest.mark.hymenoptera
def test_scaling_while_decoding_costs_no_validation_photo_its_class(hymenoptera, model):
    classifier = classify.Classifier(model, threads=1, threshold=0)  # `unknown` is no label
    own_threshold = classify.read_threshold(model)
    photos = list(classify.find_images([hymenoptera / "val"]))
    assert len(photos) == 153
    kept = {"scaled": 0, "in full": 0}
    labels_kept = {"scaled": 0, "in full": 0}
    small = dict(classifier.classify_many(photos))
    for path, (large, scaled) in zip(
        photos, classifier.classify_many(map(enlarged, photos)), strict=True
    ):
        with Image.open(io.BytesIO(large)) as opened:  # without a hint of the size: nothing scaled
            full = classifier(opened.convert("RGB"))
        before, share = best_class(small[path])
        (after, _), (full_after, full_share) = best_class(scaled), best_class(full)
        kept["scaled"] += after == before
        kept["in full"] += full_after == before
        labels_kept["scaled"] += scaled.label == small[path].label
        labels_kept["in full"] += full.label == small[path].label
        if len({before, after, full_after, small[path].label, scaled.label, full.label}) > 1:
            print(f"{path.name}: {small[path][:2]}, scaled {scaled[:2]}, in full {full[:2]}")
        if full_after != before:  # by enlarging: only what the model itself calls `unknown`
            assert share < own_threshold, path
        # By scaling: only where the model was as good as tossing a coin without it.
        if after != full_after:
            assert full_share < 0.6, path
        if (scaled.label == classify.NEITHER) != (full.label == classify.NEITHER):
            assert 0.4 < full.scores[classify.NEITHER] < 0.6, path
    assert kept["scaled"] >= kept["in full"] - 1
    assert labels_kept["scaled"] >= labels_kept["in full"] - 1
    print(f"the label of the small photo: {labels_kept}")
    print(f"the class of the small photo, of {len(photos)}, decoded: {kept}")
