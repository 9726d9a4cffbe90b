"""`--device ssh://…`: measured on a real OpenSSH server, reached, refused and unplugged."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sshd import find_sshd, running_sshd  # beside this file

import edgebee.edge
from edgebee.benchmarks.measure.hosts import SshUrl
from edgebee.benchmarks.measure.measurement import measure
from edgebee.benchmarks.measure.plan import Plan, Subject
from edgebee.benchmarks.measure.remote import measure_there
from edgebee.benchmarks.measure.results import Data
from edgebee.benchmarks.measure.results_file import read_results

SSHD = find_sshd()
if SSHD is None or shutil.which("ssh") is None:
    pytest.skip("needs OpenSSH: apt install openssh-server", allow_module_level=True)

LABELS = ("ants", "bees")
MODEL = Path(edgebee.edge.__path__[0]) / "models" / "hymenoptera_int8.tflite"
PHOTOS = 6


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of nothing, three for each class, with names that a shell would stumble over."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for half in ("train", "val"):
        for label in LABELS:
            (folder / half / label).mkdir(parents=True)
            for number in range(PHOTOS // 2):
                noise = rng.integers(0, 256, (30, 40, 3), np.uint8)
                picture = Image.fromarray(noise).resize((320, 240))
                picture.save(folder / half / label / f"it's {number} $HOME; `x`.jpg")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model that ships."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(MODEL, folder / "model_int8.tflite")
    return folder


@pytest.fixture
def device(tmp_path_factory):
    """A server, on which the README's virtual environment was made."""
    with running_sshd(SSHD, tmp_path_factory.mktemp("sshd")) as server:
        python = server.home / "bee" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        yield server


@pytest.fixture
def benchmark_with(edgebee, photos, tmp_path, folder):
    """Run the command on a copy of the folder; what it said, and the copy."""

    def run(*arguments):
        copy = tmp_path / "artifacts"
        shutil.copytree(folder, copy)
        done = edgebee(
            "benchmark", copy, "--data", photos, "--rounds", 2, "--photos", 4, *arguments
        )
        return done, copy

    return run


def ssh(server):
    """Options of the command that lead to the server."""
    return [f"-o{option}" for option in server.options]


def leftovers(server):
    """What a benchmark would leave on the device."""
    return list(server.home.glob("edgebee*"))


def test_a_device_is_a_column_beside_this_machine(benchmark_with, device):
    done, folder = benchmark_with("--device", "ssh://bee", *ssh(device))
    assert done.status == 0, done.err
    results = read_results(folder / "benchmark.json")
    here, there = results.devices
    assert (here.name, here.url) == ("this machine", None)
    assert (there.name, there.url, there.failure) == ("bee", "ssh://bee", None)
    assert [run.variant for run in there.runs] == [run.variant for run in here.runs]
    for run in there.runs:
        assert len(run.rounds) == 2
        for one in run.rounds:
            assert len(one.decode) == len(one.resize) == len(one.invoke) == 4
            assert min(*one.decode, *one.resize, *one.invoke) > 0
        # The same file and runtime: the same label for every photo.
        assert (run.answers, run.same_answers) == (4, 4)
    assert there.conditions is not None
    assert there.conditions.versions["numpy"] == np.__version__
    assert len(there.conditions.readings) == 3  # before, and after each round
    assert "bee: milliseconds a photo" in done.out
    assert leftovers(device) == []


@pytest.mark.slow
def test_several_devices_are_several_columns(benchmark_with, device):
    other = f"ssh://bee{sys.executable}"  # the same machine, by another Python
    done, folder = benchmark_with("--device", "ssh://bee", "--device", other, *ssh(device))
    assert done.status == 0, done.err
    results = read_results(folder / "benchmark.json")
    assert [one.url for one in results.devices] == [None, "ssh://bee", other]
    (side,) = [
        line for line in done.out.splitlines() if line.split()[:3] == ["model", "this", "machine"]
    ]
    assert side.split()[3:] == ["bee", "bee"]


@pytest.mark.slow
def test_an_old_runtime_with_numpy_1_is_such_a_device(benchmark_with, device):
    python = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")
    if not python:
        pytest.skip("EDGEBEE_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime")
    done, folder = benchmark_with("--device", f"ssh://bee{python}", *ssh(device))
    assert done.status == 0, done.err
    there = read_results(folder / "benchmark.json").devices[1]
    assert {run.runtime for run in there.runs} == {"tflite-runtime 2.14.0"}


def assert_kept(folder, done, *words):
    """This machine's part is written and printed; the failure is one line; status 1."""
    assert done.status == 1
    here, there = read_results(folder / "benchmark.json").devices
    assert here.failure is None
    assert [len(run.rounds) for run in here.runs] == [2]
    (line,) = [line for line in done.errors if line.startswith("error: ")]
    assert there.failure
    assert there.failure in line
    for word in words:
        assert word in line
    assert "this machine: milliseconds" in done.out
    assert "Traceback" not in done.err
    return there


def test_a_device_that_is_switched_off(benchmark_with, device):
    device.unplug()
    done, folder = benchmark_with("--device", "ssh://bee", *ssh(device))
    there = assert_kept(folder, done, "ssh://bee", "Connection refused", "ssh bee")
    assert (there.runs, there.conditions) == ((), None)


@pytest.fixture
def subject(photos, tmp_path):
    """The model that ships, under two names, and the photos."""
    files = tuple(tmp_path / name for name in ("model_int8.tflite", "model_other.tflite"))
    for file in files:
        shutil.copy(MODEL, file)
    paths = tuple(sorted((photos / "val").glob("*/*.jpg")))
    return Subject(
        folder=tmp_path,
        files=files,
        data=Data("photos", str(photos), str(photos), False, LABELS, (), ()),
        paths=paths,
        classes=tuple(LABELS.index(path.parent.name) for path in paths),
    )


@pytest.fixture
def measured_there(subject, device):
    """Measure on the device alone, by that URL; what became of it."""

    def measure(text):
        url = SshUrl.parse(text)
        plan = Plan(threads=1, rounds=2, photos=4, sweep=False, ssh_options=device.options)
        there = measure_there(url, subject, plan, [0, 1], {}, lambda text: None)
        assert (there.name, there.url) == (url.host, text)
        assert "\n" not in there.failure
        return there

    return measure


def test_a_device_that_does_not_let_one_in(measured_there, device):
    (device.folder / "user.pub").write_text("")
    there = measured_there("ssh://bee")
    assert there.failure.startswith("ssh://bee: ")
    assert "Permission denied" in there.failure
    assert there.conditions is None


def test_a_device_without_a_runtime(measured_there, device):
    # As after `apt install python3` and nothing more: none of the places has NumPy.
    (device.home / "bee" / "bin" / "python").unlink()
    (device.home / "bin").mkdir()
    python3 = device.home / "bin" / "python3"
    python3.write_text("#!/bin/sh\nexit 1\n")
    python3.chmod(0o755)
    there = measured_there("ssh://bee")
    assert "no Python there" in there.failure
    assert "pip install numpy pillow ai-edge-litert" in there.failure


def test_a_python_that_is_not_there(measured_there):
    assert "/no/python" in measured_there("ssh://bee/no/python").failure


def test_a_shell_that_talks_is_not_trusted(measured_there, device):
    # What it prints would be taken for the name of a folder, and handed to rm.
    (device.home / ".bashrc").write_text("echo Welcome to the bee\n")
    (device.home / ".zshenv").write_text("echo Welcome to the bee\n")
    there = measured_there(f"ssh://bee{sys.executable}")
    assert "a shell must be silent" in there.failure
    assert "Welcome" in there.failure


def test_a_model_that_the_device_does_not_take_leaves_the_others(measured_there, subject):
    subject.files[0].write_bytes(b"no model")
    there = measured_there(f"ssh://bee{sys.executable}")
    assert [run.variant for run in there.runs] == ["model_other.tflite"]
    assert "model_int8.tflite: not a TFLite model" in there.failure


def test_a_device_that_dies_midway_keeps_what_was_measured(subject, device):
    plan = Plan(
        threads=1, rounds=3, photos=4, devices=(SshUrl.parse("ssh://bee"),),
        ssh_options=device.options,
    )  # fmt: skip
    devices = []

    def unplug(text):
        devices.append(text.startswith("copying to bee"))
        if any(devices) and text == "model_other.tflite: round 2":
            device.unplug()

    results = measure(subject, plan, progress=unplug)
    here, there = results.devices
    assert [len(run.rounds) for run in here.runs] == [3, 3]
    # The second round begins with the other model, which is the first that is missing.
    assert {run.variant: len(run.rounds) for run in there.runs} == {
        "model_int8.tflite": 1, "model_other.tflite": 1,
    }  # fmt: skip
    assert there.failure is not None
    assert there.failure.startswith("bee: ")
    assert "\n" not in there.failure
    assert all(run.same_answers == 4 for run in there.runs)


@pytest.mark.parametrize(
    ("text", "host", "port", "python"),
    [
        ("ssh://bee", "bee", None, None),
        ("ssh://pi@192.168.0.7:2222", "pi@192.168.0.7", 2222, None),
        ("ssh://pi@bee/home/pi/bee/bin/python", "pi@bee", None, "/home/pi/bee/bin/python"),
        ("ssh://pi@bee/", "pi@bee", None, None),
    ],
)
def test_urls(text, host, port, python):
    url = SshUrl.parse(text)
    assert (url.host, url.port, url.python, url.text) == (host, port, python, text)


@pytest.mark.parametrize(
    "text",
    [
        "pi@bee", "http://bee", "ssh://", "ssh:///bin", "ssh://-oProxyCommand=x", "ssh://bee:port",
        "ssh://pi:secret@bee", "ssh://-x@bee",
    ],
)  # fmt: skip
def test_what_is_no_url_is_wrong_usage(edgebee, tmp_path, text):
    done = edgebee("benchmark", tmp_path, "--device", text)
    assert done.status == 2
    assert "--device" in done.err
