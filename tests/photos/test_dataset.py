"""What `--data` may be given, and what becomes of it."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from photo_folders import SPLIT, make, names, numbered  # beside this file
from PIL import Image

from edgebee.errors import DataError
from edgebee.photos.dataset import Dataset, Photos, load_dataset
from edgebee.photos.hymenoptera import HYMENOPTERA, PLACEHOLDER

pytestmark = pytest.mark.usefixtures("cache")


# ------------------------------------------------------- folders that are split already


def test_a_folder_with_train_and_val(tmp_path: Path) -> None:
    root = make(tmp_path / "my photos", SPLIT)
    data = load_dataset(str(root))

    assert data == Dataset(
        name="my photos",
        source=str(root),
        root=root,
        labels=("ants", "bees"),
        train=Photos(
            tuple(root / name for name in numbered("train/ants", 2) + numbered("train/bees", 3)),
            (0, 0, 1, 1, 1),
        ),
        validation=Photos(
            tuple(root / name for name in numbered("val/ants", 1) + numbered("val/bees", 2)),
            (0, 1, 1),
        ),
        drawn=False,
    )
    assert (len(data.train), data.train.counts(2)) == (5, (2, 3))
    assert (len(data.validation), data.validation.counts(2)) == (3, (1, 2))


def test_counts_include_classes_without_a_photo() -> None:
    assert Photos((Path("a"), Path("b")), (2, 2)).counts(4) == (0, 0, 2, 0)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_the_validation_folder_has_one_of_the_usual_names(tmp_path: Path, val: str) -> None:
    make(tmp_path / "d", [name.replace("val/", f"{val}/") for name in SPLIT])
    assert load_dataset(str(tmp_path / "d")).validation.counts(2) == (1, 2)


def test_folders_beside_train_and_val_are_left_alone(tmp_path: Path) -> None:
    make(tmp_path / "d", [*SPLIT, "test/ants/1.jpg", "notes/", "README.jpg"])
    assert load_dataset(str(tmp_path / "d")).labels == ("ants", "bees")


def test_the_source_loads_the_same_photos_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "d", [*numbered("ants", 9), *numbered("bees", 9)])
    monkeypatch.chdir(tmp_path)
    data = load_dataset("d", seed=3)
    monkeypatch.chdir("/")
    assert load_dataset(data.source, seed=3) == data


def test_the_working_directory_can_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make(tmp_path / "d", SPLIT))
    data = load_dataset(".")
    assert (data.name, data.source) == ("d", str(tmp_path / "d"))


def test_what_counts_as_a_photo(tmp_path: Path) -> None:
    photos = ["ants/1.JPG", "ants/ü b.jpeg", "ants/deep/er/3.png", "bees/x.webp", "bees/y.tif"]
    others = [
        "ants/.hidden.jpg",
        "ants/.thumbnails/1.jpg",
        "ants/notes.txt",
        "ants/jpg",
        "bees/Thumbs.db",
        ".git/x.jpg",
        "__MACOSX/ants/._1.jpg",
        "loose.jpg",
    ]
    data = load_dataset(str(make(tmp_path / "d", photos + others)))
    assert data.labels == ("ants", "bees")
    assert sorted(names(data, data.train) + names(data, data.validation)) == sorted(photos)


def test_photos_in_no_class_folder_are_counted_aloud(tmp_path: Path, remarks: list[str]) -> None:
    root = make(tmp_path / "d", [*SPLIT, "train/loose.jpg", "train/more.jpg"])
    load_dataset(str(root))
    assert remarks == [f"warning: {root / 'train'}: 2 photos lie in no class folder: not read"]


def test_a_class_folder_may_be_a_link(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", numbered(".", 3))
    root = make(tmp_path / "d", numbered("ants", 3))
    (root / "bees").symlink_to(tmp_path / "elsewhere")
    data = load_dataset(str(root))
    assert data.train.counts(2) == (2, 2)
    assert data.train.paths[-1].parent == root / "bees"


def test_a_pipe_among_the_photos_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    root = make(tmp_path, [*numbered("ants", 2), *numbered("bees", 2)])
    os.mkfifo(root / "bees" / "pipe.jpg")
    with pytest.raises(DataError, match=r"pipe\.jpg: is a pipe or a device"):
        load_dataset(str(root))


def test_labels_are_composed_unicode_and_sorted(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "häher")
    make(
        tmp_path / "d",
        [
            *numbered(f"train/{decomposed}", 2),  # as a Mac writes it
            *numbered("val/häher", 2),  # as everybody else does
            *numbered("train/red ant, wingless", 1),
            *numbered("val/red ant, wingless", 1),
            *numbered("train/Zebra", 1),
            *numbered("val/Zebra", 1),
            *numbered("train/蜂", 1),
            *numbered("val/蜂", 1),
        ],
    )
    data = load_dataset(str(tmp_path / "d"))
    assert data.labels == ("Zebra", "häher", "red ant, wingless", "蜂")
    assert data.train.counts(4) == (1, 2, 1, 1)
    assert all(path.is_file() for path in data.train.paths + data.validation.paths)


# ------------------------------------------------------------------ what cannot be used


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no class folders (0 photos lie in it)"),
        (["1.jpg", "2.jpg"], "no class folders (2 photos lie in it)"),
        (["train/", "val/"], "train: no class folders"),
        (numbered("ants", 3), "one class only (ants); add a folder for another class"),
        (
            [f"photos/{name}" for name in SPLIT],
            "one class only (photos); did you mean --data {root}/photos?",
        ),
        (
            ["train/ants/1.jpg", "val/ants/1.jpg"],
            "train: one class only (ants); add a folder for another class",
        ),
        ([*numbered("ants", 3), "bees/"], "no photos in bees; add some (.avif, .bmp, "),
        ([*numbered("ants", 3), "bees/", "wasps/x.txt"], "no photos in bees, wasps; "),
        ([*SPLIT, "train/wasps/1.jpg", "val/wasps/"], "no photos in val/wasps; "),
        (
            [*SPLIT, "train/wasps/1.jpg"],
            "the classes differ (wasps only in train/); give each class a folder in both",
        ),
        (
            [*SPLIT, "train/wasp/1.jpg", "val/wasps/1.jpg"],
            "the classes differ (wasp only in train/, wasps only in val/)",
        ),
        (
            [*SPLIT, *(f"val/class {n}/1.jpg" for n in range(8))],
            "class 0, class 1, class 2, class 3, class 4 and 3 more only in val/",
        ),
        ([*numbered("ants", 3), "bees/1.jpg"], "one photo only in bees; a class needs two"),
        (numbered("train/a", 2) + numbered("train/b", 2), "has train/ but no val/; add it, or"),
        (numbered("val/a", 2) + numbered("val/b", 2), "has val/ but no train/; add it, or"),
        ([*SPLIT, "validation/ants/1.jpg"], "val/, validation/ all look like validation photos"),
        ([*numbered("ants", 2), *numbered("two\nlines", 2)], "folder 'two\\nlines' cannot be"),
        ([*numbered("ants", 2), *numbered("a\u2028b", 2)], "folder 'a\\u2028b' cannot be a line"),
        ([*numbered("ants", 2), *numbered("bees ", 2)], "folder 'bees ' cannot be a line"),
        ([*numbered("ants", 2), *numbered(os.fsdecode(b"\xe9"), 2)], "folder '\\udce9' cannot be"),
        (
            numbered("häher", 2) + numbered(unicodedata.normalize("NFD", "häher"), 2),
            "two class folders are called 'häher', written in two ways of Unicode",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_why_in_one_line(
    tmp_path: Path, content: list[str], message: str
) -> None:
    root = make(tmp_path / "d", content)
    with pytest.raises(DataError) as caught:
        load_dataset(str(root))
    assert message.format(root=root) in str(caught.value)
    assert str(caught.value).startswith(str(root))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hymenoptra", "hymenoptra: no such folder; did you mean --data hymenoptera?"),
        ("Hymenoptera", "did you mean --data hymenoptera?"),
        ("./sampel", "did you mean --data sample?"),
        ("photos/of mine", "no such folder; give a folder of class folders, hymenoptera or sample"),
        ("", "'': no such folder"),
        ("a.zip", "a.zip: is a file; give a folder of class"),
        ("a.zip/ants", "is a file; give a folder of class"),
        ("~/there is no such folder", "no such folder"),
    ],
)
def test_a_source_that_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(make(tmp_path / "here", ["a.zip"]))
    with pytest.raises(DataError) as caught:
        load_dataset(source)
    assert message in str(caught.value)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 20, float("nan")])
def test_a_fraction_that_is_none(tmp_path: Path, fraction: float) -> None:
    root = make(tmp_path / "d", SPLIT)
    with pytest.raises(DataError, match=r"--val-fraction .* between 0 and 1"):
        load_dataset(str(root), val_fraction=fraction)


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Drop root's right to read everything, for the tests that run as root."""

    def drop() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    before = os.geteuid()
    yield drop
    os.seteuid(before)


@pytest.mark.parametrize("locked", ["", "train", "train/ants", "val/bees/deep"])
def test_a_folder_that_may_not_be_read(as_nobody: Callable[[], None], locked: str) -> None:
    # Not in tmp_path, which only its owner may enter.
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        root = make(Path(outer, "d"), [*SPLIT, "val/bees/deep/1.jpg"])
        (root / locked).chmod(0)
        try:
            as_nobody()
            with pytest.raises(DataError) as caught:
                load_dataset(str(root))
        finally:
            os.seteuid(os.getuid())
            (root / locked).chmod(0o755)
    assert str(caught.value) == (
        f"{root / locked}: cannot be read (Permission denied); check its permissions"
    )


# --------------------------------------------------------------- sample and hymenoptera


def test_the_sample_is_drawn_once_and_said_to_be_drawn(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole set takes seconds to draw; a few of its pictures are enough here.
    monkeypatch.setattr("edgebee.photos.sample.TRAINING_PER_CLASS", 2)
    monkeypatch.setattr("edgebee.photos.sample.VALIDATION_PER_CLASS", 1)
    # A folder of that name does not stand in the way, and can still be given.
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "sample", SPLIT)

    drawn = load_dataset("sample")
    assert (drawn.name, drawn.source, drawn.drawn) == ("sample", "sample", True)
    assert drawn.labels == ("ants", "bees")
    assert (drawn.train.counts(2), drawn.validation.counts(2)) == ((2, 2), (1, 1))
    assert drawn.root.parent == cache
    assert list(cache.iterdir()) == [drawn.root]
    for path in (drawn.train.paths[0], drawn.validation.paths[-1]):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")

    made_ns = drawn.train.paths[0].stat().st_mtime_ns
    assert load_dataset("sample", seed=5) == replace(drawn, seed=5), "one set for all seeds"
    assert drawn.train.paths[0].stat().st_mtime_ns == made_ns

    folder = load_dataset("./sample")
    assert (folder.name, folder.source) == ("sample", str(tmp_path / "sample"))
    assert not folder.drawn


def test_a_sample_that_cannot_be_drawn(cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"could not be drawn there .*EDGEBEE_CACHE") as caught:
        load_dataset("sample")
    assert "Not a directory" in str(caught.value)


def test_hymenoptera_is_loaded_without_its_placeholder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "shared" / "hymenoptera_data"
    for folder in HYMENOPTERA.classes:
        make(root, numbered(folder, 3))
    make(root, [PLACEHOLDER])
    monkeypatch.setenv("EDGEBEE_DATA", str(tmp_path / "shared"))

    data = load_dataset("hymenoptera")
    assert (data.name, data.source, data.root) == ("hymenoptera", "hymenoptera", root)
    assert not data.drawn
    assert (data.train.counts(2), data.validation.counts(2)) == ((3, 3), (3, 3))
    assert root / PLACEHOLDER not in data.train.paths
