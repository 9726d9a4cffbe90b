"""The photos worth a look: which, in what order, and what is shown of each."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from example_pages import NASTY, make_big, write_noise  # beside this file
from PIL import Image

from edgebee.benchmarks.measure.accuracy import measure_accuracy
from edgebee.benchmarks.report.gallery import MOST_CARDS, make_gallery, spotlight, worth_a_look
from edgebee.benchmarks.report.templates import THUMBNAIL_PIXELS, encode_thumbnail


def with_scores(results, *scores):
    """The same benchmark with other scores, one table a variant."""
    truth = np.array([photo.label for photo in results.data.photos])
    variants = []
    for variant, table in zip(results.variants, scores, strict=True):
        accuracy = measure_accuracy(np.array(table), truth, results.data.labels, None)
        variants.append(replace(variant, scores=tuple(map(tuple, table)), accuracy=accuracy))
    return replace(results, variants=tuple(variants))


@pytest.fixture
def five(tmp_path):
    """Five photos of ants, Keras and one file, with their answers written out."""
    results = make_big(tmp_path, classes=2, photos=5, variants=2, labels=("ants", "bees"))
    photos = tuple(replace(photo, label=0) for photo in results.data.photos)
    results = replace(results, data=replace(results.data, photos=photos))
    keras = [[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9], [0.8, 0.2]]
    file = [[0.8, 0.2], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9], [0.45, 0.55]]
    return with_scores(results, keras, file)


def test_disagreements_come_first_then_the_surest_mistakes(five):
    # Photo 0 is right with both. On 2 and 4 they disagree; 3 and 1 both get wrong.
    assert worth_a_look(five) == ([2, 4, 3, 1], 2)


def test_like_answers_are_put_together(five):
    disagreement, _, both, _ = make_gallery(five).cards
    assert [(said.label, said.correct, said.variants) for said in disagreement.predictions] == [
        ("bees", False, ("Keras",)), ("ants", True, ("float16",)),
    ]  # fmt: skip
    (said,) = both.predictions
    assert (said.label, said.correct, said.variants) == ("bees", False, ())
    assert (said.low, said.high) == (0.9, 0.9)


def test_nothing_to_show_when_all_is_right(five):
    right = [[1.0, 0.0]] * 5
    gallery = make_gallery(with_scores(five, right, right))
    assert (gallery.cards, gallery.total, gallery.disagreements) == ((), 0, 0)


def test_a_photo_that_is_gone_keeps_its_card(five):
    gallery = make_gallery(five)
    assert [card.photo for card in gallery.cards] == [None] * 4
    assert NASTY.replace("/", "") in gallery.cards[0].name


def test_pictures_are_bounded_in_number_and_size(tmp_path):
    # Noise in large photos is the worst that a JPEG can be asked to hold.
    results = make_big(tmp_path, classes=40, photos=120, variants=2)
    write_noise(tmp_path, results.data.photos, 300)
    gallery = make_gallery(results)
    assert gallery.total > MOST_CARDS == len(gallery.cards)
    for card in gallery.cards:
        assert Image.open(io.BytesIO(card.photo)).size == (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
        assert len(card.photo) < 30_000


def test_the_heaviest_gallery_leaves_room_in_a_page_of_three_megabytes():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (224, 224, 3), np.uint8)
    lit = spotlight(noise, rng.random((7, 7)).astype(np.float32))
    card_bytes = len(encode_thumbnail(noise)) + len(encode_thumbnail(lit))
    assert MOST_CARDS * card_bytes * 4 / 3 < 2_000_000  # base64 makes three bytes four


@pytest.fixture(scope="module")
def classifier():
    keras = pytest.importorskip("keras", reason="needs edgebee[train]")
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((40, 40, 3)), layers.Conv2D(4, 5), layers.GlobalAveragePooling2D(),
            layers.Dense(2, "softmax"),
        ]
    )  # fmt: skip


def test_grad_cam_explains_the_prediction_of_keras(five, classifier, tmp_path):
    write_noise(tmp_path, five.data.photos, 60)
    for card in make_gallery(five, classifier).cards:
        # Photos smaller than a thumbnail are not blown up.
        assert Image.open(io.BytesIO(card.heat_map)).size == (40, 40)


def test_a_model_that_cannot_be_explained_leaves_the_photos(five, tmp_path):
    keras = pytest.importorskip("keras", reason="needs edgebee[train]")
    flat = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)], name="flat"
    )
    write_noise(tmp_path, five.data.photos, 60)
    cards = make_gallery(five, flat).cards
    assert all(card.photo and card.heat_map is None for card in cards)


def test_the_spotlight_keeps_what_counted_and_greys_the_rest():
    pixels = np.full((40, 40, 3), (200, 40, 40), np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    lit = spotlight(pixels, heat)
    assert lit[20, 35].tolist() == [200, 40, 40]
    red, green, blue = lit[20, 3].tolist()
    assert red == green == blue < 100


def test_without_evidence_all_is_grey():
    pixels = np.full((40, 40, 3), (200, 40, 40), np.uint8)
    lit = spotlight(pixels, np.zeros((4, 4), np.float32))
    assert len(np.unique(lit)) == 1
