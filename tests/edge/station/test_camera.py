"""`edgebee classify --camera`: films, live streams that break off, the Pi's own camera."""

import hashlib
import http.server
import io
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from camera_libraries import CV2, PICAMERA2
from PIL import Image

camera = pytest.importorskip("edgebee.edge.station.camera", reason="needs edgebee")
frame_source = pytest.importorskip("edgebee.edge.station.frame_source", reason="needs edgebee")
from edgebee.child_python import code_command  # noqa: E402

SOON_S = 60


def put_on_path(folder, monkeypatch):
    """Of the processes that are started; before what is on it."""
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


MODEL = str(Path(__file__).parents[3] / "edge" / "models" / "hymenoptera_int8.tflite")


@pytest.fixture
def picamera2(tmp_path, monkeypatch):
    """A folder on the path in which there is a `picamera2`."""
    (tmp_path / "pi" / "picamera2").mkdir(parents=True)
    (tmp_path / "pi" / "picamera2" / "__init__.py").write_text(PICAMERA2)
    put_on_path(tmp_path / "pi", monkeypatch)


def jpeg(level):
    """A grey picture as a network camera sends it, brighter with each level."""
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


class NetworkCamera:
    """A camera that speaks MJPEG over HTTP, as many do, and can be pulled out."""

    def __init__(self):
        self.plugged = True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if not outer.plugged:
                    self.send_error(503)
                    return
                self.send_response(200)
                kind = "multipart/x-mixed-replace; boundary=frame"
                self.send_header("Content-Type", kind)
                self.end_headers()
                for level in itertools.cycle(range(0, 250, 10)):
                    if not outer.plugged:
                        return
                    picture = jpeg(level)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}"
                    try:
                        self.wfile.write(head.encode() + b"\r\n\r\n" + picture + b"\r\n")
                    except OSError:
                        return
                    time.sleep(0.02)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/stream.mjpg"


@pytest.fixture
def network_camera():
    pytest.importorskip("cv2", reason="needs edgebee[camera]")
    source = NetworkCamera()
    yield source
    source.plugged = False
    source.server.shutdown()
    source.server.server_close()


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Five seconds of ten pictures each, every one brighter than the last."""
    cv2 = pytest.importorskip("cv2", reason="needs edgebee[camera]")
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240))
    for level in range(50):
        frame = np.full((240, 320, 3), level * 5, np.uint8)
        frame[..., 0] = 0  # OpenCV's order is blue, green, red
        writer.write(frame)
    writer.release()
    return path


def run(*arguments, **variables):
    command = [
        sys.executable,
        "-m",
        "edgebee",
        "classify",
        "-m",
        MODEL,
        "--camera",
        *map(str, arguments),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SOON_S * 2,
        env=os.environ | variables,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


# ---------------------------------------------------------------- films


@pytest.mark.parametrize(("every_s", "frames"), [(0.0, 50), (0.1, 50), (0.25, 17), (1.0, 5)])
def test_a_film_is_seen_at_its_own_pace(film, every_s, frames):
    seen = list(camera.read_frames(str(film), every_s=every_s))
    assert len(seen) == frames
    for frame in seen:
        at_s = float(frame.when)
        assert frame.pixels.shape == (240, 320, 3)
        red, green, blue = frame.pixels.reshape(-1, 3).mean(axis=0)
        # JPEG moves flat colours by a few of 256 steps; a picture is ten steps a tenth second.
        assert abs(red - at_s * 50) < 8
        assert abs(green - at_s * 50) < 8
        assert blue < 8


def test_answers_and_pictures_of_a_film(film, tmp_path):
    kept, drawn = tmp_path / "kept", tmp_path / "drawn"
    status, out, err = run(film, "--json", "--save-dir", kept, "--annotate", drawn, "--count", "3")
    assert (status, err) == (0, [])
    answers = [json.loads(line) for line in out]
    files = sorted(kept.iterdir())
    assert [answer["path"] for answer in answers] == list(map(str, files))
    for number, (path, answer) in enumerate(zip(files, answers, strict=True)):
        assert path.name == f"00000{number}.000_{answer['label']}.jpg"
        with Image.open(path) as picture:
            assert picture.size == (320, 240)
    assert [path.name for path in sorted(drawn.iterdir())] == [path.name for path in files]


def test_without_a_folder_the_answers_name_film_and_time(film):
    status, out, _ = run(film, "--every", "2")
    assert status == 0
    assert [line.split(": ")[0] for line in out] == [
        f"{film} {time_s}" for time_s in ("0.000", "2.000", "4.000")
    ]


def test_what_is_no_film_is_one_clear_line(tmp_path):
    pytest.importorskip("cv2", reason="needs edgebee[camera]")
    (tmp_path / "x.mp4").write_text("no film")
    message = f"error: {tmp_path}/x.mp4: not a film that OpenCV can read"
    assert run(tmp_path / "x.mp4") == (1, [], [message])


# ---------------------------------------------------------------- live


@pytest.mark.parametrize("source", ["17", "/dev/video17"])
def test_no_camera_is_one_clear_line(source):
    pytest.importorskip("cv2", reason="needs edgebee[camera]")
    status, out, (line,) = run(source)
    assert (status, out) == (1, [])
    assert line.startswith("error: /dev/video17: no camera; plug one in")


def test_no_library_is_one_clear_line(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('none here')")
    status, out, (line,) = run("17", PYTHONPATH=str(tmp_path))
    assert (status, out) == (1, [])
    assert "pip install opencv-python-headless" in line
    assert "apt install python3-picamera2" in line


def test_a_live_camera_keeps_the_pace(network_camera):
    started = time.monotonic()
    frames = camera.read_frames(network_camera.address, every_s=0.3)
    times = [time.monotonic() for _ in itertools.islice(frames, 6)]
    frames.close()
    # Five pauses from the first to the last; opening is not one of them.
    assert 1.4 <= times[-1] - times[0] < 4.0
    assert times[0] - started < SOON_S


def test_a_camera_that_is_pulled_out_is_waited_for(network_camera, caplog, monkeypatch):
    caplog.set_level("INFO", "edgebee")
    monkeypatch.setattr(camera, "_RETRY_FIRST_S", 0.1)
    frames = camera.read_frames(network_camera.address, every_s=0.0)
    assert next(frames).pixels.shape == (48, 64, 3)
    network_camera.plugged = False
    threading.Timer(1.0, setattr, [network_camera, "plugged", True]).start()
    deadline = time.monotonic() + SOON_S
    while len(caplog.messages) < 2:
        assert next(frames).pixels.shape == (48, 64, 3)
        assert time.monotonic() < deadline
    frames.close()
    name = network_camera.address
    assert caplog.messages[0] == f"{name}: gives no more pictures; waiting for the camera"
    assert caplog.messages[1].startswith(f"{name}: back after ")


def test_a_camera_that_is_pulled_out_is_let_go_before_the_next_frame(network_camera):
    """Held, it would keep its number, and be another one when it is put back."""
    command = code_command(camera._CHILD, "3600")
    where = os.environ | {frame_source.CAMERA_VARIABLE: network_camera.address}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=where) as process:
        head = process.stdout.read(frame_source.HEAD.size)
        kind, *_, length = frame_source.HEAD.unpack(head)
        assert (kind, process.stdout.read(length)) == (
            frame_source.OPENED,
            network_camera.address.encode(),
        )
        network_camera.plugged = False  # nobody asks for a frame
        rest = process.stdout.read()
        assert process.wait(timeout=SOON_S) == 1
    kind, *_, length = frame_source.HEAD.unpack_from(rest)
    assert kind == frame_source.ERROR
    assert rest[-length:].endswith(b": gives no more pictures")


@pytest.mark.slow
def test_a_clock_that_jumps_changes_no_pace(network_camera, tmp_path, jumping_clock):
    kept, told = tmp_path / "kept", tmp_path / "answers.jsonl"
    command = [sys.executable, "-m", "edgebee", "classify", "-m", MODEL, "--json", "--every", "0.2"]
    command += ["--camera", network_camera.address, "--save-dir", str(kept), "--count", "12"]
    with told.open("w") as out:
        process = subprocess.Popen(command, stdout=out, env=os.environ | jumping_clock.variables)
        for part, hours in enumerate((0, -5, 4)):
            jumping_clock.jump(hours)
            started = time.monotonic()
            while told.read_text().count("\n") < 4 * (part + 1):
                assert time.monotonic() - started < SOON_S
                time.sleep(0.02)
            # Four pauses of 0.2 s, of which the first may have begun before: none was left out.
            assert part == 0 or time.monotonic() - started > 3 * 0.2
        assert process.wait(timeout=SOON_S) == 0
    pictures = [Path(json.loads(line)["path"]) for line in told.read_text().splitlines()]
    assert sorted(pictures) == sorted(kept.iterdir())
    assert len(set(pictures)) == 12, "nothing is written over in the hour that comes again"
    hours = [int(path.name[11:13]) for path in pictures]
    assert len(set(hours)) >= 3, "the clock did not jump"


def test_a_stream_that_is_not_there_is_one_clear_line(network_camera):
    network_camera.plugged = False
    message = f"{network_camera.address}: nothing to see there; check the address"
    with pytest.raises(camera.CameraError, match=message.replace(".", r"\.")):
        next(camera.read_frames(network_camera.address, every_s=0.0))


@pytest.mark.usefixtures("picamera2")
def test_the_pi_s_own_camera_comes_first():
    frames = camera.read_frames("", every_s=0.0, size=(320, 240))
    frame = next(frames)
    frames.close()
    assert frame.pixels.shape == (240, 320, 3)
    assert tuple(frame.pixels[0, 0]) == (200, 0, 0)
    assert frame.source == "camera"
    assert frame.when.endswith("Z")


@pytest.mark.usefixtures("picamera2")
def test_a_camera_in_use_is_one_clear_line():
    status, out, (line,) = run(EDGEBEE_TEST_BUSY="1")
    assert (status, out) == (1, [])
    assert line == (
        "error: Pi camera 0: Failed to acquire camera: Device or resource busy; "
        "is another program using it?"
    )


@pytest.fixture
def opencv(tmp_path, monkeypatch):
    """OpenCV with a camera that gives one picture, or as many as are wanted, and is gone."""
    (tmp_path / "cv2.py").write_text(CV2)
    put_on_path(tmp_path, monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    yield
    sys.modules.pop("cv2", None)


@pytest.mark.usefixtures("picamera2", "opencv")
def test_a_usb_camera_that_picamera2_lists_is_read_with_opencv(monkeypatch):
    monkeypatch.setenv("EDGEBEE_TEST_FORMAT", "YUYV")
    monkeypatch.setenv("EDGEBEE_TEST_FRAMES", "1000000")
    frames = camera.read_frames("", every_s=0.0)
    assert next(frames).pixels.shape == (48, 64, 3)
    frames.close()


@pytest.mark.usefixtures("picamera2")
def test_beside_picamera2_opencv_is_debian_s(tmp_path, monkeypatch):
    (tmp_path / "pi" / "cv2.py").write_text("raise ImportError")
    monkeypatch.setenv("EDGEBEE_TEST_FORMAT", "YUYV")
    with pytest.raises(camera.CameraError, match="sudo apt install python3-opencv"):
        next(camera.read_frames("", every_s=0.0))


@pytest.mark.usefixtures("opencv")
@pytest.mark.parametrize(
    ("there", "name"),
    [([], "/dev/video0"), (["video3", "video1"], "/dev/video1"), (["video10"], "/dev/video0")],
)
def test_the_first_camera_is_the_lowest_that_is_there(tmp_path, monkeypatch, there, name):
    (tmp_path / "dev").mkdir()
    for node in there:
        (tmp_path / "dev" / node).touch()
    monkeypatch.setattr(frame_source, "_DEVICES", tmp_path / "dev")
    assert frame_source.open_source("", 0.0, None).name == name


@pytest.mark.slow
@pytest.mark.usefixtures("picamera2")
def test_a_camera_that_hangs_is_opened_again(monkeypatch, caplog):
    caplog.set_level("INFO", "edgebee")
    monkeypatch.setenv("EDGEBEE_TEST_HANGS", "1")
    monkeypatch.setattr(camera, "FRAME_TIMEOUT_S", 1.0)
    frames = camera.read_frames("", every_s=0.0, size=(32, 24))
    assert len(list(itertools.islice(frames, 3))) == 3  # two, silence, one
    frames.close()
    assert [line.split(": ")[1].split(" ")[0] for line in caplog.messages] == ["silent", "back"]


@pytest.mark.slow
def test_the_camera_is_let_go_when_edgebee_is_killed(network_camera):
    command = [
        sys.executable,
        "-m",
        "edgebee",
        "classify",
        "-m",
        MODEL,
        "--camera",
        network_camera.address,
    ]
    with subprocess.Popen([*command, "--every", "0"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        process.kill()
    deadline = time.monotonic() + SOON_S
    while Path(f"/proc/{children[0]}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("picamera2")
def test_memory_and_handles_stay_flat():
    frames = camera.read_frames("", every_s=0.0, size=(320, 240))
    grown = []
    for number, _ in zip(range(1000), frames, strict=False):
        if number in (500, 999):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            files = sum(1 for _ in Path("/proc/self/fd").iterdir())
            grown.append((pages * os.sysconf("SC_PAGESIZE"), files))
    frames.close()
    (half_bytes, half_files), (all_bytes, all_files) = grown
    assert all_files == half_files
    assert all_bytes - half_bytes < 2_000_000  # 500 frames would be 115 MB


def test_a_picamera2_built_for_another_numpy_says_so(tmp_path, monkeypatch):
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
    put_on_path(tmp_path, monkeypatch)
    with pytest.raises(camera.CameraError) as caught:
        next(camera.read_frames("", every_s=0))
    assert str(caught.value) == (
        f"picamera2 cannot be loaded with NumPy {np.__version__} (numpy.dtype size changed); "
        "install the one that it was built for: pip install 'numpy<2'"
    )


# ---------------------------------------------------------------- still pictures and passwords


@pytest.fixture(params=["basic"])
def still_camera(request, tmp_path):
    """An address that gives one JPEG a request, to who knows the password."""
    requests = []
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "gold").save(buffer, "JPEG")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            given = self.headers.get("Authorization", "")
            allowed = given == "Basic cGk6c2VjcmV0"  # pi:secret
            if request.param == "digest":
                fields = dict(re.findall(r'(\w+)="?([^",]*)', given))
                secret = hashlib.md5(b"pi:cam:secret").hexdigest()
                asked = hashlib.md5(f"GET:{self.path}".encode()).hexdigest()
                whole = hashlib.md5(f"{secret}:n1:{asked}".encode()).hexdigest()  # RFC 2069
                allowed = fields.get("response") == whole
            requests.append(allowed)
            self.send_response(200 if allowed else 401)
            if not allowed:
                self.send_header("WWW-Authenticate", 'Digest realm="cam", nonce="n1"')
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(buffer.getvalue())))
            self.end_headers()
            self.wfile.write(buffer.getvalue())

        def log_message(self, *arguments):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://pi:secret@127.0.0.1:{server.server_port}/capture", requests
    server.shutdown()
    server.server_close()


def test_a_still_picture_address_is_asked_once_a_frame(still_camera, caplog):
    caplog.set_level("INFO", "edgebee")
    address, requests = still_camera
    frames = list(itertools.islice(camera.read_frames(address, every_s=0.05), 4))
    assert [frame.pixels.shape for frame in frames] == [(48, 64, 3)] * 4
    assert requests == [True] * 5  # one to see what it gives, and one a frame
    assert caplog.messages == []
    assert {frame.source for frame in frames} == {address.replace("secret", "***")}


@pytest.mark.parametrize("still_camera", ["digest"], indirect=True)
def test_a_camera_that_wants_a_digest_gets_one(still_camera):
    address, requests = still_camera
    frames = list(itertools.islice(camera.read_frames(address, every_s=0.05), 2))
    assert [frame.pixels.shape for frame in frames] == [(48, 64, 3)] * 2
    assert requests == [False, True] * 3


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at command lines in /proc")
def test_a_password_in_the_environment_is_on_no_command_line(still_camera):
    address, _ = still_camera
    command = [sys.executable, "-m", "edgebee", "classify", "-m", MODEL, "--camera", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"EDGEBEE_CAMERA": address}
    ) as station:
        assert station.stdout is not None
        prediction = json.loads(station.stdout.readline())
        children = Path(f"/proc/{station.pid}/task/{station.pid}/children").read_text().split()
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (*children, station.pid)]
        station.terminate()
    assert prediction["taken"] == prediction["path"].rpartition(" ")[2]
    assert len(lines) == 2
    assert not any(b"secret" in line for line in lines)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://pi:secret@host:554/a", "rtsp://pi:***@host:554/a"),
        ("rtsp://pi:p@ss/w@rd@host:554/a", "rtsp://pi:***@host:554/a"),
        ("http://host/a?user=pi&password=secret#b", "http://host/a?user=pi&password=***#b"),
        ("http://host/a?pwd=secret&size=1", "http://host/a?pwd=***&size=1"),
        ("rtsp://host/a", "rtsp://host/a"),
        ("rtsp://pi@host/a:b@c", "rtsp://pi@host/a:b@c"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_no_password_is_shown(address, shown):
    assert frame_source.mask_secrets(address) == shown


def test_the_cameras_process_runs_nothing_from_the_working_folder(tmp_path, monkeypatch):
    for name in ("numpy", "random", "select", "struct", "urllib", "edgebee", "PIL"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(camera.CameraError):
        next(camera.read_frames("rtsp://127.0.0.1:1/none", every_s=0.0))
    assert not (tmp_path / "imported").exists()
