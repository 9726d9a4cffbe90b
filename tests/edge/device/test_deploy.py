"""`edgebee deploy` against a real OpenSSH server on the loopback, with keys of its own."""

import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("edgebee", reason="the lone runner has no deploy")
from ssh_server import SOON_S, needs_sshd, running_server

from edgebee.edge.device import deployment, environment, service, ssh
from edgebee.edge.device import target as targets
from edgebee.edge.device.wheel import build_wheel
from edgebee.errors import RemoteError

ROOT = Path(__file__).resolve().parents[3]
MODEL_NAME = f"-my 'model' $HOME 模型 {'long ' * 30}.tflite"
"""More than the 100 bytes that an old tar file has for a name, and what a shell stumbles over."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def bare(server):
    """The server, without what earlier tests put in its way."""
    yield server
    for stub in server.stubs.iterdir():
        stub.unlink()


@pytest.fixture(scope="module")
def golden_model(tmp_path_factory):
    """The model that ships, with golden samples."""
    path = tmp_path_factory.mktemp("golden") / MODEL_NAME
    shipped = ROOT / "edge" / "models" / "hymenoptera_int8.tflite"
    subprocess.run([sys.executable, ROOT / "tests/arm/golden.py", shipped, path], check=True)
    return path


def deploy(*arguments, **variables):
    command = [sys.executable, "-m", "edgebee", "deploy", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env=os.environ | variables, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.splitlines()


# ---------------------------------------------------------------- the connection


@needs_sshd
def test_commands_and_files_go_over_one_login(server, tmp_path):
    before = (server.folder / "log").read_text().count("Accepted publickey")
    with server.connect() as host:
        assert host.run("cat; exit 3", b"in") == ssh.CommandResult(3, "in", "")
        folder = f"{tmp_path}/a folder"
        files = {"one": os.urandom(300_000), "a script": b"#!/bin/sh\necho yes\n"}
        for _ in range(2):  # over the old ones, the second time
            done = host.send(files, folder, {"a script": 0o755})
            assert done.status == 0, done.err
        assert Path(folder, "one").read_bytes() == files["one"]
        assert sorted(os.listdir(folder)) == ["a script", "one"]  # noqa: PTH208
        assert host.run(shlex.quote(f"{folder}/a script")).out == "yes\n"
    logins = (server.folder / "log").read_text().count("Accepted publickey")
    assert logins == before + 1


@needs_sshd
def test_a_refused_key_is_one_clear_line(server):
    status, out, (line,) = deploy(*server.arguments("stranger"))
    login = server.arguments()[0]
    remedy = f"refused your key or password; send it your key: ssh-copy-id {login}"
    assert (status, out, line) == (1, "", f"Error: {login}: {remedy}")


@needs_sshd
def test_an_unknown_host_key_is_one_clear_line(server, tmp_path):
    (tmp_path / "nobody").touch()
    arguments = [*server.arguments()[:-1], f"UserKnownHostsFile={tmp_path / 'nobody'}"]
    status, _, (line,) = deploy(*arguments, "-o", "BatchMode=yes")
    assert status == 1
    assert "its key is unknown here; log in once by hand to accept it: ssh " in line


@needs_sshd
def test_a_changed_host_key_is_one_clear_line(server, tmp_path):
    changed = f"[127.0.0.1]:{server.port} {(server.folder / 'user.pub').read_text()}"
    (tmp_path / "changed").write_text(changed)
    arguments = [*server.arguments()[:-1], f"UserKnownHostsFile={tmp_path / 'changed'}"]
    status, _, (line,) = deploy(*arguments)
    assert status == 1
    assert "its key is not the one of last time; if it was set up again: ssh-keygen -R" in line


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs openssh-client")
@pytest.mark.parametrize(
    ("host", "port", "meaning"),
    [
        ("127.0.0.1", 1, "does not let ssh in; enable it there"),
        ("no-such-machine.invalid", 22, "no such machine; check its name"),
    ],
)
def test_a_host_that_cannot_be_reached_is_one_clear_line(host, port, meaning):
    status, out, (line,) = deploy(f"pi@{host}", "--port", port)
    assert (status, out) == (1, "")
    assert line.startswith(f"Error: pi@{host}: {meaning}")


@needs_sshd
def test_a_temporary_folder_may_be_deep(server, tmp_path):
    # A socket's path has 108 bytes at most, and ssh's is in the temporary folder.
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    host = f"ssh.connect('bee', options={server.options!r})"
    code = f"from edgebee.edge.device import ssh\nwith {host} as h: print(h.run('echo yes').out)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"TMPDIR": str(deep)},
    )  # fmt: skip
    assert done.stdout.strip() == "yes"
    assert list(deep.iterdir()) == []


def test_without_ssh_it_says_so(tmp_path):
    status, _, (line,) = deploy("pi@raspberrypi", PATH=str(tmp_path))
    assert status == 1
    assert line == "Error: ssh is not installed here: sudo apt install openssh-client"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument '[USER@]HOST'"),
        (["--watch", "photos", "pi@pi"], "the host comes first, then --watch"),
        (["pi@pi", "--watch", "photos"], "--watch goes with --service"),
        (["pi@pi", "--service"], "--service needs --watch DIR or --camera"),
        (["pi@pi", "--service", "--watch", "d", "--sort"], "--sort goes with PHOTO"),
        (["pi@pi", "--service", "--camera", "--every", "x"], "'x' is not a valid float"),
    ],
)
def test_wrong_usage(arguments, complaint):
    status, out, err = deploy(*arguments)
    assert (status, out) == (2, "")
    assert complaint in "\n".join(err)


# ---------------------------------------------------------------- what is there


def target(**changed):
    known = {
        "python": (3, 11), "bits": 64, "machine": "aarch64", "system": "linux", "glibc": "2.36",
        "folder": "/home/pi/edgebee", "free": 10**10, "writable": True, "venv": True,
        "has_environment": False, "picamera2": False, "cv2": False, "user": "pi",
        "home": "/home/pi", "systemd": True, "sudo": True,
    }  # fmt: skip
    return targets.Target(**(known | changed))


@pytest.mark.parametrize(
    ("changed", "machine"),
    [
        ({}, "aarch64"),
        ({"machine": "x86_64", "python": (3, 13)}, "x86_64"),
        ({"machine": "armv7l", "bits": 32}, "armv7l"),
        # Raspberry Pi OS runs a 64-bit kernel under its 32-bit system: the Python counts.
        ({"machine": "aarch64", "bits": 32}, "armv7l"),
    ],
)
def test_the_packages_are_those_of_the_project(changed, machine):
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    requirement = pytest.importorskip("packaging.requirements").Requirement
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = map(requirement, lines)
    here = {"platform_machine": machine}
    project = {(w.name, w.specifier) for w in wanted if not w.marker or w.marker.evaluate(here)}
    ours = map(requirement, targets.requirements_for(target(**changed)))
    assert {(one.name, one.specifier) for one in ours} == project


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"python": (3, 9)}, "edgebee needs Linux with Python 3.10"),
        ({"system": "darwin"}, "edgebee needs Linux"),
        ({"bits": 32, "machine": "aarch64", "python": (3, 13)}, "take the 64-bit Raspberry Pi OS"),
        ({"bits": 32, "machine": "armv6l", "python": (3, 11)}, "take the 64-bit Raspberry Pi OS"),
    ],
)
def test_where_no_runtime_exists_it_says_so(changed, complaint):
    with pytest.raises(RemoteError, match=complaint):
        targets.requirements_for(target(**changed))


@pytest.mark.parametrize(
    ("changed", "added"),
    [({}, ["opencv-python-headless>=4.8"]), ({"picamera2": True}, []), ({"cv2": True}, [])],
)
def test_a_camera_needs_a_library(changed, added):
    plain = targets.requirements_for(target(**changed))
    assert targets.requirements_for(target(**changed), camera=True) == plain + added


@needs_sshd
@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo 'sh: python3: not found' >&2; exit 127",
         "has no python3; install it: sudo apt install python3 python3-venv"),
        ("exec /usr/bin/env PYTHONHOME=/nowhere {python} \"$@\"",
         "python3 does not work there: "),
        ("exec {python} -c 'import sys; sys.version_info = (3, 9, 2); "
         "exec(sys.argv.pop(1))' \"$2\" \"$3\"",
         "linux with Python 3.9 is there; edgebee needs Linux with Python 3.10"),
        ("exec {python} -c 'import importlib.util as u; f = u.find_spec; "
         "u.find_spec = lambda name: name != \"ensurepip\" and f(name); import sys; "
         "exec(sys.argv.pop(1))' \"$2\" \"$3\"",
         "virtual environments are missing; install them there: sudo apt install python3-venv"),
        ("exec {python} -c 'import shutil; "
         "shutil.disk_usage = lambda path: type(\"\", (), {{\"free\": 99_000_000}}); import sys; "
         "exec(sys.argv.pop(1))' \"$2\" \"$3\"",
         "99 MB are free, 450 are needed; make room there"),
    ],
    ids=["no python", "broken python", "old python", "no venv", "no space"],
)  # fmt: skip
def test_what_is_missing_there_is_one_clear_line(bare, script, complaint, golden_model):
    bare.stub("python3", script.format(python=shlex.quote(sys.executable)))
    with bare.connect() as host, pytest.raises(RemoteError, match=complaint):
        deployment.deploy(host, golden_model)
    assert not (bare.home / "edgebee").exists()  # nothing was begun


# ---------------------------------------------------------------- what is sent


def test_the_wheel_holds_what_runs_and_is_the_same_each_time():
    name, content = build_wheel()
    assert build_wheel() == (name, content)
    import io

    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        names = wheel.namelist()
        assert wheel.testzip() is None
    for needed in (
        "cli.py",
        "py.typed",
        "commands/classify.py",
        "edge/classify.py",
        "edge/models/hymenoptera_int8.tflite",
        "edge/station/camera.py",
        "benchmarks/measure/device_run.py",
    ):
        assert f"edgebee/{needed}" in names
    assert not [one for one in names if one.endswith((".h5", ".pyc", ".css", ".j2"))]
    assert not [one for one in names if "/studies/" in one]
    assert len(content) < 6_000_000  # the model that ships, and little else


# ---------------------------------------------------------------- the whole way


def measure_there(server, model, photo):
    """What `edgebee benchmark --device` measures, in the environment that was made there."""
    from edgebee.benchmarks.measure.device_run import measure_remotely
    from edgebee.benchmarks.measure.plan import DeviceAddress

    address = DeviceAddress.parse("bee")
    home = {model.name: [0]}
    return measure_remotely(
        address, [model], [photo], rounds=2, home=home, ssh_options=server.options
    )


@pytest.mark.slow
@needs_sshd
def test_the_whole_way_twice(bare, golden_model, photo):
    for name in ("random", "json", "tempfile", "runpy", "pip", "venv", "numpy"):
        (bare.home / f"{name}.py").write_text("raise SystemExit('run from the home folder')\n")
    for _ in range(2):  # what is there already is in nobody's way
        status, out, err = deploy(*bare.arguments(), "-m", golden_model)
        assert status == 0, err
        said = "\n".join(err)
        assert "ai-edge-litert" in said
        assert re.search(r"^\s*ok +selftest +golden samples: bit-identical", said, re.M), said
        assert "check.png: " in said
    there = bare.home / "edgebee"
    assert f"{there}/classify photo.jpg" in out
    assert f"rm -r {there}" in out
    command = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", there / "classify", photo, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert json.loads(done.stdout)["path"] == str(photo)
    measured = measure_there(bare, golden_model, photo)
    assert measured.failure is None
    assert [run.variant for run in measured.runs] == [MODEL_NAME]
    names = sorted(path.name for path in there.iterdir())
    version = build_wheel()[0]
    assert names == [MODEL_NAME, "classify", version, "venv"]


@pytest.mark.slow
@needs_sshd
def test_a_service_is_installed_and_its_program_runs(bare, golden_model, photo):
    # No systemd runs here: these stand in for it, and note what they were asked for.
    asked, etc = bare.folder / "asked", bare.folder / "etc"
    etc.mkdir()
    bare.stub("systemctl", "exit 0")
    bare.stub("sudo", f"""echo "$*" >> {asked}
        case "$2" in install) cp "$5" {etc}/;; esac""")  # fmt: skip
    options = ["--service", "--watch", "my photos", "--move-to", "sorted", "--count", "1"]
    status, out, err = deploy(*bare.arguments(), "-m", golden_model, *options)
    assert status == 0, err
    assert "journalctl -u edgebee" in out
    assert f"  {service.REMOVE}\n" in out
    assert [line.split()[1] for line in asked.read_text().splitlines()] == [
        "install", "systemctl", "systemctl", "systemctl",
    ]  # fmt: skip
    text = (etc / service.UNIT_NAME).read_text()
    home = bare.home
    assert f"User={getpass.getuser()}" in text
    assert f'ReadWritePaths="-{home}/my photos"' in text
    assert f"ReadWritePaths=-{home}/sorted" in text
    # What systemd would start, started: it answers, and moves the photo.
    shutil.copy(photo, home / "my photos")
    (start,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    variables = os.environ | {"XDG_STATE_HOME": str(bare.folder / "state")}
    command = [one.replace("$$", "$") for one in shlex.split(start.removeprefix("ExecStart="))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=home,
                          env=variables, timeout=SOON_S * 3)  # fmt: skip
    label = json.loads(done.stdout)["label"]
    assert (home / "sorted" / label / photo.name).exists()


@needs_sshd
def test_the_address_of_a_camera_is_kept_where_others_cannot_read_it(bare):
    etc = bare.folder / "etc of the camera"
    etc.mkdir()
    bare.stub("systemctl", "exit 0")
    bare.stub("sudo", f'case "$2" in install) cp "$5" "{etc}/";; esac')
    (bare.home / "bee").mkdir()
    there = target(folder=f"{bare.home}/bee", home=str(bare.home))
    address = "rtsp://bee:secret@10.0.0.7/1"
    with bare.connect() as host:
        service.install_service(host, there, "m.tflite", ["--camera", address, "--every", "9"])
    kept = bare.home / "bee" / service.SECRETS_NAME
    assert kept.read_text() == f'EDGEBEE_CAMERA="{address}"\n'
    assert kept.stat().st_mode & 0o777 == 0o600
    unit = (etc / service.UNIT_NAME).read_text()
    assert f"\nEnvironmentFile={kept}\n" in unit
    assert "secret" not in unit + (bare.home / "bee" / service.UNIT_NAME).read_text()
    with bare.connect() as host:
        service.install_service(host, there, "m.tflite", ["--camera", "0"])
    assert not kept.exists()  # nor is it kept when another camera takes its place


@pytest.mark.slow
def test_wheels_are_those_of_the_device_and_not_of_this_machine():
    there = target(python=(3, 13), glibc="2.41")
    names = environment.download_wheels(there, targets.requirements_for(there))
    assert {"click", "numpy", "pillow", "ai_edge_litert"} <= {name.split("-")[0] for name in names}
    built = [name for name in names if not name.endswith("-none-any.whl")]
    assert all(name.endswith("_aarch64.whl") for name in built)
    assert all("cp313" in name or "abi3" in name for name in built)


@pytest.mark.slow
def test_a_device_without_internet_is_sent_what_it_needs(tmp_path_factory, golden_model):
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": "/dev/null",
        "PIP_RETRIES": "1",
    }  # fmt: skip
    with running_server(tmp_path_factory.mktemp("offline"), nowhere) as server:
        arguments = [*server.arguments(), "-m", golden_model]
        status, out, err = deploy(*arguments)
        assert (status, out) == (1, "")
        assert err[-1].endswith(
            "the environment could not be made: pip cannot reach its index ([Errno 111] "
            "Connection refused); without internet there: edgebee deploy --offline"
        )
        status, out, err = deploy(*arguments, "--offline")
        assert status == 0, err
        there = server.home / "edgebee"
        assert f"{there}/classify photo.jpg" in out
        assert not (there / "wheels").exists()


@needs_sshd
def test_sudo_that_asks_for_a_password_is_one_clear_line(server):
    with server.connect() as host:
        done = ssh.CommandResult(1, "", "sudo: a password is required")
        with pytest.raises(RemoteError, match="sudo asks for a password there; run there"):
            service.require_no_password(host, done, ["systemctl daemon-reload"])


@pytest.mark.slow
@needs_sshd
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_disk_that_fills_up_is_one_clear_line(bare, golden_model):
    small = bare.home / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", small]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        # It looks as if there were room enough, as it may when others write at the same time.
        bare.stub("python3", f"""case "$1" in -c) exec "{sys.executable}" -c 'import shutil, sys
shutil.disk_usage = lambda path: type("", (), {{"free": 10**9}})
exec(sys.argv.pop(1))' "$2" "$3";; esac
exec "{sys.executable}" "$@" """)  # fmt: skip
        status, _, err = deploy(*bare.arguments(), "-m", golden_model, "--to", "small/edgebee")
    finally:
        subprocess.run(["umount", small], check=True)
    assert status == 1
    assert "no space left in" in err[-1]
    assert "make room there" in err[-1]
