"""Which problems of a dataset are found, and that none are where there are none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from checked import PER_CLASS, check, found, picture  # beside this file
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from edgebee.edge.classify import PHOTO_SUFFIXES, PhotoError, read_photo
from edgebee.photos.checks import KINDS, SUFFIX_FORMATS, check_dataset
from edgebee.photos.dataset import load_dataset
from edgebee.progress import Progress


def test_a_clean_dataset_has_no_problems(clean):
    result = check(clean)
    assert result.problems == ()
    assert not result.inflates_accuracy
    assert result.train_counts == result.validation_counts == (PER_CLASS, PER_CLASS)


# ------------------------------------------------------------------------ single files


def save(image: Image.Image, path: Path, **options) -> None:
    image.save(path, **options)


def truncated(path: Path) -> None:
    picture(0).save(path)
    path.write_bytes(path.read_bytes()[:4000])


def closed_too_soon(path: Path) -> None:
    # Cut in the middle, but with the marker of a proper end: decoders say nothing.
    picture(0).save(path, quality=90)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff\xd9")


def placeholder(path: Path) -> None:
    image = Image.new("RGB", (300, 200), "#eeeeee")
    ImageDraw.Draw(image).text((150, 100), "No image", fill="#888888", anchor="mm", font_size=30)
    image.save(path)


def sixteen_bit(path: Path) -> None:
    grey = np.asarray(picture(0).convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(path)


def floating(path: Path) -> None:
    Image.fromarray(np.asarray(picture(0).convert("L"), np.float32)).save(path)


def half_transparent(path: Path) -> None:
    image = picture(0).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 60, 60))
    image.save(path)


DEFECTS = {
    ("unreadable", "text.jpg"): lambda path: path.write_text("not a photo"),
    ("unreadable", "empty.jpg"): lambda path: path.write_bytes(b""),
    ("truncated", "half.png"): truncated,
    ("truncated", "half.jpg"): truncated,
    ("incomplete", "ended.jpg"): closed_too_soon,
    ("placeholder", "gone.gif"): placeholder,
    ("placeholder", "gone.jpg"): placeholder,
    ("uniform", "cap.png"): lambda path: save(Image.new("RGB", (320, 240), "black"), path),
    ("tiny", "icon.png"): lambda path: save(picture(0).resize((100, 111)), path),
    ("wrong-suffix", "png.jpg"): lambda path: save(picture(0), path, format="PNG"),
    ("cmyk", "print.jpg"): lambda path: save(picture(0).convert("CMYK"), path),
    ("16-bit", "deep.png"): sixteen_bit,
    ("16-bit", "float.tif"): floating,
    ("palette", "few.png"): lambda path: save(picture(0).quantize(), path),
    ("transparent", "cut.png"): half_transparent,
    ("animated", "moving.webp"): lambda path: save(
        picture(0), path, save_all=True, append_images=[picture(1)]
    ),
}


@pytest.mark.parametrize(("kind", "name"), DEFECTS)
def test_a_defect_is_named_with_its_file(clean, kind, name):
    DEFECTS[kind, name](clean / "train" / "ants" / name)
    result = check(clean)
    assert (kind, (f"train/ants/{name}",)) in [(f.kind, f.paths) for f in result.problems]
    assert {f.paths for f in result.problems} == {(f"train/ants/{name}",)}, "nothing else is wrong"
    assert {f.severity for f in result.problems if f.kind == kind} == {KINDS[kind]}
    assert not result.inflates_accuracy


def test_every_kind_of_defect_at_once(clean):
    """The folder with everything wrong: one line each, the gravest first."""
    for (_, name), make in DEFECTS.items():
        make(clean / "train" / "ants" / name)
    shutil.copy(clean / "train/bees/0.jpg", clean / "train/bees/copy.jpg")
    ImageOps.mirror(picture(20)).save(clean / "train/bees/mirrored.jpg")
    picture(20).save(clean / "train/bees/original.jpg")
    shutil.copy(clean / "train/bees/1.jpg", clean / "val/bees/seen.jpg")
    picture(21).save(clean / "val/ants/both.jpg")
    picture(21).save(clean / "val/bees/both.jpg", quality=50)
    (clean / "train/ants/notes.txt").write_text("field notes")
    picture(22).save(clean / "train/ants/left_out.jpg")

    result = check(clean, exclude=["left_out.jpg"])
    assert {problem.kind for problem in result.problems} == set(KINDS)
    order = [list(KINDS).index(problem.kind) for problem in result.problems]
    assert order == sorted(order)
    assert result.inflates_accuracy


def test_many_files_with_the_same_defect_are_one_finding(clean):
    for index in range(3):
        picture(index).convert("CMYK").save(clean / "val" / "bees" / f"print_{index}.jpg")
    assert found(clean) == [("cmyk", tuple(f"val/bees/print_{index}.jpg" for index in range(3)))]


def test_a_second_picture_behind_a_phones_jpeg_is_no_animation(clean):
    # MPO: Pillow's name for the JPEGs of many phones, with a depth map behind the photo.
    picture(0).save(
        clean / "val/ants/phone.jpg", format="MPO", save_all=True, append_images=[picture(1)]
    )
    assert found(clean) == []


@pytest.mark.parametrize(
    "image",
    [
        picture(0).convert("L"),
        picture(0).convert("RGBA"),  # opaque all over
        ImageEnhance.Brightness(picture(0)).enhance(0.3),
        ImageOps.expand(picture(0), 60, "white"),
        picture(0).resize((112, 150)),
    ],
    ids=["grey", "opaque alpha", "dark", "framed", "small"],
)
def test_unusual_photos_are_no_defects(clean, image):
    image.save(clean / "val" / "ants" / "unusual.png")
    assert found(clean) == []


def test_what_is_unreadable_here_is_what_the_runner_cannot_read(clean):
    path = clean / "train" / "ants" / "half.jpg"
    truncated(path)
    (problem,) = check(clean).problems
    with pytest.raises(PhotoError) as raised:
        read_photo(path)
    assert problem.message in str(raised.value)


def test_every_ending_of_a_photo_has_its_formats():
    assert set(SUFFIX_FORMATS) == set(PHOTO_SUFFIXES)


# -------------------------------------------------------------------- balance, leftovers


@pytest.mark.parametrize(("more", "unbalanced"), [(PER_CLASS, False), (PER_CLASS + 1, True)])
def test_imbalance_is_named_from_a_ratio_above_two(clean, more, unbalanced):
    for index in range(more):
        picture(2 * index).save(clean / "train/ants" / f"more_{index}.jpg")
    problems = check(clean).problems
    assert [problem.kind for problem in problems] == ["imbalance"] * unbalanced
    if unbalanced:
        assert problems[0].message.startswith("ants has 9 training photos, bees has 4")


def test_photos_left_out_are_noted_and_do_not_count_as_duplicates(clean):
    shutil.copy(clean / "train/ants/0.jpg", clean / "val/bees/0b.jpg")
    (clean / ".edgebeeignore").write_text("val/bees/0b.jpg\n")
    result = check(clean)
    assert [(f.kind, f.severity, f.paths) for f in result.problems] == [
        ("excluded", "note", ("val/bees/0b.jpg",))
    ]
    assert not result.inflates_accuracy


def test_a_defect_of_a_photo_left_out_is_a_note(clean):
    placeholder(clean / "train/ants/gone.gif")
    result = check(clean, exclude=["gone.gif"])
    assert {(f.kind, f.severity) for f in result.problems} == {
        ("placeholder", "note"),
        ("excluded", "note"),
    }


def test_files_that_are_not_read_are_noted(clean):
    (clean / "train/ants/notes.txt").write_text("field notes")
    (clean / "train/ants/.hidden").write_text("")
    (clean / "README.txt").write_text("about these photos")
    picture(0).save(clean / "train/loose.jpg")
    assert found(clean) == [("unused", ("train/ants/notes.txt",)), ("unused", ("train/loose.jpg",))]


def test_a_linked_class_folder_is_looked_into(clean, tmp_path):
    moved = (clean / "train/ants").rename(tmp_path / "elsewhere")
    (clean / "train/ants").symlink_to(moved)
    (moved / "notes.txt").write_text("field notes")
    assert found(clean) == [("unused", ("train/ants/notes.txt",))]


# ------------------------------------------------------------------------------ reports


def test_progress_is_told_of_every_photo(clean):
    reported: list[Progress] = []
    check_dataset(load_dataset(clean), progress=reported.append)
    total = 4 * PER_CLASS
    expected = [Progress("checking photos", n, total) for n in range(1, total + 1)]
    assert reported == expected


def test_the_same_folder_gives_the_same_check(clean):
    shutil.copy(clean / "train/ants/0.jpg", clean / "val/ants/again.jpg")
    truncated(clean / "val/ants/half.jpg")
    assert check(clean) == check(clean)


def test_text_names_counts_files_and_totals(clean):
    shutil.copy(clean / "train/ants/0.jpg", clean / "val/ants/again.jpg")
    assert check(clean).to_lines() == [
        "train: 8 photos (4 ants, 4 bees)",
        "validation: 9 photos (5 ants, 4 bees)",
        "error: leak: train/ants/0.jpg, val/ants/again.jpg: the same file in both "
        "halves, which inflates the measured accuracy; keep one",
        "1 error, 0 warnings, 0 notes",
    ]


def test_text_of_a_clean_folder_says_so(clean):
    assert check(clean).to_lines()[-1] == "no problems"


def test_text_shortens_long_lists_and_json_does_not(clean):
    for index in range(10):
        picture(index).convert("CMYK").save(clean / "val/bees" / f"print_{index}.jpg")
    result = check(clean)
    assert "val/bees/print_7.jpg and 2 more: " in result.to_lines()[2]
    assert len(result.to_json()["problems"][0]["paths"]) == 10


def test_json_survives_a_round_trip(clean):
    shutil.copy(clean / "train/ants/0.jpg", clean / "val/ants/again.jpg")
    as_json = json.loads(json.dumps(check(clean).to_json()))
    assert as_json["counts"] == {
        "train": {"ants": 4, "bees": 4},
        "validation": {"ants": 5, "bees": 4},
    }
    assert as_json["corrupts"] is True
    assert as_json["problems"][0]["kind"] == "leak"
    assert as_json["problems"][0]["paths"] == ["train/ants/0.jpg", "val/ants/again.jpg"]


# ------------------------------------------------------------------------- real photos

hymenoptera = pytest.mark.hymenoptera


@pytest.fixture
def photos() -> Path:
    folder = os.environ.get("EDGEBEE_DATA")
    if not folder:
        pytest.skip("EDGEBEE_DATA does not name the folder of the hymenoptera photos")
    return Path(folder) / "hymenoptera_data"


@hymenoptera
def test_of_the_real_files_only_the_placeholder_is_named(photos):
    """No false alarm among 397 photos; no two of them are the same, checked by eye as well."""
    result = check(photos)
    assert sum(result.train_counts) + sum(result.validation_counts) == 398
    assert [(f.kind, f.severity, f.paths) for f in result.problems] == [
        ("placeholder", "warning", ("train/ants/imageNotFound.gif",)),
        ("palette", "note", ("train/ants/imageNotFound.gif",)),
    ]


@hymenoptera
def test_the_placeholder_is_noted_where_it_is_left_out(photos):
    result = check_dataset(load_dataset("hymenoptera"))
    assert [(f.kind, f.severity, f.paths) for f in result.problems] == [
        ("placeholder", "note", ("train/ants/imageNotFound.gif",)),
        ("excluded", "note", ("train/ants/imageNotFound.gif",)),
    ]


@hymenoptera
def test_real_photos_are_recognised_on_the_other_side(photos, tmp_path):
    """Re-saved small and mirrored, each of 20 training photos is found in validation."""
    root = shutil.copytree(photos, tmp_path / "data")
    originals = sorted((root / "train/bees").iterdir())[::6][:20]
    for path in originals:
        with Image.open(path) as image:
            image.thumbnail((200, 200))
            ImageOps.mirror(image).save(root / "val/bees" / f"again_{path.name}", quality=50)
    leaks = [problem.paths for problem in check(root).problems if problem.kind == "leak"]
    assert leaks == [
        (f"train/bees/{path.name}", f"val/bees/again_{path.name}") for path in originals
    ]
