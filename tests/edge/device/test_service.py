"""The systemd unit: its arguments arrive as they were, and it may do little else than its work."""

import shutil
import subprocess
from pathlib import PurePosixPath

import pytest

service = pytest.importorskip("edgebee.edge.device.service", reason="needs edgebee")


def unit(command, **changed):
    known = {"user": "root", "home": PurePosixPath("/root"), "watch": None, "camera": None}
    known |= {"writes": (), "secrets": PurePosixPath("/root/edgebee/camera.env")}
    return service.render_unit(service.Service(tuple(command), **(known | changed)))


def program(tmp_path):
    path = tmp_path / "a program"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize(
    "changed",
    [
        {"watch": PurePosixPath("/srv/my photos/100%")},
        {"camera": "", "writes": (PurePosixPath("/srv/seen pictures"),)},
        {"camera": "rtsp://cam/1"},
    ],
    ids=["watch", "camera", "stream"],
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path, changed):
    path = tmp_path / service.UNIT_NAME
    path.write_text(unit([program(tmp_path), "classify", 'it costs $5 "or" 10%'], **changed))
    command = ["systemd-analyze", "verify", "--man=no", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if service.UNIT_NAME in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "offline" not in done.stderr:  # since systemd 250
        exposure = float(done.stdout.rsplit("exposure level for", 1)[1].split(":")[1].split()[0])
        assert exposure < 4.0  # "OK"; a plain service has 9.6, "UNSAFE"


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("--json", "--json"), ("/home/pi/photos", "/home/pi/photos"),
        ("my photos", '"my photos"'), ('say "x"', '"say \\"x\\""'), ("a\\b", '"a\\\\b"'),
        ("100%", "100%%"), ("$HOME", "$$HOME"), ("", '""'), ("a;b", '"a;b"'), ("é", '"é"'),
        ("a\nb", '"a\\nb"'),
    ],
)  # fmt: skip
def test_arguments_arrive_as_they_were(argument, written):
    assert f"\nExecStart=/bin/x {written}\n" in unit(["/bin/x", argument])


def test_a_watched_folder_needs_no_device_and_no_network():
    text = unit(["/bin/x"], watch=PurePosixPath("/srv/photos"))
    assert "\nPrivateDevices=yes\n" in text
    assert "\nRestrictAddressFamilies=AF_UNIX\n" in text
    assert "\nRequiresMountsFor=/srv/photos\n" in text
    assert "PrivateDevices" not in unit(["/bin/x"], camera="")


ADDRESS = 'rtsp://bee:pa$s"%20w\\ord@10.0.0.7/1'


@pytest.mark.parametrize("words", [["--camera", ADDRESS], [f"--camera={ADDRESS}"]])
def test_a_cameras_password_is_not_in_the_unit(words):
    text = unit(["/bin/x", *words, "--every", "5"], camera=ADDRESS)
    assert "ord@" not in text
    assert "\nEnvironmentFile=/root/edgebee/camera.env\n" in text
    (start,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert start == "ExecStart=/bin/x --camera --every 5"


def test_the_file_with_the_address_is_read_as_a_shell_would():
    # systemd.exec(5): values in double quotes are unquoted as in a POSIX shell.
    script = f'{service.render_secrets(ADDRESS)}printf %s "$EDGEBEE_CAMERA"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ADDRESS
