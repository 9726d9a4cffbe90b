"""A folder that is made whole appears at once, and nothing is left beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgebee.files import LOCK_NAME, atomic_directory, lock_directory, remove_stale_lock

# An audit hook cannot be taken out again, so it hears in a process of its own.
LAST_EVENT = """
import sys
from pathlib import Path
from edgebee.files import LOCK_NAME, atomic_directory

heard = []
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}

def hear(name, arguments):
    if name in FILE_EVENTS and not str(arguments[0]).endswith(LOCK_NAME):
        heard.append(name)

sys.addaudithook(hear)
with atomic_directory(Path(sys.argv[1])) as part:
    (part / "photo.jpg").write_bytes(b"photo")
print(heard[-1])
"""


def test_the_rename_is_the_last_thing_that_happens(tmp_path):
    # Whatever came after it, a kill could prevent for good: a folder that is there is not made.
    done = subprocess.run(
        [sys.executable, "-c", LAST_EVENT, tmp_path / "photos"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "os.rename"
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert (tmp_path / "photos" / "photo.jpg").read_bytes() == b"photo"


def test_a_folder_that_could_not_be_made_leaves_nothing(tmp_path):
    def be_interrupted():
        with atomic_directory(tmp_path / "photos") as part:
            (part / "photo.jpg").write_bytes(b"half a photo")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [False, True], ids=["missing", "already made"])
def test_what_killed_runs_left_is_taken_away(tmp_path, there):
    (tmp_path / ".photos.4711.making" / "half").mkdir(parents=True)
    if there:
        (tmp_path / "photos").mkdir()
    with atomic_directory(tmp_path / "photos") as part:
        assert (part is None) == there
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_lock_that_a_killed_run_left_goes_and_one_that_is_held_stays(tmp_path):
    (tmp_path / LOCK_NAME).touch()
    remove_stale_lock(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with lock_directory(tmp_path):
        remove_stale_lock(tmp_path)
        assert (tmp_path / LOCK_NAME).exists()
