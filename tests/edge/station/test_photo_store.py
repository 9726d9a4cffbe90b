"""Pictures are put whole or not at all, never over another, and a killed move loses none."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

album = pytest.importorskip("edgebee.edge.station.photo_store", reason="needs edgebee")

CONTENT = os.urandom(100_000)  # several blocks: a copy that is cut short shows

MOVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from edgebee.edge.station.photo_store import move_photo
photo, folder, moment = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
steps = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.utime",
         "shutil.copyfile", "shutil.copystat", "ctypes.call_function", "ctypes.dlsym"}
passed = 0
def die_in_time(event, arguments):
    global passed
    if event in steps:
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1
sys.addaudithook(die_in_time)
move_photo(photo, folder)
"""
"""Python tells an audit hook of each step before it is taken: every one is a moment to die."""


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system than `tmp_path`."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system only")
    folder = shm / f"edgebee-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("bees", "bees"), ("honey bee", "honey bee"), ("蜂", "蜂"), ("a.b", "a.b"),
        ("../../etc", "_._.._etc"), ("..", "_"), (".", "_"), ("", "_"), (".hidden", "_hidden"),
        ("/etc/passwd", "_etc_passwd"), ("a\x00b\nc", "a_b_c"), ("what?", "what_"),
        ("end. ", "end"), ("x" * 500, "x" * 200), ("é" * 300, "é" * 100),
    ],
)  # fmt: skip
def test_a_label_is_one_folder_whatever_it_says(label, name, tmp_path):
    assert album.folder_name(label) == name
    folder = tmp_path / album.folder_name(label)
    folder.mkdir()
    assert folder.parent.resolve() == tmp_path.resolve()
    assert folder.is_dir()


@pytest.mark.parametrize("count", [1, 2, 3, 9, 40])
def test_a_taken_name_gets_a_number(tmp_path, count):
    for number in range(count):
        album.save_photo(tmp_path, "a.b.jpg", lambda part, text=str(number): part.write_text(text))
    names = ["a.b.jpg", *(f"a.b-{number}.jpg" for number in range(2, count + 1))]
    assert [(tmp_path / name).read_text() for name in names] == list(map(str, range(count)))
    assert len(list(tmp_path.iterdir())) == count


def test_the_first_free_name_is_taken(tmp_path):
    for name in ("p.jpg", "p-2.jpg", "p-4.jpg"):
        (tmp_path / name).touch()
    places = [album.save_photo(tmp_path, "p.jpg", lambda part: part.write_bytes(b"x")).name
              for _ in range(2)]  # fmt: skip
    assert places == ["p-3.jpg", "p-5.jpg"]


def test_what_fails_to_be_written_leaves_nothing(tmp_path):
    def fail(part):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "old.jpg").write_text("old")
    for put in (lambda: album.save_photo(tmp_path, "new.jpg", fail),
                lambda: album.save_photo(tmp_path, "old.jpg", fail, replace=True)):  # fmt: skip
        with pytest.raises(album.PhotoStoreError, match=r"No space left on device; \d+ MB free"):
            put()
    assert [path.name for path in tmp_path.iterdir()] == ["old.jpg"]
    assert (tmp_path / "old.jpg").read_text() == "old"


@pytest.mark.parametrize("across", [False, True])
def test_a_move_never_overwrites(tmp_path, request, across):
    album_folder = request.getfixturevalue("elsewhere") if across else tmp_path / "album"
    for number in range(3):  # the same name and the same bytes: still three photos
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "x.jpg").write_bytes(CONTENT)
        os.utime(folder / "x.jpg", ns=(number, number))
        place = album.move_photo(folder / "x.jpg", album_folder)
        assert place.stat().st_mtime_ns == number  # the time of a photo is worth keeping
        assert not list(folder.iterdir())
    moved = {path.name: path.read_bytes() for path in album_folder.iterdir()}
    assert moved == dict.fromkeys(("x.jpg", "x-2.jpg", "x-3.jpg"), CONTENT)


def test_a_photo_that_lies_there_already_stays(tmp_path):
    (tmp_path / "x.jpg").write_bytes(CONTENT)
    assert album.move_photo(tmp_path / "x.jpg", tmp_path) == tmp_path / "x.jpg"
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]


def test_a_photo_stays_where_it_cannot_be_moved(tmp_path):
    (tmp_path / "x.jpg").write_bytes(CONTENT)
    (tmp_path / "file").touch()
    with pytest.raises(album.PhotoStoreError, match=r"file/bees/x\.jpg: could not be written"):
        album.move_photo(tmp_path / "x.jpg", tmp_path / "file" / "bees")
    assert (tmp_path / "x.jpg").read_bytes() == CONTENT


def test_a_photo_whose_copy_is_not_like_it_stays(tmp_path, elsewhere, monkeypatch):
    photo = tmp_path / "x.jpg"
    photo.write_bytes(CONTENT)
    monkeypatch.setattr("shutil.copy2", lambda source, place: place.write_bytes(CONTENT[::-1]))
    with pytest.raises(album.PhotoStoreError, match="the copy is not like the photo"):
        album.move_photo(photo, elsewhere)
    assert photo.read_bytes() == CONTENT
    assert not list(elsewhere.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("across", [False, True])
def test_a_move_killed_at_any_step_is_finished_by_the_next(tmp_path, request, across):
    target = request.getfixturevalue("elsewhere") if across else tmp_path / "album"
    moments = 0
    while True:
        photo, folder = tmp_path / "x.jpg", target / str(moments)
        photo.write_bytes(CONTENT)
        folder.mkdir(parents=True)
        (folder / "x.jpg").write_bytes(b"an older one")
        command = [sys.executable, "-c", MOVE_AND_DIE, photo, folder, str(moments)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seen = [path for path in folder.iterdir() if not path.name.startswith(".")]
        for path in seen:  # nothing half under a final name, at any moment
            assert path.read_bytes() in (CONTENT, b"an older one")
        if photo.exists():
            assert photo.read_bytes() == CONTENT
            album.move_photo(photo, folder)
        visible = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        assert visible == ["x-2.jpg", "x.jpg"]
        assert (folder / "x-2.jpg").read_bytes() == CONTENT
        if ended.returncode == 0:
            break
        assert ended.returncode == -9, ended.stderr
        moments += 1
    assert moments >= (8 if across else 2)  # within a file system: make the folder, rename


def test_what_a_killed_run_left_is_taken_away_and_nothing_else(tmp_path):
    left, live = tmp_path / ".bee.jpg.99.part", tmp_path / ".ant.jpg.98.part"
    move = tmp_path / ".0123456789abcdef0123456789abcdef.part"  # which the next move goes on with
    for path in (left, live, move):
        path.write_text("half")
    with live.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as a run does that is still writing
        album.save_photo(tmp_path, "wasp.jpg", lambda part: part.write_text("whole"))
    assert sorted(tmp_path.iterdir()) == sorted([live, move, tmp_path / "wasp.jpg"])


def test_what_a_killed_run_left_beside_a_picture_goes_when_that_is_written_again(tmp_path):
    (tmp_path / ".bee.jpg.99.part").write_text("half")
    album.save_photo(tmp_path, "bee.jpg", lambda part: part.write_text("whole"), replace=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "bee.jpg"]


@pytest.mark.parametrize("kind", ["relative", "absolute", "link to a link"])
def test_a_moved_link_leads_where_it_led(tmp_path, kind):
    real, photos, sorted_ = tmp_path / "real", tmp_path / "photos", tmp_path / "deep" / "sorted"
    for folder in (real, photos):
        folder.mkdir()
    (real / "a.jpg").write_bytes(b"photo")
    (real / "link.jpg").symlink_to("a.jpg")
    target = {
        "relative": "../real/a.jpg",
        "absolute": real / "a.jpg",
        "link to a link": "../real/link.jpg",
    }[kind]
    (photos / "a.jpg").symlink_to(target)
    moved = album.move_photo(photos / "a.jpg", sorted_ / "ants")
    assert moved == sorted_ / "ants" / "a.jpg"
    assert moved.is_symlink()
    assert moved.read_bytes() == b"photo"
    assert not (photos / "a.jpg").is_symlink()
    assert (real / "a.jpg").exists()
    # A name that is taken is not written over.
    (photos / "a.jpg").symlink_to(target)
    assert album.move_photo(photos / "a.jpg", sorted_ / "ants").name == "a-2.jpg"
