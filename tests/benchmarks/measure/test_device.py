"""`--device pi@bee`: measured on a real OpenSSH server, reached, refused and unplugged."""

from __future__ import annotations

import io
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
from edgebee.benchmarks.measure.device_run import Job, unpack_job
from edgebee.benchmarks.measure.measurement import measure
from edgebee.benchmarks.measure.plan import DeviceAddress, Plan
from edgebee.benchmarks.measure.remote import measure_remotely, pack_job
from edgebee.benchmarks.measure.results import Data
from edgebee.benchmarks.measure.results_file import read_results
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
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
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
    return list(server.home.glob("edgebee-*"))


def test_a_device_is_a_column_beside_this_machine(benchmark_with, device):
    # A talkative shell, and a file in the home folder that no Python may take for its own.
    (device.home / ".bashrc").write_text("echo Welcome to the bee\n")
    (device.home / "random.py").write_text("raise SystemExit('run from the home folder')\n")
    deploy_stand_in(device, "a folder")
    two = ["--device", "bee", "--device", "bee:a folder"]
    done, folder = benchmark_with(*two, *ssh(device))
    assert done.status == 0, done.err
    results = read_results(folder / "benchmark.json")
    here, there, again = results.devices
    assert (here.name, here.url) == ("this machine", None)
    assert (there.name, there.url, there.failure) == ("bee", "bee", None)
    assert (again.name, again.url, again.failure) == ("bee", "bee:a folder", None)
    assert [run.variant for run in there.runs] == [run.variant for run in here.runs]
    for run in there.runs:
        assert len(run.rounds) == 2
        for one in run.rounds:
            assert len(one.decode) == len(one.resize) == len(one.invoke) == 4
            assert min(*one.decode, *one.resize, *one.invoke) > 0
        # The same file and runtime: the same label for every photo.
        assert (run.compared, run.same_predictions) == (4, 4)
    assert there.conditions is not None
    assert there.conditions.versions["numpy"] == np.__version__
    assert len(there.conditions.readings) == 3  # before, and after each round
    assert "bee: milliseconds a photo" in done.out
    assert leftovers(device) == []


def test_a_device_that_is_switched_off_costs_nothing_of_what_was_measured(benchmark_with, device):
    device.unplug()
    done, folder = benchmark_with("--device", "bee", *ssh(device))
    assert done.status == 1
    here, there = read_results(folder / "benchmark.json").devices
    assert here.failure is None
    assert [len(run.rounds) for run in here.runs] == [2]
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
        plan = Plan(threads=1, rounds=2, photos=4, ssh_options=device.options)
        there = measure_remotely(address, subject, plan, [0, 1], {}, lambda text: None)
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


def test_a_model_that_the_device_does_not_take_leaves_the_others(measured_there, subject):
    subject.files[0].write_bytes(b"no model")
    there = measured_there()
    assert [run.variant for run in there.runs] == ["model_other.tflite"]
    assert there.failure.startswith("model_int8.tflite: not a TFLite model")


def test_a_device_that_dies_midway_keeps_what_was_measured(subject, device):
    plan = Plan(
        threads=1,
        rounds=20,  # some of which are still to come when the news of the second arrives
        photos=4,
        devices=(DeviceAddress.parse("bee"),),
        ssh_options=device.options,
    )

    def unplug(text):
        if text == "bee: model_other.tflite: round 2":
            device.unplug()

    results = measure(subject, plan, progress=unplug)
    here, there = results.devices
    assert [len(run.rounds) for run in here.runs] == [20, 20]
    kept = {run.variant: len(run.rounds) for run in there.runs}
    assert kept.keys() == {"model_int8.tflite", "model_other.tflite"}
    assert all(1 <= rounds < 20 for rounds in kept.values())
    assert there.failure == "bee: the connection broke off; is it switched on and in this network?"
    assert all(run.same_predictions == 4 for run in there.runs)


# ---------------------------------------------------------------- the part that runs there


@pytest.fixture
def job(subject, tmp_path):
    """A packed job of hundreds of rounds, as it is sent."""
    described = Job("bee", "bee", ("model_int8.tflite", "x"), ("0.jpg",), 500, {})
    packed = io.BytesIO()
    pack_job(described, subject, [0], packed)
    return packed.getvalue()


def test_a_job_that_nobody_listens_to_ends_and_leaves_nothing(job, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        module_command("edgebee.benchmarks.measure.device_run"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"TMPDIR": str(scratch), "PATH": "/usr/bin:/bin"},
    )
    process.stdin.write(job)
    process.stdin.close()
    assert json.loads(process.stdout.readline()) == {"progress": "model_int8.tflite"}
    assert [folder.name[:17] for folder in scratch.iterdir()] == ["edgebee-benchmark"]
    process.stdout.close()  # as when the connection breaks
    assert process.wait(SOON_S) == 1
    assert process.stderr.read() == b""
    assert list(scratch.iterdir()) == []


def test_a_job_that_is_ended_leaves_nothing(job, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        module_command("edgebee.benchmarks.measure.device_run"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"TMPDIR": str(scratch), "PATH": "/usr/bin:/bin"},
    )
    process.stdin.write(job)
    process.stdin.close()
    process.stdout.readline()
    time.sleep(0.5)  # in the middle of it
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(SOON_S) == 1
    assert list(scratch.iterdir()) == []


def test_names_in_a_job_lead_nowhere_else(subject, tmp_path):
    described = Job("bee", "bee", ("../../evil", "/x.tflite"), ("../0.jpg",), 1, {})
    packed = io.BytesIO()
    pack_job(described, subject, [0], packed)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    unpack_job(packed, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["0.jpg", "evil", "x.tflite"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


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
