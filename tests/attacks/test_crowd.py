"""Many photos: a small part of what `crowd.py` does with 50,000."""

from __future__ import annotations

import numpy as np
import pytest
from crowd import classify, data_check, draw
from PIL import Image

from edgebee.photos import duplicates
from edgebee.photos.duplicates import group_same_pictures, sign


def test_every_photo_is_answered_once_and_in_order(tmp_path):
    draw(tmp_path, 60)
    way = classify(tmp_path, 60)
    assert way.wrong == []
    assert len(way.photos_a_second) == 10
    assert data_check(tmp_path, 60)[0] == []


def test_duplicates_are_found_across_blocks(monkeypatch):
    chance = np.random.default_rng(0)
    thumbnails = list(chance.integers(0, 256, (500, 32, 32), np.uint8))
    thumbnails[-1] = thumbnails[3] // 2  # darker, in another block
    monkeypatch.setattr(duplicates, "MAX_PRODUCTS", 500 * 150)
    digests = [index.to_bytes(4, "big") for index in range(500)]
    groups = group_same_pictures(digests, [sign(one) for one in thumbnails])
    assert [group.members for group in groups] == [(3, 499)]


def test_photos_of_which_each_is_like_the_next_are_one_group():
    chance = np.random.default_rng(2)
    coarse = chance.integers(0, 256, (40, 8, 8)).astype(np.float32)
    shades = [Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC) for one in coarse]
    first, last = (np.asarray(one) for one in shades[:2])
    between = [first * (1 - share) + last * share for share in (0, 0.25, 0.5, 0.75, 1)]
    shown = [one.clip(0, 255).astype(np.uint8) for one in between]
    (group,) = group_same_pictures([b"%d" % index for index in range(5)], list(map(sign, shown)))
    assert (group.members, group.identical) == ((0, 1, 2, 3, 4), False)
    assert group_same_pictures([b"one", b"two"], [sign(shown[0]), sign(shown[-1])]) == []


@pytest.mark.parametrize("turn", range(8))
def test_a_picture_is_found_in_every_position_of_a_square(turn):
    chance = np.random.default_rng(1)
    coarse = Image.fromarray(chance.integers(0, 256, (8, 8), np.uint8))
    picture = np.asarray(coarse.resize((32, 32), Image.Resampling.BICUBIC))
    turned = np.rot90(picture[:, ::-1] if turn & 4 else picture, turn & 3)
    noise = chance.integers(0, 256, (32, 32), np.uint8)
    shown = [sign(one) for one in (picture, noise, turned)]
    (group,) = group_same_pictures([b"one", b"two", b"three"], shown)
    assert group.members == (0, 2)


def test_photos_that_show_nothing_are_like_nothing():
    blank = sign(np.full((32, 32), 200, np.uint8))
    assert blank is None
    for shown in ([], [None, None], [blank, None, blank]):
        digests = [b"", b"one", b"two"][: len(shown)]
        assert group_same_pictures(digests, shown) == []


def test_what_is_kept_of_a_photo_is_small():
    # Memory of a folder's check grows with its photos by this, 42 MB for 50,000, and by names.
    signature = sign(np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8))
    assert signature is not None
    assert signature.coarse.nbytes + signature.fine.nbytes <= 840
