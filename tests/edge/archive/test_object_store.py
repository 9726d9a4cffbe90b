"""Object stores: a real server on this machine (moto's), keys that never show, stores that go."""

from __future__ import annotations

import threading

import pyarrow.parquet as pq
import pytest
from archive_photos import TINY_MODEL, archived, make_photo, paths_of, rows_of
from object_store import PASSWORD, USER, Store  # in tests/

from edgebee.edge.archive import classification
from edgebee.edge.archive.parts import PartStore
from edgebee.errors import DataError
from edgebee.store import PhotoReader, StoreError

pytestmark = pytest.mark.slow  # loading moto takes seconds


@pytest.fixture
def filled(store, photos) -> Store:
    """The ten photos and the broken one, in the bucket."""
    for path in photos.rglob("*.jpg"):
        store.put(f"2026/{path.relative_to(photos).as_posix()}", path.read_bytes())
    store.put("2026/notes.txt", b"no photo")
    store.put("2026/.thumbnails/1.jpg", b"hidden")
    store.put("2027/1.jpg", b"another year")
    return store


def test_a_store_gives_the_same_results_as_a_folder(filled, photos, tmp_path):
    local = archived(photos, tmp_path / "local")
    remote = archived(filled.address("2026"), tmp_path / "remote")
    expected = [
        f"s3://cameras/2026/{path.removeprefix(f'{photos}/')}" for path in paths_of(local.folder)
    ]
    assert paths_of(remote.folder) == expected
    columns = ["label", "score", "scores", "neither", "error", "taken", "model", "size"]
    assert rows_of(remote.folder).select(columns) == rows_of(local.folder).select(columns)
    for path in tmp_path.joinpath("remote").rglob("*.*"):
        assert PASSWORD.encode() not in path.read_bytes()
        assert USER.encode() not in path.read_bytes()


def test_run_again_it_does_what_is_new_or_changed(filled, tmp_path):
    first = archived(filled.address("2026"), tmp_path / "archive")
    assert archived(filled.address("2026"), tmp_path / "archive").classified == 0
    filled.put("2026/day 1/1.jpg", make_photo(tmp_path / "1.jpg", 77).read_bytes())
    filled.put("2026/day 2/a@b?c=d#é %20.jpg", make_photo(tmp_path / "2.png", 78).read_bytes())
    again = archived(filled.address("2026"), tmp_path / "archive")
    assert (again.classified, again.photos) == (2, 12)
    assert paths_of(again.folder)[-1] == "s3://cameras/2026/day 2/a@b?c=d#é %20.jpg"
    assert rows_of(first.folder)["error"].null_count == 11


def test_the_endpoint_and_keys_may_come_from_the_environment(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{filled.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    assert archived("s3://cameras/2026", tmp_path / "archive").photos == 11
    (tmp_path / "list.txt").write_text("s3://cameras/2026/day 0/0.jpg\ns3://cameras/none.jpg\n")
    listed = archived(tmp_path / "list.txt", tmp_path / "listed")
    assert (listed.photos, listed.errors) == (2, 1)
    assert rows_of(listed.folder)["error"].to_pylist()[1] == "cannot be opened (No such object)"


def test_a_public_bucket_needs_no_keys(filled, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    archive = archived(f"{filled.address('2026', keys='')}&anonymous=true", tmp_path / "archive")
    assert archive.photos == 11


def test_an_object_that_has_gone_since_it_was_listed_is_a_row(filled, tmp_path, monkeypatch):
    read = PhotoReader.read

    def read_late(self, path):
        if path.endswith("/day 0/4.jpg"):
            filled.filesystem.delete_file("cameras/2026/day 0/4.jpg")
        return read(self, path)

    monkeypatch.setattr(PhotoReader, "read", read_late)
    archive = archived(filled.address("2026"), tmp_path / "archive")
    assert (archive.photos, archive.errors) == (11, 2)


@pytest.mark.parametrize("debug", [False, True])
def test_wrong_keys_are_a_line_that_does_not_show_them(filled, tmp_path, debug, edgebee_process):
    filled.let_nobody_in()
    flags = ["--debug"] if debug else []
    address = filled.address("2026")
    done = edgebee_process(*flags, "archive", address, "--out", tmp_path / "a", "-m", TINY_MODEL)
    assert done.status == 1
    assert "s3://cameras: cannot be read (INVALID_ACCESS_KEY_ID); check the keys" in done.errors[-1]
    assert debug == ("Traceback" in done.err)
    for secret in (USER, PASSWORD, *PASSWORD.split("/")):
        assert secret not in done.out + done.err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("s3://KEYS@nowhere/x?endpoint_override=127.0.0.1:PORT&scheme=http", "NO_SUCH_BUCKET"),
        ("s3://KEYS@cameras/x?endpoint_override=127.0.0.1:1&scheme=http", "NETWORK_CONNECTION"),
        ("s3://KEYS@cameras/2026/none?endpoint_override=127.0.0.1:PORT&scheme=http", "no photos"),
        ("gs://cameras/x?endpoint_override=127.0.0.1:1&scheme=http", "cannot be read"),
    ],
)
def test_a_store_that_is_not_there_is_a_line(store, tmp_path, address, complaint, monkeypatch):
    monkeypatch.setattr("edgebee.store._REQUEST_TIMEOUT_S", 2)
    with pytest.raises(DataError, match=complaint) as refused:
        archived(
            address.replace("PORT", str(store.port)).replace("KEYS", f"{USER}:{PASSWORD}"),
            tmp_path / "archive",
        )
    assert refused.value.__cause__ is None
    assert "\n" not in str(refused.value)
    assert USER not in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_store_that_goes_away_ends_the_run_and_complete_parts_stay(
    filled, photos, tmp_path, monkeypatch
):
    """Nothing can be read any more during the second part, and all of it later."""
    monkeypatch.setattr(classification, "_STORE_READERS", 1)
    monkeypatch.setattr(classification, "_MOST_AHEAD", 1)
    read, reads = PhotoReader.read, []

    def count_reads(self, path):
        reads.append(path)
        if len(reads) == 6:
            filled.let_nobody_in()  # or the network has gone: nothing can be read any more
        return read(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(PhotoReader, "read", count_reads)
        with pytest.raises(StoreError, match=r"ACCESS_DENIED\); check the keys"):
            archived(filled.address("2026"), tmp_path / "archive")
    (folder,) = (path for path in (tmp_path / "archive").iterdir() if path.is_dir())
    assert [path.name for path in folder.glob("part-*")] == ["part-000000.parquet"]
    assert PartStore(folder).read(0).num_rows == 4
    before = pq.read_table(folder / "part-000000.parquet")

    filled.let_everybody_in()
    again = archived(filled.address("2026"), tmp_path / "archive")
    assert (again.photos, again.classified) == (11, 7)
    assert pq.read_table(folder / "part-000000.parquet").equals(before)


def test_reading_ahead_hides_a_slow_store(photos, tmp_path, monkeypatch):
    """With 30 ms for each answer, eleven photos take hardly longer than one or two."""
    lock, most, reading = threading.Lock(), 0, 0
    read = PhotoReader.read

    def read_slowly(self, path):
        nonlocal most, reading
        with lock:
            reading += 1
            most = max(most, reading)
        threading.Event().wait(0.03)
        with lock:
            reading -= 1
        return read(self, path)

    monkeypatch.setattr(PhotoReader, "read", read_slowly)
    archived(photos, tmp_path / "archive", part_size=100)
    assert most == classification._READERS
