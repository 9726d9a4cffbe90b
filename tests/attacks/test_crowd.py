"""Many photos: a small part of what `crowd.py` does with 50,000."""

from __future__ import annotations

import numpy as np
from crowd import classify, data_check, draw

from edgebee.train.duplicates import BLOCK, group_same_pictures


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
    groups = group_same_pictures(digests, thumbnails)
    assert [group.members for group in groups] == [(3, number - 1)]
