"""Disks that are full, cannot be written or forbid it, and clocks that are wrong: one clear line,
exit status 1, and what was there before is as it was."""  # noqa: D205, D209

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SETTINGS = (
    "--epochs=1", "--fine-tune-epochs=1", "--image-size=32", "--alpha=0.35", "--weights=none",
    "--augmentations=1",
)  # fmt: skip
"""The least training there is: these tests are about its files."""


def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own for `folder`; skips where there may be none."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False
    )
    if made.returncode:
        pytest.skip("a small disk can be made by root alone")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def disk(tmp_path):
    """A disk of 200 KB."""
    yield from mounted(tmp_path / "disk", "200k")


@pytest.fixture
def photos(tmp_path):
    """Two classes of six photos."""
    for label, tint in (("ants", (120, 60, 30)), ("bees", (200, 170, 40))):
        for number in range(6):
            chance = np.random.default_rng([number, tint[0]])
            noise = chance.integers(0, 60, (6, 8, 3)) + np.array(tint)
            path = tmp_path / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise.astype(np.uint8)).resize((64, 48)).save(path)
    return tmp_path / "photos"


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def fill(folder: Path) -> None:
    """Leave no room."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def assert_one_line(done, *words: str) -> None:
    assert done.status == 1, done
    assert done.out == ""
    errors = [line for line in done.errors if line.lower().startswith("error")]
    assert errors == done.errors[-1:], done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in errors[0]


# ---------------------------------------------------------------------- training, converting


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_the_earlier_training(edgebee, tensorflow_started, disk, photos):
    (disk / "model.keras").write_bytes(b"earlier")
    (disk / "labels.txt").write_bytes(b"earlier\n")
    before = contents(disk)
    assert_one_line(
        edgebee("train", "--data", photos, "--output", disk, *SETTINGS),
        str(disk), "No space left on device", "0 MB free",
    )  # fmt: skip
    after = contents(disk)
    after.pop(".checkpoint.npz", None)  # from which --resume goes on when there is room
    assert after == before


def test_a_read_only_disk_is_said_before_anything_slow(edgebee_process, disk, photos):
    (disk / "model.keras").write_bytes(b"earlier")
    read_only(disk)
    done = edgebee_process("train", "--data", photos, "--output", disk, *SETTINGS)
    assert_one_line(done, f"{disk}: cannot write there (Read-only file system)", "--output")
    assert contents(disk) == {"model.keras": b"earlier"}
    assert done.cpu_seconds < 3, "TensorFlow was not loaded for it"


def test_a_full_disk_is_said(edgebee_process, disk, tmp_path):
    shutil.copy(Path(__file__).parents[2] / "edge/models/hymenoptera_int8.tflite", tmp_path)
    fill(disk)
    done = edgebee_process("data", "check", "sample", EDGEBEE_CACHE=str(disk / "cache"))
    assert_one_line(done, str(disk), "No space left on device", "EDGEBEE_CACHE")
    assert [path.name for path in disk.iterdir() if path.is_dir()] in ([], ["cache"])
    assert not list(disk.glob("cache/*"))


def test_a_cache_that_fills_up_while_drawing_is_left_empty(edgebee_process, disk):
    done = edgebee_process("data", "check", "sample", EDGEBEE_CACHE=str(disk / "cache"))
    assert_one_line(done, "No space left on device")
    assert list((disk / "cache").iterdir()) == [], "what was drawn so far is gone"


def test_a_read_only_cache_is_said(edgebee_process, disk):
    read_only(disk)
    done = edgebee_process("data", "check", "sample", EDGEBEE_CACHE=str(disk / "cache"))
    assert_one_line(done, "Read-only file system", "EDGEBEE_CACHE")


@pytest.mark.slow
def test_a_disk_that_fills_up_keeps_the_parts_of_an_archive(edgebee_process, disk, photos):
    pytest.importorskip("pyarrow", reason="needs edgebee[archive]")
    words = ("archive", photos / "ants", "--out", disk / "archive", "--part-size", "2")
    assert edgebee_process(*words).status == 0
    parts = {path: path.read_bytes() for path in disk.rglob("*.parquet")}
    fill(disk)
    done = edgebee_process("archive", photos, *words[2:])
    assert_one_line(done, str(disk / "archive"))
    assert {path: path.read_bytes() for path in disk.rglob("*.parquet")} == parts
    (disk / "ballast").unlink()
    assert edgebee_process("archive", photos, *words[2:]).status == 0
    assert [path.name for path in disk.rglob(".*")] == []


# ---------------------------------------------------------------------------- permissions


def held_to_permissions() -> list[str]:
    """What to put before a command so that root, too, may not read what is locked."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv to prevent it")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["train", "--data", "photos", "--output", "locked/x"], "locked/x: cannot write there"),
        (["train", "--data", "locked"], "locked: cannot be read (Permission denied)"),
        (["data", "check", "locked"], "locked: cannot be read (Permission denied)"),
        (["convert", "locked/model.keras"], "locked/model.keras: cannot be read"),
        (["data", "check", "sample"], "Permission denied"),
    ],
)
def test_what_may_not_be_read_or_written_is_said(tmp_path, photos, arguments, line):
    (tmp_path / "locked").mkdir(mode=0o000)
    done = subprocess.run(
        [*held_to_permissions(), sys.executable, "-m", "edgebee", *arguments],
        cwd=tmp_path,
        env=os.environ | {"EDGEBEE_CACHE": str(tmp_path / "locked" / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert line in done.stderr.splitlines()[-1]
    assert "Permission denied" in done.stderr.splitlines()[-1]


# ---------------------------------------------------------------------------- clocks


@pytest.mark.slow
def test_a_clock_that_is_wrong_changes_nothing(photos, tmp_path):
    # A Pi has no clock that runs without power: until the network tells it, it is 1970.
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime")
    for arguments in (
        [
            "train",
            "--data",
            photos,
            "--output",
            "out",
            *SETTINGS[:3],
        ],  # a model that can be verified
        ["convert", "out/model.keras", "--samples", "8"],
        ["classify", "-m", "out/model_int8.tflite", photos],
    ):
        done = subprocess.run(
            [
                "faketime",
                "1970-01-01 00:00:10",
                sys.executable,
                "-m",
                "edgebee",
                *map(str, arguments),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
