"""Two runs on one output folder: the second is told so, and a dead one holds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from edgebee.errors import OutputError
from edgebee.files import (
    LOCK_NAME,
    atomic_write,
    atomic_write_all,
    lock_directory,
    output_directory,
)

HOLD = """
import sys, time
from pathlib import Path
from edgebee.files import output_directory
with output_directory(Path(sys.argv[1])):
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
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK_NAME]


def test_a_killed_run_holds_nothing(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with output_directory(tmp_path / "out"):
        pass


def test_a_lock_leaves_no_file_behind(tmp_path):
    with lock_directory(tmp_path) as locked:
        assert locked
    assert list(tmp_path.iterdir()) == []


def test_a_lock_can_be_waited_for(holder, tmp_path, remarks):
    with lock_directory(tmp_path / "out") as locked:
        assert not locked
    threading.Timer(0.3, holder.kill).start()
    started = time.monotonic()
    with lock_directory(tmp_path / "out", wait=True) as locked:
        assert locked
    assert time.monotonic() - started > 0.2
    assert remarks == [f"{tmp_path / 'out'}: another edgebee is working there; waiting"]


# Each adds 1 to a number as often as it gets the lock, which all of them remove again and again.
COUNT_UP = """
import sys
from pathlib import Path
from edgebee.files import lock_directory
number = Path(sys.argv[1], "number")
for _ in range(40):
    with lock_directory(number.parent, wait=True):
        number.write_text(str(int(number.read_text()) + 1))
"""


def test_runs_that_wait_for_each_other_never_hold_the_lock_together(tmp_path):
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", COUNT_UP, tmp_path]
    for process in [subprocess.Popen(command) for _ in range(4)]:
        assert process.wait() == 0
    assert (tmp_path / "number").read_text() == "160"


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
