"""Kills at random moments: a handful of those in `kills.py`."""

from __future__ import annotations

import pytest
from kills import TARGETS, attack_target, download_target


def faults(kills):
    return [f"{kill.moment}: {kill.fault}" for kill in kills if kill.fault]


def test_a_download_that_is_killed_goes_on_and_leaves_nothing():
    with download_target() as target:
        assert faults(attack_target(target, 8)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "convert"])
def test_a_killed_command_leaves_nothing_half_written(name):
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    assert faults(attack_target(TARGETS[name], 2)) == []
