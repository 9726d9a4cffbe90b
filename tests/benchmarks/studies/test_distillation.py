"""Distillation: a backbone learns, without labels, features that survive corruption."""

from __future__ import annotations

import numpy as np
import pytest

from edgebee.benchmarks.studies.distillation import (
    STUDENT_SHARE,
    distill,
    make_distillation_example,
    save_weights,
)
from edgebee.edge.classify import PhotoError, read_photo
from edgebee.errors import TrainingError
from edgebee.photos.sample import LABELS, draw_photo
from edgebee.train.augmentation import CORRUPTIONS
from edgebee.train.backbone import build_backbone

pytestmark = pytest.mark.slow  # the weights are distilled once, not by users

SIDE_PX = 64


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.jpg" for number in range(6)]
    for number, path in enumerate(paths):
        draw_photo(LABELS[number % len(LABELS)], np.random.default_rng(number)).save(path)
    return paths


def features(backbone, pictures):
    """Pooled features `[pictures, features]`."""
    maps = backbone(np.stack(pictures).astype(np.float32) / 127.5 - 1, training=False)
    return np.asarray(maps).mean(axis=(1, 2))


def distance(backbone, teacher, photos, side_px, seed=1):
    """Mean square of what corruption moves in the features; 1: as far as another photo."""
    examples = [
        make_distillation_example(path, side_px, np.random.default_rng([seed, place]))
        for place, path in enumerate(photos)
    ]
    apart = []
    for example in examples:
        wanted = features(teacher, example.clean)[list(example.same_as)]
        said = features(backbone, example.shown)
        apart.append(((said - wanted) ** 2).sum(axis=1)[len(example.clean) :].mean())
    plain = features(teacher, [read_photo(path, (side_px, side_px)) for path in photos])
    return float(np.mean(apart) / plain.var(axis=0).sum())


def test_an_example_is_what_the_runner_sees_and_each_corruption_once(photos):
    example = make_distillation_example(photos[0], SIDE_PX, np.random.default_rng(0))
    plain = read_photo(photos[0], (SIDE_PX, SIDE_PX))
    assert any(np.array_equal(example.clean[0], way) for way in (plain, plain[:, ::-1]))
    assert len(example.shown) == len(example.clean) + len(CORRUPTIONS) + 1
    assert len(example.shown) == len(example.same_as) == len(example.in_place)
    for shown, clean in zip(example.shown, example.clean, strict=False):
        np.testing.assert_array_equal(shown, clean)
    assert {picture.shape for picture in example.shown} == {(SIDE_PX, SIDE_PX, 3)}
    assert {picture.dtype for picture in example.shown} == {np.dtype(np.uint8)}
    assert example.in_place.count(False) == 1  # the small one shows its subject elsewhere


def test_an_example_follows_from_its_seed(photos):
    one, again, other = (
        make_distillation_example(photos[0], SIDE_PX, np.random.default_rng(s)) for s in (0, 0, 1)
    )
    for picture, same in zip(one.shown, again.shown, strict=True):
        np.testing.assert_array_equal(picture, same)
    assert not np.array_equal(one.shown[1], other.shown[1])


@pytest.fixture(scope="module")
def distilled(photos):
    """A backbone after two epochs, and the distances that were reported."""
    backbone = build_backbone(SIDE_PX, 1.0, "imagenet")
    reported = []
    distill(backbone, photos, epochs=2, progress=reported.append)
    return backbone, reported


def test_every_step_reports_its_distance(distilled, photos):
    _, reported = distilled
    assert len(reported) == 2 * len(photos) / 2  # two photos a step
    assert all(0 < one < 10 for one in reported)


def test_only_what_learns_has_moved(distilled):
    before = build_backbone(SIDE_PX, 1.0, "imagenet")
    for old, new in zip(
        before.non_trainable_weights, distilled[0].non_trainable_weights, strict=True
    ):
        np.testing.assert_array_equal(old.numpy(), new.numpy())  # the means and variances
    moved = [
        np.abs(old.numpy() - new.numpy()).max()
        for old, new in zip(before.trainable_weights, distilled[0].trainable_weights, strict=True)
    ]
    # Adam moves no weight by more than the sum of its rates, which is below one a step of 3e-4.
    assert 0 < min(moved) <= max(moved) < STUDENT_SHARE * 6 * 3e-4 * 1.5


def test_no_epoch_leaves_the_backbone_as_it_is(photos):
    backbone = build_backbone(SIDE_PX, 0.35, "none")
    before = backbone.get_weights()
    distill(backbone, photos, epochs=0)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_the_same_seed_distills_the_same_and_another_does_not(distilled, photos):
    flat = [np.concatenate([one.ravel() for one in distilled[0].get_weights()])]
    for seed in (0, 1):
        backbone = build_backbone(SIDE_PX, 1.0, "imagenet")
        distill(backbone, photos, epochs=2, seed=seed)
        flat.append(np.concatenate([one.ravel() for one in backbone.get_weights()]))
    again, other = (np.linalg.norm(flat[0] - weights) for weights in flat[1:])
    # Sums run over two cores in any order: last bits differ, and Adam divides by what is small.
    assert again < 0.1 * other


@pytest.mark.slow
def test_corrupted_images_come_nearer_to_clean_ones(photos):
    teacher = build_backbone(SIDE_PX, 1.0, "imagenet")
    backbone = build_backbone(SIDE_PX, 1.0, "imagenet")
    before = distance(backbone, teacher, photos, SIDE_PX)
    distill(backbone, photos, epochs=30)
    assert distance(backbone, teacher, photos, SIDE_PX) < 0.8 * before


def test_a_photo_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(PhotoError, match=r"broken\.jpg"):
        distill(build_backbone(SIDE_PX, 0.35, "none"), [tmp_path / "broken.jpg"], epochs=1)


def test_the_weights_that_ship_see_through_corruption(photos):
    # Drawings, which distillation has not seen; of photos the README tells what is gained. Half
    # would be a good day; three quarters leave room for the six drawings' luck.
    field, teacher = (build_backbone(224, 1.0, weights) for weights in ("field", "imagenet"))
    before, after = (distance(one, teacher, photos, 224) for one in (teacher, field))
    assert after < 0.75 * before


def test_the_weights_that_ship_keep_the_normalization(photos):
    field, teacher = (build_backbone(SIDE_PX, 1.0, weights) for weights in ("field", "imagenet"))
    for one, other in zip(field.non_trainable_weights, teacher.non_trainable_weights, strict=True):
        # float16 has 11 bits, and 6e-8 as its least number.
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2**-11, atol=6e-8)


def test_saved_weights_are_rounded_to_float16_and_the_same_bytes_again(tmp_path):
    backbone = build_backbone(SIDE_PX, 0.35, "none")
    for name in ("one", "again"):
        save_weights(backbone, tmp_path / f"{name}.weights.h5")
    one, again = ((tmp_path / f"{name}.weights.h5").read_bytes() for name in ("one", "again"))
    assert one == again
    loaded = build_backbone(SIDE_PX, 0.35, str(tmp_path / "one.weights.h5"))
    for weights, rounded in zip(backbone.get_weights(), loaded.get_weights(), strict=True):
        assert rounded.dtype == np.float32
        np.testing.assert_array_equal(rounded, weights.astype(np.float16).astype(np.float32))


def test_weights_too_large_for_float16_are_refused(tmp_path):
    backbone = build_backbone(SIDE_PX, 0.35, "none")
    backbone.set_weights([weights * 0 + 1e6 for weights in backbone.get_weights()])
    with pytest.raises(TrainingError, match="too large for float16"):
        save_weights(backbone, tmp_path / "huge.weights.h5")
