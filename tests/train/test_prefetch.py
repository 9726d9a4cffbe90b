"""Views that were made beforehand are those that would have been made."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from edgebee.edge.classify import PhotoError
from edgebee.train.prefetch import MEMORY_BUDGET_BYTES, PrefetchedViews
from edgebee.train.views import View

PHOTOS = [Path(f"{number}.jpg") for number in range(5)]


def _two_views(path, photo):
    if photo == 3:
        raise PhotoError(f"{path}: unreadable")
    for number in range(2):
        yield View(np.full((2, 2, 3), 10 * photo + number, np.uint8), number)


# A budget for all photos, for two, and for none of them.
@pytest.mark.parametrize("ahead", [1000, 2, 0.5])
def test_every_photo_has_its_own_views_and_its_own_error(ahead):
    with PrefetchedViews(_two_views, PHOTOS, round(MEMORY_BUDGET_BYTES / ahead)) as views:
        for photo in (4, 0, 2, 1):
            given = [(int(view.pixels[0, 0, 0]), view.undamaged) for view in views("", photo)]
            assert given == [(10 * photo, 0), (10 * photo + 1, 1)]
        with pytest.raises(PhotoError, match=r"3\.jpg"):
            list(views(PHOTOS[3], 3))


def test_no_more_is_made_beforehand_than_fits_the_budget():
    made = []

    def note(path, photo):
        made.append(photo)
        yield from _two_views(path, photo)

    with PrefetchedViews(note, PHOTOS, MEMORY_BUDGET_BYTES // 2) as views:
        list(views(PHOTOS[4], 4))
    assert set(made) <= {0, 1, 4}


def test_leaving_early_leaves_no_work_behind():
    begun = []

    def slowly(path, photo):
        begun.append(photo)
        time.sleep(0.05)
        yield from _two_views(path, 0)

    many = PHOTOS * 20
    with pytest.raises(KeyboardInterrupt), PrefetchedViews(slowly, many, 1):
        raise KeyboardInterrupt
    at_the_end = len(begun)
    assert at_the_end < len(many)
    time.sleep(0.2)
    assert len(begun) == at_the_end
