"""Which problems of a dataset are found, and that none are where there are none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from checked import PER_CLASS, check, found, picture  # beside this file
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from edgebee.edge.classify import PhotoError, read_photo
from edgebee.photos.checks import KINDS, check_dataset
from edgebee.photos.dataset import load_dataset
from edgebee.progress import Progress


def test_a_clean_dataset_has_no_problems(clean):
    result = check(clean)
    assert result.problems == ()
    assert not result.inflates_accuracy


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


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.asarray(picture(0).convert("L"), np.uint16) * 257)


def half_transparent() -> Image.Image:
    image = picture(0).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 60, 60))
    return image


DEFECTS = {
    ("unreadable", "text.jpg"): lambda path: path.write_text("not a photo"),
    ("unreadable", "empty.jpg"): lambda path: path.write_bytes(b""),
    ("unreadable", "half.png"): truncated,
    ("unreadable", "half.jpg"): truncated,
    ("incomplete", "ended.jpg"): closed_too_soon,
    ("placeholder", "gone.gif"): placeholder,
    ("placeholder", "gone.jpg"): placeholder,
    ("uniform", "cap.png"): lambda path: save(Image.new("RGB", (320, 240), "black"), path),
    ("tiny", "icon.png"): lambda path: save(picture(0).resize((100, 111)), path),
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
    for index in range(6):
        picture(30 + 2 * index).save(clean / "train/ants" / f"more_{index}.jpg")

    result = check(clean)
    assert {problem.kind for problem in result.problems} == set(KINDS)
    order = [list(KINDS).index(problem.kind) for problem in result.problems]
    assert order == sorted(order)
    assert result.inflates_accuracy


def test_many_files_with_the_same_defect_are_one_finding(clean):
    for index in range(3):
        picture(index).resize((100, 80)).save(clean / "val" / "bees" / f"icon_{index}.jpg")
    assert found(clean) == [("tiny", tuple(f"val/bees/icon_{index}.jpg" for index in range(3)))]


@pytest.mark.parametrize(
    "image",
    [
        picture(0).convert("L"),
        picture(0).convert("RGBA"),  # opaque all over
        ImageEnhance.Brightness(picture(0)).enhance(0.3),
        ImageOps.expand(picture(0), 60, "white"),
        picture(0).resize((112, 150)),
        picture(0).quantize(),
        sixteen_bit(),
        half_transparent(),
    ],
    ids=["grey", "opaque alpha", "dark", "framed", "small", "palette", "16-bit", "transparent"],
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
    reason, remedy = problem.message.rsplit("; ", 1)
    assert str(raised.value) == f"{path}: unreadable ({reason}); {remedy}"


# -------------------------------------------------------------------- balance


@pytest.mark.parametrize(("more", "unbalanced"), [(PER_CLASS, False), (PER_CLASS + 1, True)])
def test_imbalance_is_named_from_a_ratio_above_two(clean, more, unbalanced):
    for index in range(more):
        picture(2 * index).save(clean / "train/ants" / f"more_{index}.jpg")
    problems = check(clean).problems
    assert [problem.kind for problem in problems] == ["imbalance"] * unbalanced
    if unbalanced:
        assert problems[0].message.startswith("ants has 9 training photos, bees has 4")


def test_photos_left_out_do_not_count_as_duplicates(clean):
    shutil.copy(clean / "train/ants/0.jpg", clean / "val/bees/0b.jpg")
    assert found(clean, exclude=["0b.jpg"]) == []


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


def test_text_names_the_files_and_the_totals(clean):
    shutil.copy(clean / "train/ants/0.jpg", clean / "val/ants/again.jpg")
    result = check(clean)
    assert [str(problem) for problem in result] == [
        "error: leak: train/ants/0.jpg, val/ants/again.jpg: the same file in both "
        "halves, which inflates the measured accuracy; keep one"
    ]
    assert result.totals == "1 error, 0 warnings"


def test_text_of_a_clean_folder_says_so(clean):
    assert check(clean).totals == "no problems"


def test_text_shortens_long_lists(clean):
    for index in range(10):
        picture(index).resize((100, 80)).save(clean / "val/bees" / f"icon_{index}.jpg")
    (problem,) = check(clean)
    assert "val/bees/icon_7.jpg and 2 more: " in str(problem)
    assert len(problem.paths) == 10


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
    assert found(photos) == [("placeholder", ("train/ants/imageNotFound.gif",))]


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
