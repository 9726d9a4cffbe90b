"""Facts of a machine, read from the files of a Pi and of a PC."""

from __future__ import annotations

import os

import pytest

from edgebee.edge.device.machine import (
    describe_machine,
    installed_versions,
    peak_memory_mb,
    read_state,
)

PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/class/thermal/thermal_zone0/temp": "61350\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}


@pytest.fixture
def pi(tmp_path):
    """The files of a Pi 5 that is short of power."""
    for name, content in PI.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_a_pi_is_described(pi):
    found = describe_machine(pi)
    assert found["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert found["governor"] == "ondemand"
    assert str(found["system"]).startswith("Debian GNU/Linux 12 (bookworm), ")


def test_the_state_of_a_pi(pi):
    # 0x50005: bits 0 and 2 speak of now, 16 and 18 of some time since it started.
    assert read_state(pi) == {"temperature_c": 61.35, "throttled": ("under-voltage", "throttled")}


def test_an_untroubled_pi_is_not_throttled(pi):
    (pi / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("0\n")
    assert read_state(pi)["throttled"] == ()


def test_a_pc_is_described(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("model name\t: Some CPU @ 3 GHz\n")
    hwmon = tmp_path / "sys/class/hwmon/hwmon3"
    hwmon.mkdir(parents=True)
    (hwmon / "temp1_input").write_text("41000\n")
    (hwmon / "temp2_input").write_text("47000\n")
    assert describe_machine(tmp_path)["processor"] == "Some CPU @ 3 GHz"
    assert read_state(tmp_path)["temperature_c"] == 47.0


def test_what_cannot_be_read_is_none(tmp_path):
    found = describe_machine(tmp_path)
    assert (found["board"], found["governor"]) == (None, None)
    assert found["processor"]
    assert set(read_state(tmp_path).values()) == {None}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux tells it")  # noqa: PTH110
def test_peak_memory_remembers_what_was_freed():
    before = peak_memory_mb()
    block = bytearray(300_000_000)
    block[::4096] = bytes(len(range(0, len(block), 4096)))  # touch every page
    del block
    after = peak_memory_mb()
    assert before is not None
    assert after is not None
    assert after > 300
    assert after >= before


def test_only_what_is_installed_has_a_version():
    assert installed_versions(["pytest", "no-such-package"]) == {"pytest": pytest.__version__}
