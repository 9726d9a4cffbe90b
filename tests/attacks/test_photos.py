"""Damaged pictures: a small, seeded part of the attack in `photos.py`."""

from __future__ import annotations

import io

import pytest
from photos import attack_photos
from pictures import bombs, make_pictures
from PIL import Image

from edgebee.edge.classify import PHOTO_SUFFIXES, read_photo
from edgebee.photos.image_stats import inspect_photo


def test_the_pictures_are_sound_and_of_every_format():
    pictures = make_pictures()
    for picture in pictures:
        assert read_photo(picture.content).shape == (224, 224, 3), picture.kind
    # HEIF is read by a plug-in alone, AVIF by new Pillows alone.
    other_names = {".jpeg", ".jpe", ".jfif", ".pgm", ".tiff", ".heic", ".heif", ".avif"}
    assert {picture.suffix for picture in pictures} | other_names == set(PHOTO_SUFFIXES)


@pytest.mark.parametrize(
    ("count", "of_each"), [(600, 40), pytest.param(1500, 100, marks=pytest.mark.slow)]
)
def test_damaged_pictures_end_in_pixels_or_a_line(count, of_each):
    report = attack_photos(count, seed=0)
    assert report.faults == []
    assert report.outcomes["read"] > of_each, "damages that spoil nothing would prove nothing"
    assert report.outcomes["refused"] > of_each
    assert set(report.outcomes) == {"read", "refused"}, "a library talked"


def test_bombs_are_small_files():
    # Of a hundredth of the area: the kinds are what counts here.
    for bomb in bombs(1330):
        with Image.open(io.BytesIO(bomb.content)) as image:
            assert image.size == (1330, 1330)
        assert len(bomb.content) < 100_000


def test_a_moving_gif_may_end_anywhere(tmp_path):
    # Asked whether there is a second frame, Pillow raises an IndexError where that one is cut.
    moving = next(one.content for one in make_pictures() if one.kind == "gif animated")
    path = tmp_path / "moving.gif"
    for length in range(10, len(moving), 17):
        path.write_bytes(moving[:length])
        assert len(inspect_photo(path).digest) == 32


def test_the_look_opens_nothing_but_the_runners_formats(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 48)).save(path, "EPS")  # Pillow has Ghostscript read these
    assert inspect_photo(path).fault


def test_what_libtiff_says_of_a_damaged_photo_is_not_repeated(edgebee_process, tmp_path):
    fax = next(one.content for one in make_pictures() if one.kind == "tiff fax")
    for label in ("ants", "bees"):
        for number in range(2):
            path = tmp_path / label / f"{number}.tif"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(fax[:40] + bytes([number + 1]) * 60 + fax[100:])
    done = edgebee_process("data", "check", tmp_path)
    assert all(line.startswith(("Next: ", "These problems ", "checking ")) for line in done.errors)
