"""The same picture twice is found, however it was edited; pictures that are alike are not."""

from __future__ import annotations

import shutil

import pytest
from checked import check, found, picture  # beside this file
from PIL import Image, ImageEnhance, ImageOps

EDITS = {
    "saved badly": lambda image: image,
    "smaller": lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5)),
    "squeezed": lambda image: image.resize((224, 224)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": ImageOps.grayscale,
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned": lambda image: image.rotate(90, expand=True),
    "trimmed": lambda image: ImageOps.crop(image, round(0.02 * min(image.size))),
}
PLACES = {
    "leak": ("train/bees/a.jpg", "val/bees/b.jpg"),
    "two-labels": ("train/ants/a.jpg", "train/bees/b.jpg"),
    "near-duplicate": ("val/ants/a.jpg", "val/ants/b.jpg"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_same_picture_is_recognised(clean, edit):
    one, other = PLACES["leak"]
    original = picture(40)
    original.save(clean / one, quality=95)
    EDITS[edit](original).save(clean / other, quality=30 if edit == "saved badly" else 80)
    assert found(clean) == [("leak", (one, other))]


@pytest.mark.parametrize("identical", [False, True])
@pytest.mark.parametrize("kind", PLACES)
def test_the_place_decides_what_a_duplicate_spoils(clean, kind, identical):
    one, other = PLACES[kind]
    picture(40).save(clean / one, quality=95)
    if identical:
        shutil.copy(clean / one, clean / other)
        kind = "duplicate" if kind == "near-duplicate" else kind
    else:
        picture(40).save(clean / other, quality=80)
    result = check(clean)
    assert [(f.kind, f.paths) for f in result] == [(kind, (one, other))]
    assert result.inflates_accuracy == (kind in {"leak", "two-labels"})


def test_a_picture_in_both_classes_and_on_both_sides_is_both(clean):
    paths = ("train/ants/a.jpg", "train/ants/b.jpg", "val/bees/c.jpg")
    for path in paths:
        picture(40).save(clean / path)
    assert found(clean) == [("leak", paths), ("two-labels", paths)]


def test_equal_damaged_files_are_still_equal(clean):
    for path in ("train/ants/a.jpg", "val/bees/a.jpg"):
        (clean / path).write_text("not a photo")
    assert [kind for kind, _ in found(clean)] == ["leak", "two-labels", "unreadable"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: ImageOps.expand(image.resize((320, 240)), 40, "white"),
        lambda image: ImageOps.pad(image.resize((320, 160)), (320, 320)),
    ],
    ids=["frame", "letterbox"],
)
def test_a_frame_in_common_does_not_make_pictures_the_same(clean, edit):
    for path in clean.rglob("*.jpg"):
        with Image.open(path) as image:
            framed = edit(image)
        framed.save(path, quality=90)
    assert found(clean) == []


def test_a_folder_that_is_split_here_is_looked_at_on_both_sides(clean):
    flat = clean / "train"
    with Image.open(flat / "bees/0.jpg") as image:
        for index in range(30):  # so many that both sides get some, whatever the split
            turned = ImageOps.mirror(image) if index % 2 else image
            turned.save(flat / "bees" / f"again_{index}.jpg", quality=60 + index)
    ((kind, paths),) = [(k, p) for k, p in found(flat) if k != "imbalance"]
    assert kind == "leak"
    assert len(paths) == 31
