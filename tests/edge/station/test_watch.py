"""`edgebee classify --watch`: each photo once, in order, whatever happens to it or to us."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

watch_store = pytest.importorskip("edgebee.edge.station.watch_store", reason="needs edgebee")
from edgebee.edge.classify import PhotoError, Prediction, render  # noqa: E402
from edgebee.edge.station import watching  # noqa: E402

ANSWER = Prediction("bees", 0.9, {"bees": 0.9, "ants": 0.1}, 1.0, 2.0)
SOON_S = 30  # for what takes a second or two on an idle machine

MODEL = str(Path(__file__).parents[3] / "edge" / "models" / "hymenoptera_int8.tflite")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "arriving"
    path.mkdir()
    return path


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state" / "watch.sqlite"


@pytest.fixture
def small(tmp_path):
    """A photo that takes little time."""
    path = tmp_path / "small.png"
    Image.new("RGB", (32, 32), "gold").save(path)
    return path


def start(folder, state, *arguments, out=subprocess.PIPE, **variables):
    command = [
        sys.executable,
        "-m",
        "edgebee",
        "classify",
        "-m",
        MODEL,
        "--watch",
        folder,
        "--state",
        state,
    ]
    return subprocess.Popen(
        [*map(str, command), *map(str, arguments)], stdout=out, stderr=subprocess.PIPE, text=True,
        env=os.environ | variables,
    )  # fmt: skip


def run(folder, state, *arguments):
    """Status, names of the photos answered, lines of standard error."""
    process = start(folder, state, "--json", *arguments)
    out, err = process.communicate(timeout=SOON_S * 2)
    return process.returncode, [Path(json.loads(one)["path"]).name for one in out.splitlines()], err


def put(small, place, age_s=0.0):
    """A photo that comes in one step, as it does from a camera that renames."""
    part = place.with_name(f".{place.name}.part")
    shutil.copy(small, part)
    if age_s:
        os.utime(part, (time.time() - age_s,) * 2)
    part.rename(place)
    return place


# ---------------------------------------------------------------- the folder


@pytest.fixture
def store(folder, state):
    opened = watch_store.WatchStore(folder, state, settle_s=0.0)
    yield opened
    opened.close()


def arrivals(store):
    store.scan()
    return [arrival.path.name for arrival in store.arrivals()]


def test_photos_come_in_the_order_of_their_time_then_name(store, folder, small):
    for name, age_s in (("c.png", 30), ("b.png", 20), ("z.png", 10), ("a.png", 10)):
        put(small, folder / name, age_s)
    os.utime(folder / "a.png", ns=(0, (folder / "z.png").stat().st_mtime_ns))
    assert arrivals(store) == ["c.png", "b.png", "a.png", "z.png"]


def test_the_order_is_kept_across_folders_that_are_listed_one_after_another(folder, state, small):
    names = [f"{number % 2}/{number:04}.png" for number in range(1000)]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        put(small, folder / name, age_s=2000 - number)
    opened = watch_store.WatchStore(folder, state, settle_s=0.1)
    opened.scan()
    while not (found := opened.arrivals(most=1000)):
        pass  # the very moment at which the first ones have waited long enough
    opened.close()
    assert [str(one.path.relative_to(folder)) for one in found] == names


def test_only_photos_below_the_folder_count(store, folder, small, tmp_path):
    (folder / "sub").mkdir()
    (folder / ".hidden").mkdir()
    (tmp_path / "other").mkdir()
    for name in ("a.png", "sub/b.PNG", ".c.png", ".hidden/d.png", "e.txt", "../other/f.png"):
        put(small, folder / name)
    (folder / "empty.png").touch()
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "g.png").mkdir()
    os.mkfifo(folder / "h.png")
    assert arrivals(store) == ["a.png", "b.PNG"]


def test_where_photos_are_moved_to_is_not_looked_into(folder, state, small):
    (folder / "sorted" / "bees").mkdir(parents=True)
    put(small, folder / "sorted" / "bees" / "a.png")
    put(small, folder / "b.png")
    opened = watch_store.WatchStore(folder, state, without=[folder / "sorted"], settle_s=0.0)
    assert arrivals(opened) == ["b.png"]


def test_a_photo_open_for_writing_is_not_whole(store, folder, small):
    with (folder / "a.png").open("wb") as writing:
        writing.write(small.read_bytes())
        writing.flush()
        if not watch_store.is_being_written(folder / "a.png"):
            pytest.skip("this file system does not tell")
        assert arrivals(store) == []
        put(small, folder / "b.png")  # it holds up nobody
        assert arrivals(store) == ["b.png"]
    assert sorted(arrivals(store)) == ["a.png", "b.png"]


def test_a_photo_that_grows_is_not_whole(folder, state, small, monkeypatch):
    # As on a network mount, which does not tell who has a file open.
    monkeypatch.setattr(watch_store, "is_being_written", lambda path: False)
    opened = watch_store.WatchStore(folder, state, settle_s=0.3)
    with (folder / "a.png").open("ab") as writing:
        for byte in small.read_bytes()[:8]:
            writing.write(bytes([byte]))
            writing.flush()
            time.sleep(0.1)
            assert arrivals(opened) == []
    deadline = time.monotonic() + SOON_S
    while not arrivals(opened):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nobody_is_kept_from_writing(store, folder, small):
    put(small, folder / "a.png")
    assert arrivals(store) == ["a.png"]
    with (folder / "a.png").open("ab") as writing:  # the lease is given back
        fcntl.flock(writing, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_same_name_with_new_content_is_a_new_photo(store, folder, small, monkeypatch):
    monkeypatch.setattr(watch_store, "_RELIST_S", 0.0)
    put(small, folder / "latest.png")
    store.scan()
    (arrival,) = store.arrivals()
    store.begin(arrival, "{}")
    store.finish(arrival.path)
    assert arrivals(store) == []
    with (folder / "latest.png").open("ab") as writing:
        writing.write(b"more")
    assert arrivals(store) == ["latest.png"]


def test_a_folder_that_went_away_and_came_back_is_remembered(store, folder, small):
    for name in ("a.png", "b.png"):
        put(small, folder / name)
    store.scan()
    first, _ = store.arrivals()
    store.begin(first, "{}")
    store.finish(first.path)
    folder.rename(folder.with_name("unplugged"))
    assert arrivals(store) == []
    folder.with_name("unplugged").rename(folder)
    assert arrivals(store) == ["b.png"]


def test_two_cannot_watch_one_folder(store, folder, state):
    with pytest.raises(watch_store.WatchError, match="watched by another edgebee"):
        watch_store.WatchStore(folder, state)


def test_a_damaged_record_is_one_clear_line(folder, state):
    state.parent.mkdir()
    state.write_bytes(b"no database " * 1000)
    with pytest.raises(watch_store.WatchError, match=r"watch\.sqlite: file is not a database; "):
        watch_store.WatchStore(folder, state)


def test_a_record_of_another_model_is_said_in_a_line(folder, state, small, caplog):
    put(small, folder / "a.png")

    def classify_with(name, fingerprint):
        opened = watch_store.WatchStore(folder, state, settle_s=0.0, model=(name, fingerprint))
        opened.scan()
        found = opened.arrivals()
        for arrival in found:
            opened.begin(arrival, "{}")
            opened.finish(arrival.path)
        opened.close()
        return len(found)

    assert classify_with("old.tflite", "1") == 1
    assert classify_with("renamed.tflite", "1") == 0
    assert caplog.messages == []
    assert classify_with("new.tflite", "2") == 0
    (message,) = caplog.messages
    assert message.startswith(f"{folder}: 1 photo was classified before by another model, ren")
    assert "--state" in message


def test_each_folder_has_a_record_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    own, same, other = (watch_store.default_state_file(tmp_path / n) for n in ("a", "link", "b"))
    assert own == same != other
    assert own.parent == tmp_path / "state" / "edgebee"


def test_without_a_home_folder_the_way_out_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-at-all").expanduser())
    with pytest.raises(watch_store.WatchError, match="name a file with --state"):
        watch_store.default_state_file(tmp_path)


# ---------------------------------------------------------------- answering, in this process


def watch(store, classify, **changed):
    calls = {
        "render": lambda path, told: render(path, told, "json"),
        "before": lambda path, told: None,
        "after": lambda path, told: False,
    }
    return watching.watch(store, classify, **(calls | changed))


def test_an_unreadable_photo_gets_a_second_chance(store, folder, small, monkeypatch):
    monkeypatch.setattr(watching, "PATIENCE_S", 0.6)
    content = small.read_bytes()
    for name in ("stalled.png", "broken.png"):
        (folder / name).write_bytes(content[:20])
    mended = threading.Timer(0.2, (folder / "stalled.png").write_bytes, [content])
    mended.start()

    def classify(path):
        if len(path.read_bytes()) < len(content):
            raise PhotoError(f"{path.name}: unreadable")
        return ANSWER

    answers = watch(store, classify)
    told = {path.name: told for path, told in (next(answers), next(answers))}
    assert told["stalled.png"] == ANSWER
    assert str(told["broken.png"]) == "broken.png: unreadable"


def test_memory_and_handles_stay_flat(store, folder, small):
    # 2,000 here, 100,000 by hand: see tests/edge/long_life.py.
    count = 2000
    for number in range(count):
        (folder / f"{number:05}.png").hardlink_to(small)
    answers = watch(store, lambda path: ANSWER)
    names, grown = [], []
    for number, (path, _) in zip(range(count), answers, strict=False):
        names.append(path.name)
        if number in (count // 2, count - 1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files = sum(1 for _ in Path("/proc/self/fd").iterdir())
            grown.append((pages * os.sysconf("SC_PAGESIZE"), files))
    assert names == [f"{number:05}.png" for number in range(count)]
    (half_bytes, half_files), (all_bytes, all_files) = grown
    assert all_files == half_files
    assert all_bytes - half_bytes < 2_000_000  # a thousand names in a list would be some 100 KB


def test_a_folder_that_is_gone_is_waited_for(store, folder, small, monkeypatch, caplog):
    monkeypatch.setattr(watching, "POLL_S", 0.05)
    caplog.set_level("INFO", "edgebee")
    away = folder.with_name("away")
    folder.rename(away)
    put(small, away / "a.png")
    threading.Timer(0.5, away.rename, [folder]).start()
    path, _ = next(watch(store, lambda path: ANSWER))
    assert path == folder / "a.png"
    assert caplog.messages == [f"{folder}: gone; waiting for it", f"{folder}: back"]


# ---------------------------------------------------------------- as a program


def test_new_photos_are_answered_once_and_restarts_go_on(folder, state, small):
    for name in ("a.png", "b.png"):
        put(small, folder / name, age_s=60)
    assert run(folder, state, "--count", "2") == (0, ["a.png", "b.png"], "")
    process = start(folder, state, "--json", "--count", "2")
    put(small, folder / "c.png", age_s=10)
    (folder / "sub").mkdir()
    put(small, folder / "sub" / "d.png")
    out, _ = process.communicate(timeout=SOON_S)
    assert [json.loads(line)["path"][-5:] for line in out.splitlines()] == ["c.png", "d.png"]


def test_ctrl_c_ends_it_cleanly(folder, state, small):
    put(small, folder / "a.png")
    process = start(folder, state)
    assert "a.png: " in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SOON_S)
    assert (process.returncode, out, err) == (130, "", "")


def test_no_such_folder_is_one_clear_line(tmp_path, state):
    status, answered, err = run(tmp_path / "nowhere", state)
    assert (status, answered) == (1, [])
    expected = "no such folder to watch; make it, or correct its name"
    assert err == f"error: {tmp_path}/nowhere: {expected}\n"


@pytest.mark.slow
def test_a_clock_that_jumps_holds_up_no_photo(folder, state, small, tmp_path, jumping_clock):
    # A Pi's clock is wrong until the network tells it; photos then come from another time.
    told = tmp_path / "answers.jsonl"
    with told.open("w") as out:
        process = start(folder, state, "--json", out=out, **jumping_clock.variables)
        for part, hours in enumerate((0, -5, 4)):
            jumping_clock.jump(hours)
            names = [f"{part}-{number}.png" for number in range(3)]
            for number, name in enumerate(names):
                put(small, folder / name, age_s=3 - number - 3600 * hours)
            deadline = time.monotonic() + SOON_S
            while told.read_text().count("\n") < 3 * (part + 1) and time.monotonic() < deadline:
                time.sleep(0.05)
            answers = [json.loads(line) for line in told.read_text().splitlines()]
            assert [Path(one["path"]).name for one in answers[3 * part :]] == names
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=SOON_S) == (None, "")
    # And what was answered at another time is still known for it.
    put(small, folder / "last.png")
    assert run(folder, state, "--count", "1") == (0, ["last.png"], "")


def kill_and_go_on(folder, state, small, tmp_path, *, photos, kills, seed):
    """Kill the watcher at random moments; it must answer and move each photo exactly once."""
    moments = random.Random(seed)
    told = tmp_path / "answers.jsonl"
    sorted_, drawn = tmp_path / "sorted", tmp_path / "drawn"
    arguments = ("--json", "--move-to", sorted_, "--annotate", drawn)
    for number in range(photos):
        put(small, folder / f"{number:04}.png", age_s=photos - number)
    for _ in range(kills):
        before = told.stat().st_size if told.exists() else 0
        with told.open("a") as out:
            process = start(folder, state, *arguments, out=out)
            deadline = time.monotonic() + SOON_S
            while told.stat().st_size == before and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
            process.communicate()
    assert list(folder.iterdir())  # it was killed at work, not when all was done
    with told.open("a") as out:
        process = start(folder, state, *arguments, out=out)
        deadline = time.monotonic() + SOON_S + 0.2 * photos
        while list(folder.glob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate()
    names = [f"{number:04}.png" for number in range(photos)]
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [Path(line["path"]).name for line in lines] == names  # once each, in order
    moved = sorted(path for path in sorted_.rglob("*") if path.is_file())
    assert [path.name for path in moved] == names
    assert {path.read_bytes() for path in moved} == {small.read_bytes()}
    seen = sorted(path.name for path in drawn.iterdir() if not path.name.startswith("."))
    assert seen == [f"{name}.jpg" for name in names]
    for name in seen:
        Image.open(drawn / name).load()


@pytest.mark.slow
def test_killed_at_any_moment_it_answers_each_photo_once(folder, state, small, tmp_path):
    kill_and_go_on(folder, state, small, tmp_path, photos=80, kills=2, seed=0)


@pytest.mark.slow
def test_killed_many_times_it_answers_each_photo_once(folder, state, small, tmp_path):
    kill_and_go_on(folder, state, small, tmp_path, photos=600, kills=20, seed=1)
