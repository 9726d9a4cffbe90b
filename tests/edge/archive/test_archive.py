"""An archive: each photo has one row, whatever happens, and the same photos give the same parts."""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from archive_photos import MODEL, TINY_MODEL, archived, make_photo, paths_of, rows_of
from PIL import Image

from edgebee.edge.archive.classification import ArchiveModel, classify_entries
from edgebee.edge.archive.manifest import open_manifest
from edgebee.edge.archive.parts import SCHEMA, PartStore, same_results
from edgebee.errors import DataError, OutputError
from edgebee.files import lock_directory
from edgebee.store import PhotoReader


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
            assert list(scores) == ["dark", "light", "neither"]
            assert row["neither"] == scores["neither"]
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
    classifier = ArchiveModel(TINY_MODEL).load()
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


def test_half_of_the_photos_broken_in_many_ways_end_nothing(photos, tmp_path):
    whole = sorted(photos.rglob("[0-9].jpg"))
    content = whole[0].read_bytes()
    broken = {
        "empty.jpg": b"",
        "cut.jpg": content[: len(content) // 2],
        "zeros.png": bytes(500),
        "page.gif": b"<!doctype html><title>404</title>",
        "bomb.ppm": b"P6 9000 9000 255\n" + bytes(100),
        "film.heic": b"\0\0\0\x18ftypqt  " + bytes(100),
        "text.tif": b"II*\0" + bytes(8),
        "head.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
        "exif.jpg": content[:20] + b"Exif" + bytes(200),
    }
    for name, bad in broken.items():
        (photos / name).write_bytes(bad)
    archive = archived(photos, tmp_path / "archive")
    assert (archive.photos, archive.errors) == (20, 10)
    errors = {Path(row["path"]).name: row["error"] for row in rows_of(archive.folder).to_pylist()}
    assert all(errors[name].startswith("unreadable (") for name in broken)
    assert "81 megapixels are too many" in errors["bomb.ppm"]
    assert sum(archive.labels.values()) == len(whole)


def test_what_cannot_be_opened_is_tried_again_and_what_is_no_photo_when_asked(photos, tmp_path):
    names = [str(photos / "day 0" / "5 broken.jpg"), str(tmp_path / "later.jpg")]
    (tmp_path / "list.txt").write_text("\n".join(names))
    first = archived(tmp_path / "list.txt", tmp_path / "archive")
    assert first.failed == 2
    assert "No such file" in rows_of(first.folder)["error"].to_pylist()[0]
    part = PartStore(first.folder).path(0)
    written = part.stat().st_mtime_ns
    assert archived(tmp_path / "list.txt", tmp_path / "archive").failed == 1
    assert part.stat().st_mtime_ns == written  # nothing has changed
    make_photo(tmp_path / "later.jpg")
    assert archived(tmp_path / "list.txt", tmp_path / "archive").failed == 0
    again = archived(tmp_path / "list.txt", tmp_path / "archive", retry_errors=True)
    assert (again.classified, again.failed, again.errors) == (1, 1, 1)


def test_a_photo_of_a_list_that_has_gone_keeps_its_row(photos, tmp_path):
    names = [str(photos / "day 0" / name) for name in ("0.jpg", "2.jpg")]
    (tmp_path / "list.txt").write_text("\n".join(names))
    first = archived(tmp_path / "list.txt", tmp_path / "archive")
    before = rows_of(first.folder)
    shutil.rmtree(photos)  # a disk that was pulled out
    again = archived(tmp_path / "list.txt", tmp_path / "archive")
    assert (again.classified, again.errors) == (0, 0)
    assert rows_of(first.folder) == before


def test_time_and_place_come_from_exif(tmp_path):
    def exif(taken, gps):
        tags = Image.Exif()
        tags[0x8769] = taken
        tags[0x8825] = gps
        return tags

    south_west = {1: "S", 2: (33.0, 51.0, 36.0), 3: "W", 4: (70.0, 30.0, 0.0)}
    taken = {0x9003: "2025:06:01 18:13:00", 0x9011: "-04:00"}
    make_photo(tmp_path / "photos" / "1.jpg", exif=exif(taken, south_west))
    make_photo(tmp_path / "photos" / "2.webp", 2, exif=exif(taken, south_west))
    no_fix = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}
    make_photo(tmp_path / "photos" / "3.jpg", 3, exif=exif({0x9003: "2025:02:30 00:00:00"}, no_fix))
    make_photo(tmp_path / "photos" / "4.jpg", 4, exif=exif({}, {1: "N", 2: (48.0,)}))
    rows = rows_of(archived(tmp_path / "photos", tmp_path / "archive").folder).to_pylist()
    for row in rows[:2]:
        assert row["taken"] == datetime(2025, 6, 1, 18, 13)
        assert row["taken_zone"] == "-04:00"
        assert (row["latitude"], row["longitude"]) == pytest.approx((-33.86, -70.5))
    for row in rows[2:]:  # 30 February, and a camera without a fix; broken EXIF
        assert row["taken"] is row["latitude"] is row["longitude"] is None
        assert row["error"] is None


def test_another_model_and_other_settings_write_beside(photos, tmp_path):
    folder = tmp_path / "archive"
    results = [
        archived(photos, folder),
        archived(photos, folder, model=MODEL),
        archived(photos, folder, threshold=1.0),
    ]
    assert len({one.folder for one in results}) == 3
    assert all(one.classified == 11 for one in results)
    assert (
        results[0].model == results[2].model == hashlib.sha256(TINY_MODEL.read_bytes()).hexdigest()
    )
    assert archived(photos, folder).classified == 0
    copied = shutil.copy(TINY_MODEL, tmp_path / "same model, other name.tflite")
    assert archived(photos, folder, model=copied).classified == 0


def test_several_sources_go_into_one_archive(photos, tmp_path):
    archived(photos / "day 0", tmp_path / "archive")
    both = archived(photos / "day 1", tmp_path / "archive")
    assert (both.photos, both.classified) == (11, 5)
    assert sorted(paths_of(both.folder)) == sorted(map(str, photos.rglob("*.jpg")))


@pytest.mark.parametrize("part_size", [3, 5, 100])
def test_without_its_manifest_an_archive_has_other_parts_and_no_row_twice(
    photos, tmp_path, part_size
):
    first = archived(photos, tmp_path / "archive")
    (tmp_path / "archive" / "manifest.parquet").unlink()
    archived(photos, tmp_path / "archive", part_size=part_size)
    assert paths_of(first.folder) == sorted(map(str, photos.rglob("*.jpg")))
    assert archived(photos, tmp_path / "archive").classified == 0


# ------------------------------------------------------------------ refusals


def test_a_source_without_photos_leaves_the_archive_as_it_is(photos, tmp_path):
    archived(photos, tmp_path / "archive")
    shutil.move(photos, tmp_path / "moved")
    photos.mkdir()  # a disk that is not mounted
    with pytest.raises(DataError, match=r"no photos in it"):
        archived(photos, tmp_path / "archive")
    assert open_manifest(tmp_path / "archive").photos == 11


def test_two_archives_into_one_folder(photos, tmp_path):
    (tmp_path / "archive").mkdir()
    writing = pytest.raises(OutputError, match="another edgebee is writing there")
    with lock_directory(tmp_path / "archive"), writing:
        archived(photos, tmp_path / "archive")
    archived(photos, tmp_path / "archive")


@pytest.mark.parametrize("name", ["manifest.parquet", "part-000000.parquet"])
def test_files_of_another_version_are_refused(photos, tmp_path, name):
    archive = archived(photos, tmp_path / "archive")
    path = next(tmp_path.joinpath("archive").rglob(name))
    table = pq.read_table(path)
    newer = table.schema.metadata | {b"edgebee.archive_version": b"2"}
    pq.write_table(table.replace_schema_metadata(newer), path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=rf"{name}: has archive version 2, .* reads version 1"):
        archived(photos, tmp_path / "archive")
    assert path.read_bytes() == before
    assert len(list(archive.folder.glob("part-*"))) == 3


def test_a_damaged_manifest_is_refused(photos, tmp_path):
    archived(photos, tmp_path / "archive")
    (tmp_path / "archive" / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"manifest.parquet: damaged .* remove it"):
        archived(photos, tmp_path / "archive")
