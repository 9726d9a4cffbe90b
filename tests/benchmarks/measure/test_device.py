"""`--device pi@bee`: measured on a real OpenSSH server, reached, refused and unplugged."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ssh_server import SOON_S, running_server  # in tests/

import edgebee.edge
from edgebee.benchmarks.measure.device_run import measure_remotely
from edgebee.benchmarks.measure.plan import DeviceAddress
from edgebee.benchmarks.measure.results import Data, Results
from edgebee.benchmarks.measure.subject import Subject
from edgebee.child_python import module_command
from edgebee.edge.device.wheel import build_wheel

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


def deploy_stand_in(server, folder="edgebee"):
    """What `edgebee deploy` leaves: its wheel, and a Python that has edgebee, this one."""
    python = server.home / folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    name, content = build_wheel()
    (server.home / folder / name).write_bytes(content)


@pytest.fixture
def device(tmp_path_factory):
    """A server that was deployed to."""
    with running_server(tmp_path_factory.mktemp("sshd")) as server:
        deploy_stand_in(server)
        yield server


@pytest.fixture
def benchmark_with(edgebee, photos, tmp_path):
    """Run the command on the model that ships; what it printed, and the folder."""

    def run(*arguments):
        folder = tmp_path / "artifacts"
        folder.mkdir()
        shutil.copy(MODEL, folder / "model_int8.tflite")
        done = edgebee(
            "benchmark", folder, "--data", photos, "--rounds", 2, "--photos", 4, *arguments
        )
        return done, folder

    return run


def ssh(server):
    """Options of the command that lead to the server."""
    return [f"-o{option}" for option in server.options]


def leftovers(server):
    """What a benchmark would leave on the device."""
    return list(server.home.rglob("benchmark"))


def test_a_device_is_a_column_beside_this_machine(benchmark_with, device):
    # A talkative shell, and a file in the home folder that no Python may take for its own.
    (device.home / ".bashrc").write_text("echo Welcome to the bee\n")
    (device.home / "random.py").write_text("raise SystemExit('run from the home folder')\n")
    deploy_stand_in(device, "a folder")
    two = ["--device", "bee", "--device", "bee:a folder"]
    done, folder = benchmark_with(*two, *ssh(device))
    assert done.status == 0, done.err
    results = Results.read(folder / "benchmark.json")
    here, there, again = results.devices
    assert (here.name, here.url) == ("this machine", None)
    assert (there.name, there.url, there.failure) == ("bee", "bee", None)
    assert (again.name, again.url, again.failure) == ("bee", "bee:a folder", None)
    assert [run.variant for run in there.runs] == [run.variant for run in here.runs]
    for run in there.runs:
        assert min(one.p50 for one in vars(run.latency).values()) > 0
        # The same file and runtime: the same label for every photo.
        assert run.same_predictions == 4
    assert there.conditions is not None
    assert "bee: milliseconds a photo" in done.out
    assert leftovers(device) == []


def test_a_device_that_is_switched_off_costs_nothing_of_what_was_measured(benchmark_with, device):
    device.unplug()
    done, folder = benchmark_with("--device", "bee", *ssh(device))
    assert done.status == 1
    here, there = Results.read(folder / "benchmark.json").devices
    assert here.failure is None
    assert len(here.runs) == 1
    (line,) = [line for line in done.errors if line.startswith("error: ")]
    assert line.startswith(f"error: {there.failure}")
    assert there.failure == (
        "bee: does not let ssh in; enable it there: sudo raspi-config, Interface"
    )
    assert (there.runs, there.conditions) == ((), None)
    assert ": milliseconds a photo" in done.out


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
        data=Data("photos", str(photos), False, LABELS, (), ()),
        paths=paths,
        classes=tuple(LABELS.index(path.parent.name) for path in paths),
    )


@pytest.fixture
def measured_there(subject, device):
    """Measure on the device alone, by that address; what became of it."""

    def measure(text="bee"):
        address = DeviceAddress.parse(text)
        there = measure_remotely(
            address,
            subject.files,
            subject.paths[:2],
            rounds=2,
            home={file.name: [0, 0] for file in subject.files},
            ssh_options=device.options,
        )
        assert (there.name, there.url) == (address.login, text)
        assert "\n" not in there.failure
        assert leftovers(device) == []
        return there

    return measure


def test_a_device_that_refuses_the_key(measured_there, device):
    (device.folder / "authorized_keys").write_text("")
    there = measured_there()
    assert there.failure.startswith("bee: refused your key or password; send it your key")
    assert there.conditions is None


REMEDY = "run: edgebee deploy bee"


def test_a_device_that_was_not_deployed_to(measured_there):
    failure = measured_there("bee:elsewhere").failure
    assert failure == f"bee: edgebee is not in elsewhere there; {REMEDY}"


def test_a_device_with_another_edgebee(measured_there, device):
    name, content = build_wheel()
    (device.home / "edgebee" / name).write_bytes(content + b"of another day")
    another = f"bee: another edgebee is in edgebee there; {REMEDY}"
    assert measured_there().failure == another
    (device.home / "edgebee" / name).unlink()
    assert measured_there().failure == another


def test_a_broken_python_there_is_one_line(measured_there, device):
    python = device.home / "edgebee" / "venv" / "bin" / "python"
    python.write_text("#!/bin/sh\necho 'No module named encodings' >&2; exit 1\n")
    assert measured_there().failure == f"bee: No module named encodings; {REMEDY}"


def test_a_model_that_the_device_does_not_take_is_named(measured_there, subject):
    subject.files[0].write_bytes(b"no model")
    assert "bee: model_int8.tflite: not a TFLite model" in measured_there().failure


def test_a_device_that_dies_midway_is_said(subject, device):
    told = []

    def unplug(text):
        told.append(text)
        if text == "bee: model_other.tflite: round 2":
            device.unplug()

    there = measure_remotely(
        DeviceAddress.parse("bee"),
        subject.files,
        subject.paths[:2],
        rounds=20,  # some of which are still to come when the news of the second arrives
        home={file.name: [0, 0] for file in subject.files},
        ssh_options=device.options,
        progress=unplug,
    )
    assert "bee: model_other.tflite: round 20" not in told
    assert there.failure == "bee: the connection broke off; is it switched on and in this network?"


# ---------------------------------------------------------------- the part that runs there


@pytest.fixture
def running(photos, tmp_path):
    """The part on the device with hundreds of rounds to go, and its folder."""
    folder = tmp_path / "edgebee" / "benchmark"
    folder.mkdir(parents=True)
    shutil.copy(MODEL, folder / "model_int8.tflite")
    shutil.copy(next(photos.rglob("*.jpg")), folder / "0.jpg")
    job = {"name": "bee", "url": "bee", "models": ["model_int8.tflite"], "photos": ["0.jpg"],
           "rounds": 500, "home": {"model_int8.tflite": [0]}}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    process = subprocess.Popen(
        module_command("edgebee.benchmarks.measure.device_run", str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert json.loads(process.stdout.readline()) == {"progress": "model_int8.tflite"}
    return process, folder


def test_a_job_that_nobody_listens_to_ends_and_leaves_nothing(running):
    process, folder = running
    process.stdout.close()  # as when the connection breaks
    assert process.wait(SOON_S) == 1
    assert process.stderr.read() == b""
    assert not folder.exists()


def test_a_job_that_is_ended_leaves_nothing(running):
    process, folder = running
    time.sleep(0.5)  # in the middle of it
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(SOON_S) == 1
    assert not folder.exists()


def test_it_needs_the_plain_install_alone():
    code = "import sys, edgebee.benchmarks.measure.device_run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "numpy" in loaded
    assert not loaded & {"msgspec", "rich", "jinja2", "tqdm", "matplotlib", "tensorflow", "keras"}


@pytest.mark.parametrize(
    ("text", "login", "folder"),
    [
        ("bee", "bee", "edgebee"),
        ("pi@192.168.0.7", "pi@192.168.0.7", "edgebee"),
        ("pi@bee.local:/opt/my bee", "pi@bee.local", "/opt/my bee"),
        ("pi@[fe80::1%eth0]:there", "pi@fe80::1%eth0", "there"),
    ],
)
def test_addresses(text, login, folder):
    address = DeviceAddress.parse(text)
    assert (address.login, address.folder, address.text) == (login, folder, text)


@pytest.mark.parametrize("text", ["ssh://pi@bee", "", "-oProxyCommand=x", "pi@", "a b", "pi@bee:"])
def test_what_is_no_address_is_wrong_usage(edgebee, tmp_path, text):
    done = edgebee("benchmark", tmp_path, f"--device={text}")
    assert done.status == 2
    assert "--device" in done.err
