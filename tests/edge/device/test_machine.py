"""Facts of a machine, read from the files of a Pi and of a PC."""

from __future__ import annotations

import os

import pytest

from edgebee.edge.device.machine import (
    available_memory_mb,
    cpu_quota,
    describe_machine,
    installed_versions,
    peak_memory_mb,
    read_state,
)

PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": "MemTotal:        8245696 kB\nMemFree: 1 kB\n",
    "proc/loadavg": "0.52 0.58 0.59 1/467 1203\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
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
    found = describe_machine(4, pi)
    assert found["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert found["governor"] == "ondemand"
    assert found["memory_mb"] == 8443
    assert found["cores"] == 4
    assert str(found["system"]).startswith("Debian GNU/Linux 12 (bookworm), ")


def test_the_state_of_a_pi(pi):
    # 0x50005: bits 0 and 2 speak of now, 16 and 18 of some time since it started.
    assert read_state(pi) == {
        "load": 0.52,
        "frequency_mhz": 2400.0,
        "temperature_c": 61.35,
        "throttled": ["under-voltage", "throttled"],
    }


def test_an_untroubled_pi_is_not_throttled(pi):
    (pi / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("0\n")
    assert read_state(pi)["throttled"] == []


def test_a_pc_is_described(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("model name\t: Some CPU @ 3 GHz\ncpu MHz\t\t: 2999.9\n")
    hwmon = tmp_path / "sys/class/hwmon/hwmon3"
    hwmon.mkdir(parents=True)
    (hwmon / "temp1_input").write_text("41000\n")
    (hwmon / "temp2_input").write_text("47000\n")
    assert describe_machine(2, tmp_path)["processor"] == "Some CPU @ 3 GHz"
    state = read_state(tmp_path)
    assert (state["frequency_mhz"], state["temperature_c"]) == (2999.9, 47.0)


def test_what_cannot_be_read_is_none(tmp_path):
    found = describe_machine(1, tmp_path)
    assert (found["board"], found["governor"], found["memory_mb"]) == (None, None, None)
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


@pytest.mark.parametrize(
    ("cpu_max", "cores"), [("max 100000\n", None), ("50000 100000\n", 0.5), ("", None), ("x", None)]
)
def test_a_containers_share_of_the_processor(tmp_path, cpu_max, cores):
    assert cpu_quota(tmp_path) is None
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text(cpu_max)
    assert cpu_quota(tmp_path) == cores


def test_available_memory(tmp_path):
    assert available_memory_mb(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   1000000 kB\n")
    assert available_memory_mb(tmp_path) == 1024.0


def test_only_what_is_installed_has_a_version():
    assert installed_versions(["pytest", "no-such-package"]) == {"pytest": pytest.__version__}
