"""Folders as people bring them: names of halves, system folders, names of classes, other files."""

from __future__ import annotations

from pathlib import Path

import pytest
from photo_folders import SPLIT, make, names, numbered  # beside this file

from edgebee.errors import DataError
from edgebee.photos.dataset import load_dataset
from edgebee.photos.layout import SYSTEM_FOLDERS


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ("train", "val"),
        ("Training", "Validation"),
        ("train_set", "valid"),
        ("seg_train", "seg_test"),
        ("TRAIN", "Test"),
        ("training_set", "test_set"),
        ("bees-train", "bees-dev"),
        ("Train images", "Testing"),
    ],
)
def test_halves_have_any_usual_name(tmp_path, train, validation):
    photos = [*numbered(f"{train}/a", 3), *numbered(f"{train}/b", 2)]
    photos += [*numbered(f"{validation}/a", 1), *numbered(f"{validation}/b", 1)]
    dataset = load_dataset(make(tmp_path, photos))
    assert dataset.labels == ("a", "b")
    assert (len(dataset.train), len(dataset.validation)) == (5, 2)


def test_of_validation_and_test_photos_the_former_validate(tmp_path):
    make(tmp_path, [*SPLIT, *numbered("test/ants", 7), *numbered("test/bees", 7)])
    assert len(load_dataset(tmp_path).validation) == 3


@pytest.mark.parametrize("name", ["steam train", "test tube", "validator", "trainer", "contest"])
def test_classes_may_be_called_almost_like_a_half(tmp_path, name):
    make(tmp_path, [*numbered(f"{name}/side", 3), *numbered("tram/side", 3)])
    assert load_dataset(tmp_path).labels == tuple(sorted([name, "tram"]))


def test_classes_that_all_hold_the_same_folders_are_halves_by_another_name(tmp_path):
    for half in ("first", "second"):
        make(tmp_path, [*numbered(f"{half}/ants", 2), *numbered(f"{half}/bees", 2)])
    with pytest.raises(DataError) as caught:
        load_dataset(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: first/, second/ all hold the same folders (ants, bees); if these are the "
        "classes, rename the two folders above them to train and val, or choose one with --data"
    )


@pytest.mark.parametrize(
    "content",
    [
        ["a/2023/1.jpg", "a/2024/1.jpg", "b/2023/1.jpg", "b/2025/1.jpg"],
        ["a/2023/1.jpg", "a/2023/2.jpg", "b/2023/1.jpg", "b/2023/2.jpg"],
        ["a/x/1.jpg", "a/y/1.jpg", "b/x/1.jpg", "b/y/1.jpg", "b/0.jpg"],
    ],
    ids=["other folders", "one folder each", "photos beside them"],
)
def test_classes_may_be_subdivided(tmp_path, content):
    assert load_dataset(make(tmp_path, content)).labels == ("a", "b")


@pytest.mark.parametrize(
    "system", sorted({*SYSTEM_FOLDERS, "@eaDir", "System Volume Information", ".Trashes"})
)
def test_system_folders_are_skipped_at_every_level(tmp_path, system):
    make(tmp_path, [*SPLIT, f"{system}/x/1.jpg", f"train/{system}/1.jpg"])
    make(tmp_path, [f"val/bees/{system}/1.jpg", f"val/bees/deep/{system}/1.jpg"])
    dataset = load_dataset(tmp_path)
    assert sorted(names(dataset, dataset.train) + names(dataset, dataset.validation)) == sorted(
        SPLIT
    )


@pytest.mark.parametrize(
    "empty", [["wasps/"], ["train/wasps/", "val/wasps/"]], ids=["flat", "halves"]
)
def test_an_empty_class_is_named_once_and_can_be_left_out(tmp_path, empty):
    photos = SPLIT if len(empty) > 1 else [*numbered("ants", 3), *numbered("bees", 3)]
    make(tmp_path, [*photos, *empty])
    with pytest.raises(DataError, match=r": no photos in wasps; .* with --exclude wasps$"):
        load_dataset(tmp_path)
    for exclude in ("wasps", "wasps/"):
        assert load_dataset(tmp_path, exclude=[exclude]).labels == ("ants", "bees")


def test_a_class_can_be_left_out(tmp_path, remarks):
    make(tmp_path, [*SPLIT, *numbered("train/unknown", 2), "val/unknown/x.txt"])
    dataset = load_dataset(tmp_path, exclude="unknown")
    assert dataset.labels == ("ants", "bees")
    assert dataset.exclude == ("unknown",)
    assert remarks == []


@pytest.mark.parametrize("name", ["other", "Neither"])
def test_photos_of_none_of_the_classes_have_a_folder_of_their_own(tmp_path, name, remarks):
    make(tmp_path, [*numbered("ants", 2), *numbered("bees", 2), *numbered(name, 10)])
    dataset = load_dataset(tmp_path)
    assert dataset.labels == ("ants", "bees")
    assert (len(dataset.others), len(dataset.others_validation)) == (8, 2)
    assert {path.parent.name for path in dataset.others + dataset.others_validation} == {name}
    assert remarks == []


def test_photos_of_none_of_the_classes_keep_the_split_of_the_halves(tmp_path):
    make(tmp_path, [*SPLIT, *numbered("train/other", 4), *numbered("val/other", 3)])
    dataset = load_dataset(tmp_path, exclude="val/other/001.jpg")
    assert [path.parent.parent.name for path in dataset.others] == 4 * ["train"]
    assert [path.parent.parent.name for path in dataset.others_validation] == 2 * ["val"]


def test_other_photos_may_lie_anywhere_and_join_those_of_the_folder(tmp_path):
    photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    make(photos, [*numbered("ants", 2), *numbered("bees", 2), *numbered("other", 5)])
    make(elsewhere, [*numbered("wasps", 5), *numbered("sky/blue", 5)])
    dataset = load_dataset(photos, other=elsewhere)
    assert (len(dataset.others), len(dataset.others_validation)) == (4 + 8, 1 + 2)
    assert dataset.other == str(elsewhere)
    again = load_dataset(dataset.source, other=dataset.other)
    assert again.others == dataset.others


def test_too_few_other_photos_are_refused(tmp_path):
    make(tmp_path, [*numbered("ants", 2), *numbered("bees", 2), *numbered("other", 4)])
    with pytest.raises(DataError, match=r"other: 4 photos .* too few; take 5 or more"):
        load_dataset(tmp_path)


def test_two_folders_of_none_of_the_classes_are_refused(tmp_path):
    make(tmp_path, [*numbered("ants", 2), *numbered("other", 5), *numbered("neither", 5)])
    with pytest.raises(DataError, match="neither/, other/ are both for photos of what is none"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "photos/ants/000.jpg"])
def test_other_photos_that_are_not_there(tmp_path, name):
    make(tmp_path / "photos", [*numbered("ants", 2), *numbered("bees", 2)])
    with pytest.raises(DataError, match="--other"):
        load_dataset(tmp_path / "photos", other=tmp_path / name)


@pytest.mark.parametrize("label", ["unknown", "Unknown"])
def test_the_runners_own_words_are_no_classes(tmp_path, label):
    make(tmp_path, [*numbered("ants", 2), *numbered(label, 2)])
    with pytest.raises(DataError, match=f"a class cannot be called '{label}'.* --exclude {label}$"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(("one", "other"), [("Ants", "ants"), ("ants", "ants.")])
def test_classes_that_would_be_one_folder_elsewhere_are_refused(tmp_path, one, other):
    make(tmp_path, [*numbered(one, 2), *numbered(other, 2), *numbered("bees", 2)])
    if len(list(Path(tmp_path).iterdir())) < 3:
        pytest.skip("on this system they are one folder")
    with pytest.raises(DataError, match=f"class folders '{one}' and '{other}' differ only in"):
        load_dataset(tmp_path)


def test_what_is_not_read_is_counted_by_kind(tmp_path, remarks):
    make(tmp_path, [*SPLIT, *(f"train/ants/{n}.NEF" for n in range(3)), "val/bees/1.cr2"])
    make(tmp_path, ["val/bees/Thumbs.db", "val/bees/.DS_Store", "train/notes.txt"])
    load_dataset(tmp_path)
    (line,) = remarks
    assert line.startswith(f"warning: {tmp_path}: not read: 3 .nef, 1 .cr2; photos end in .avif, ")


def test_without_a_home_the_variable_is_named(monkeypatch):
    for name in ("EDGEBEE_CACHE", "HOME", "XDG_CACHE_HOME", "EDGEBEE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where no user is known
    for source in ("sample", "hymenoptera"):
        with pytest.raises(DataError, match=r"no home folder is known .*; set EDGEBEE_CACHE to"):
            load_dataset(source)
