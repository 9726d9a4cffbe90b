"""Two runs on one output folder: the second is told so, and a dead one holds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from edgebee.errors import OutputError
from edgebee.files import atomic_write, atomic_write_all, lock_directory, output_folder

HOLD = """
import sys, time
from pathlib import Path
from edgebee.files import output_folder
with output_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes to `tmp_path/out`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize(
    "arguments",
    [["train", "--data", "photos", "--output", "out"], ["convert", "m.keras", "--output", "out"]],
)
def test_the_second_run_is_told_and_writes_nothing(holder, tmp_path, arguments, edgebee_process):
    for label in ("ants", "bees"):
        for number in range(2):
            path = tmp_path / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    (tmp_path / "m.keras").write_bytes(b"PK\5\6" + bytes(18))  # an empty zip passes the first look
    done = edgebee_process(*arguments, cwd=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.errors[-1] == (
        "Error: out: another edgebee is writing there; wait for its end, or choose another folder "
        "with --output"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_killed_run_holds_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with output_folder(tmp_path / "out"):
        pass


def test_a_claim_leaves_no_file_behind(tmp_path):
    with lock_directory(tmp_path) as claimed:
        assert claimed
        assert list(tmp_path.iterdir()) == []


def test_a_claim_can_be_waited_for(holder, tmp_path):
    with lock_directory(tmp_path / "out") as claimed:
        assert not claimed
    threading.Timer(0.3, holder.kill).start()
    started = time.monotonic()
    with lock_directory(tmp_path / "out", wait=True) as claimed:
        assert claimed
    assert time.monotonic() - started > 0.2


# ------------------------------------------------------------- files that belong together


def test_files_that_belong_together_appear_together_or_not_at_all(tmp_path):
    one, other = tmp_path / "model.keras", tmp_path / "labels.txt"
    atomic_write_all({one: lambda p: p.write_text("old"), other: lambda p: p.write_text("old")})

    def fail(part):
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"labels\.txt: could not be written \(No space"):
        atomic_write_all({one: lambda p: p.write_text("new"), other: fail})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "model.keras": "old",
        "labels.txt": "old",
    }


def test_what_a_killed_run_left_is_taken_away_and_nothing_else(tmp_path):
    (tmp_path / ".model.99part.keras").write_text("half")
    (tmp_path / ".other.99part.keras").write_text("another file's")
    atomic_write(tmp_path / "model.keras", lambda part: part.write_text("whole"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".other.99part.keras",
        "model.keras",
    ]


def test_brackets_in_a_name_are_no_pattern(tmp_path):
    (tmp_path / ".model[1].99part.txt").write_text("half")
    atomic_write(tmp_path / "model[1].txt", lambda part: part.write_text("whole"))
    assert [path.name for path in tmp_path.iterdir()] == ["model[1].txt"]
