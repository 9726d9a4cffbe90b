"""Sources: folders, lists, Parquet manifests; what is none of them is a line."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_photos import archived, make_photo, paths_of, rows_of

from edgebee.edge.archive.sources import list_photos
from edgebee.errors import DataError
from edgebee.store import PhotoReader

NEW_YEAR = 1_735_689_600_000_000
"""2025, in microseconds."""


def listed(source: object) -> list[str]:
    return [one.path for one in list_photos(str(source), PhotoReader(str(source)))]


def test_a_folder_gives_the_photos_below_it_as_classify_takes_them(photos, monkeypatch):
    make_photo(photos / ".hidden.jpg")
    make_photo(photos / ".thumbnails" / "1.jpg")
    (photos / "notes.txt").write_text("")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "gone.jpg").symlink_to("nowhere.jpg")
    monkeypatch.chdir(photos.parent)
    found = listed("photos")
    assert [Path(path).is_absolute() for path in found] == [True] * 12
    assert sorted(found) == sorted(map(str, [*photos.glob("day*/*.jpg"), photos / "gone.jpg"]))


def test_a_list_has_a_path_in_each_line_seen_from_its_folder(photos, tmp_path):
    absolute = str(photos / "day 1" / "1.jpg")
    lines = ["photos/day 0/0.jpg", "", absolute, "photos/../photos/day 0/0.jpg"]
    (tmp_path / "a list.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    paths = [str(photos / "day 0" / "0.jpg"), absolute]
    assert listed(tmp_path / "a list.txt") == [*paths, paths[0]]
    archive = archived(tmp_path / "a list.txt", tmp_path / "archive")
    assert paths_of(archive.folder) == paths  # named twice, it is one photo


def test_a_parquet_manifest_saves_asking_for_sizes_and_times(photos, tmp_path):
    times = pa.array([1_000 * NEW_YEAR + 7] * 2, pa.timestamp("ns"))  # as pandas writes them
    columns = {
        "path": ["photos/day 0/0.jpg", "photos/day 0/2.jpg"],
        "size": [1, 2],
        "modified": times,
    }
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    found = list(list_photos(str(tmp_path / "m.parquet"), PhotoReader()))
    assert [(one.size, one.modified) for one in found] == [
        (1, 1735689600_000_000),
        (2, 1735689600_000_000),
    ]
    del columns["size"]
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    found = list(list_photos(str(tmp_path / "m.parquet"), PhotoReader()))
    assert found[0].size == (photos / "day 0" / "0.jpg").stat().st_size


def test_the_manifest_of_an_archive_is_a_source_for_another(photos, tmp_path):
    first = archived(photos, tmp_path / "archive")
    second = archived(tmp_path / "archive" / "manifest.parquet", tmp_path / "other")
    assert paths_of(second.folder) == paths_of(first.folder)


def without_a_path(path: Path) -> None:
    pq.write_table(pa.table({"path": [None]}), path)


def newer_manifest(path: Path) -> None:
    metadata = {"edgebee.archive_version": "2"}
    pq.write_table(pa.table({"path": ["x.jpg"]}).replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("name", "make", "complaint"),
    [
        ("nowhere", lambda path: None, "not found"),
        ("photo.jpg", make_photo, "cannot be read as a list of photos"),
        ("zeros.txt", lambda path: path.write_bytes(bytes(10)), "not a list of photos"),
        ("m.parquet", lambda path: path.write_bytes(b"PAR1"), "damaged, or not Parquet"),
        ("m.parquet", lambda path: pq.write_table(pa.table({"a": [1]}), path), "no column `path`"),
        ("m.parquet", without_a_path, "without a path"),
        ("m.parquet", newer_manifest, "has archive version 2, and this edgebee reads version 1"),
        ("l.txt", lambda path: path.write_text("s3://KEY:SECRET@b/x.jpg"), "with keys in line 1"),
    ],
)
def test_what_is_no_source_is_a_line(tmp_path, name, make, complaint):
    make(tmp_path / name)
    with pytest.raises(DataError, match=complaint) as refused:
        listed(tmp_path / name)
    assert str(refused.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("ftp://host/x", r"ftp://…: photos are read from folders, s3:// and gs://"),
        ("s3://KEY:SEC/RET@bucket/x?secret_key=SECRET", r"s3://bucket: has an unknown option"),
        ("s3://KEY:SECRET@", r"s3://…: not an address"),
        ("gs:///x", r"gs://…: not an address"),
    ],
)
def test_addresses_are_refused_without_repeating_keys(source, complaint):
    with pytest.raises(DataError, match=complaint) as refused:
        PhotoReader(source)
    assert not {"KEY", "SEC", "RET"} & set(str(refused.value).replace(":", " ").split())
    assert "SEC" not in repr(refused.value)


def test_odd_names_are_rows_and_only_those_in_no_encoding_fail(photos, tmp_path):
    names = [b"two\nlines.jpg", "\u00fc '\".jpg".encode(), b"\xff.jpg"]
    for name in names:
        content = (photos / "day 0" / "0.jpg").read_bytes()
        (tmp_path / "odd").mkdir(exist_ok=True)
        (tmp_path / "odd" / os.fsdecode(name)).write_bytes(content)
    rows = rows_of(archived(tmp_path / "odd", tmp_path / "archive").folder).to_pylist()
    errors = {row["path"].rpartition("/")[2]: row["error"] for row in rows}
    assert errors == {
        "two\nlines.jpg": None,
        "\u00fc '\".jpg": None,
        "\\udcff.jpg": "cannot be opened (its name is in no known encoding; rename it)",
    }
