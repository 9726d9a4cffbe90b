"""Kills at random moments: a handful of those in `kills.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kill_targets import TARGETS, download_target
from killing import attack_target

KILLS = Path(__file__).with_name("kills.py")


def faults(kills):
    return [f"{kill.moment}: {kill.fault}" for kill in kills if kill.fault]


def test_a_download_that_is_killed_goes_on_and_leaves_nothing():
    with download_target() as target:
        assert faults(attack_target(target, 8)) == []


@pytest.mark.slow  # test_watch.py kills one too, everyday
def test_a_watch_that_is_killed_goes_on_and_leaves_nothing():
    assert faults(attack_target(TARGETS["watch"], 8)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "convert"])
def test_a_killed_command_leaves_nothing_half_written(name):
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    # In a process of its own: a child that is forked when TensorFlow runs already would crash.
    command = [sys.executable, KILLS, "--only", name, "--count", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_no_row_of_a_killed_archive_is_lost_or_comes_twice():
    pytest.importorskip("pyarrow", reason="needs edgebee[archive]")
    command = [sys.executable, KILLS, "--only", "archive", "--count", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "archive: 100 kills, 0 faults" in done.stdout, done.stdout + done.stderr[-2000:]
