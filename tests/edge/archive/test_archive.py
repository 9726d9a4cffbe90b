"""An archive: each photo has one row, whatever happens, and the same photos give the same parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="needs edgebee[archive]")

import pyarrow as pa
import pyarrow.parquet as pq

import edgebee.edge
from edgebee.edge.archive.archive import classify_archive
from edgebee.edge.archive.classification import ArchiveModel, classify_entries
from edgebee.edge.archive.manifest import open_manifest
from edgebee.edge.archive.parts import SCHEMA, PartStore, same_results
from edgebee.edge.archive.store import PhotoReader

MODEL = Path(edgebee.edge.__file__).resolve().parent / "models" / "hymenoptera_int8.tflite"


def make_photo(path: Path, colour: int = 0, **options) -> Path:
    """A small photo, of another content for each colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48), (colour * 7 % 256, colour * 31 % 256, 90))
    image.putpixel((colour % 64, 10), (255, 255, 255))
    image.save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    """Ten photos in two folders, and one that is broken."""
    for number in range(10):
        make_photo(tmp_path / "photos" / f"day {number % 2}" / f"{number}.jpg", number)
    (tmp_path / "photos" / "day 0" / "5 broken.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


def rows_of(folder: Path) -> pa.Table:
    """All rows of all parts."""
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("part-*.parquet")))


def paths_of(folder: Path) -> list[str]:
    return rows_of(folder)["path"].to_pylist()


def archived(source, folder, **options):
    return classify_archive(str(source), folder, model=MODEL, part_size=4, **options)


def test_each_photo_has_a_row_and_bad_ones_say_why(photos, tmp_path):
    archive = archived(photos, tmp_path / "archive")
    assert (archive.photos, archive.classified, archive.errors, archive.failed) == (11, 11, 1, 1)
    assert sum(archive.labels.values()) == 10
    rows = rows_of(archive.folder).to_pylist()
    assert [row["path"] for row in rows] == sorted(str(path) for path in photos.rglob("*.jpg"))
    for row in rows:
        state = Path(row["path"]).stat()
        assert row["size"] == state.st_size
        assert round(row["modified"].timestamp() * 1e6) == state.st_mtime_ns // 1000
        assert row["model"] == archive.model
        if row["path"].endswith("broken.jpg"):
            assert row["error"] == "unreadable (not a picture)"
            assert row["label"] is row["score"] is row["milliseconds"] is None
        else:
            scores = dict(row["scores"])
            assert row["error"] is None
            assert row["score"] == max(scores.values())
            assert list(scores) == ["ants", "bees"]
            assert row["milliseconds"] > 0


def test_run_again_it_does_what_is_new_or_changed(photos, tmp_path):
    first = archived(photos, tmp_path / "archive")
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert archived(photos, tmp_path / "archive").classified == 0
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before

    make_photo(photos / "day 1" / "1.jpg", 99)
    make_photo(photos / "day 0" / "00 new.jpg", 12)
    (photos / "day 0" / "4.jpg").unlink()
    again = archived(photos, tmp_path / "archive")
    assert (again.photos, again.classified) == (12, 2)
    paths = paths_of(again.folder)
    assert len(paths) == len(set(paths)) == 12
    assert paths[-1].endswith("00 new.jpg")  # each photo keeps its part: new ones come last
    assert str(photos / "day 0" / "4.jpg") in paths  # what has gone keeps its row
    assert archived(photos, tmp_path / "archive").classified == 0


def test_a_part_that_is_missing_or_damaged_is_done_again(photos, tmp_path, remarks):
    first = archived(photos, tmp_path / "archive")
    whole = rows_of(first.folder)
    PartStore(first.folder).path(0).unlink()
    part = PartStore(first.folder).path(1)
    part.write_bytes(part.read_bytes()[:-9])
    again = archived(photos, tmp_path / "archive")
    assert again.classified == 8
    assert same_results(rows_of(first.folder), whole)
    assert any("part-000001.parquet: damaged" in line for line in remarks)


def test_the_same_photos_give_the_same_parts_wherever_a_part_is_made(photos, tmp_path):
    archive = archived(photos, tmp_path / "archive")
    manifest = open_manifest(tmp_path / "archive")
    classifier = ArchiveModel(MODEL).load()
    for number in reversed(range(manifest.parts)):  # as on other machines, in another order
        rows = classify_entries(
            classifier,
            manifest.entries(number),
            PhotoReader(str(photos)),
            sha256=archive.model,
            workers=1,
        )
        (tmp_path / "other").mkdir(exist_ok=True)
        PartStore(tmp_path / "other").write(number, rows)
        one, other = (
            PartStore(where).read(number) for where in (archive.folder, tmp_path / "other")
        )
        assert one.schema.equals(SCHEMA)
        assert one.schema.metadata == SCHEMA.metadata
        assert same_results(one, other)
        assert not same_results(one, other.slice(1))
