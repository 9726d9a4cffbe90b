"""Many photos: a small part of what `crowd.py` does with 50,000."""

from __future__ import annotations

import numpy as np
import pytest
from crowd import classify, data_check, draw
from PIL import Image

from edgebee.photos.duplicates import BLOCK, Signatures, group_same_pictures


def test_every_photo_is_answered_once_and_in_order(tmp_path):
    draw(tmp_path, 60)
    way = classify(tmp_path, 60)
    assert way.wrong == []
    assert len(way.photos_a_second) == 10
    assert data_check(tmp_path, 60)[0] == []


def test_duplicates_are_found_across_blocks():
    chance = np.random.default_rng(0)
    number = BLOCK + 200
    thumbnails = list(chance.integers(0, 256, (number, 1, 32, 32), np.uint8))
    thumbnails[-1] = thumbnails[3] // 2  # darker, in another block
    digests = [index.to_bytes(4, "big") for index in range(number)]
    groups = group_same_pictures(digests, signatures_of(thumbnails))
    assert [group.members for group in groups] == [(3, number - 1)]


def signatures_of(thumbnails):
    signatures = Signatures(len(thumbnails))
    for start in range(0, len(thumbnails), BLOCK):
        signatures.add(start, thumbnails[start : start + BLOCK])
    return signatures


@pytest.mark.parametrize("turn", range(8))
def test_a_picture_is_found_in_every_position_of_a_square(turn):
    chance = np.random.default_rng(1)
    coarse = Image.fromarray(chance.integers(0, 256, (8, 8), np.uint8))
    picture = np.asarray(coarse.resize((32, 32), Image.Resampling.BICUBIC))
    turned = np.rot90(picture[:, ::-1] if turn & 4 else picture, turn & 3)
    noise = chance.integers(0, 256, (32, 32), np.uint8)
    shown = [one[np.newaxis] for one in (picture, noise, turned)]
    (group,) = group_same_pictures([b"one", b"two", b"three"], signatures_of(shown))
    assert group.members == (0, 2)
    assert group.alike > 0.999  # but for rounding to bytes on the way


def test_photos_that_show_nothing_are_like_nothing():
    blank, none = np.full((1, 32, 32), 200, np.uint8), np.zeros((0, 32, 32), np.uint8)
    for shown in ([], [none, none], [blank, none, blank]):
        digests = [b"", b"one", b"two"][: len(shown)]
        assert group_same_pictures(digests, signatures_of(shown)) == []


def test_what_is_kept_of_a_photo_is_small():
    # Memory of a folder's look grows with its photos by this, 85 MB for 50,000, and by names.
    signatures = Signatures(1000)
    assert signatures.coarse.nbytes + signatures.fine.nbytes <= 1000 * 1700
