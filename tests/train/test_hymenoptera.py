"""The default data set: found where it should be, fetched whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import shutil
import signal
import socket
import stat
import struct
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from edgebee.errors import DataError, DownloadError
from edgebee.train.hymenoptera import HYMENOPTERA, PLACEHOLDER, Archive, find_hymenoptera

REAL_DATA = os.environ.get("EDGEBEE_DATA") and Path(os.environ["EDGEBEE_DATA"]).resolve()

PHOTOS = (("train/ants", 2), ("train/bees", 2), ("val/ants", 1), ("val/bees", 1))

# Long enough that a loaded machine answers in time, short enough to wait for.
TIMEOUT_S = 0.5
AT_ONCE = 0.0
"""Seconds before the second try: the server is as ready as it will ever be."""

PART = ".hymenoptera_data.zip.part"
"""What has arrived of a download that broke off, in the cache."""

Answer = Callable[[BaseHTTPRequestHandler], None]


def photo(number: int) -> bytes:
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 6), (40 * number, 90, 30)).save(jpeg, "JPEG")
    return jpeg.getvalue()


def contents() -> dict[str, bytes]:
    """Everything in a zip like the real one: photos, the placeholder and a Mac's leavings."""
    names = [f"{folder}/a photo {n}.jpg" for folder, count in PHOTOS for n in range(count)]
    inside = {f"hymenoptera_data/{name}": photo(i) for i, name in enumerate(names)}
    return inside | {
        f"hymenoptera_data/{PLACEHOLDER}": b"GIF89a",
        "hymenoptera_data/.DS_Store": b"junk",
        "hymenoptera_data/train/ants/.DS_Store": b"junk",
        "hymenoptera_data/train/ants/.hidden.jpg": b"junk",
        "hymenoptera_data/README.txt": b"junk",
        "hymenoptera_data/other/x.jpg": b"junk",
        "__MACOSX/hymenoptera_data/train/ants/._a photo 0.jpg": b"junk",
    }


def zipped(change: Callable[[zipfile.ZipFile], None] = lambda packed: None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.mkdir("hymenoptera_data")
        for name, content in contents().items():
            packed.writestr(name, content)
        change(packed)
    return file.getvalue()


BODY = zipped()


def send(body: bytes, length: int | None = None, header: str | None = None) -> Answer:
    """Answer with `body`; `header` takes the place of its length."""
    said = (
        f"Content-Length: {len(body) if length is None else length}" if header is None else header
    )

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if said:
            request.send_header(*said.split(": "))
        request.end_headers()
        request.wfile.write(body)

    return answer


def serve_ranges(body: bytes, at_most: int | None = None) -> Answer:
    """Answer as servers do that can resume; hang up after `at_most` bytes."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start > len(body):
            request.send_error(416)
            return
        request.send_response(206 if asked else 200)
        if asked:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        request.wfile.write(body[start:][:at_most])

    return answer


def raw(content: bytes) -> Answer:
    """Answer with these bytes, which need not be HTTP."""
    return lambda request: request.wfile.write(content) and None


def redirect_to(target: str, then: Answer | None = None) -> Answer:
    """Send the request for the zip, and without `then` every other one too, elsewhere."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        if then is not None and request.path == target:
            then(request)
            return
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    return answer


def reset_after(body: bytes) -> Answer:
    """Break the connection off as a machine does that has been switched off and on."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        send(body, len(BODY))(request)
        request.wfile.flush()
        linger = struct.pack("ii", 1, 0)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        # Without the files that hold it too, closing it resets it now.
        request.rfile.close()
        request.wfile.close()
        request.connection.close()

    return answer


def trickle(server: Server) -> Answer:
    """A byte now and then, each in time to keep a plain timeout from ending it."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        send(b"", len(BODY))(request)
        with contextlib.suppress(OSError):  # the other side has had enough, as it should
            for byte in BODY:
                server.closing.wait(TIMEOUT_S / 5)
                request.wfile.write(bytes([byte]))

    return answer


class Server:
    """A web server in a thread, which answers every request as it was told."""

    def __init__(self) -> None:
        self.answer: Answer = send(BODY)
        self.requests: list[str] = []
        self.ranges: list[str | None] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                server.ranges.append(self.headers["Range"])
                server.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                pass  # connections that the test or edgebee has closed

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hymenoptera_data.zip"

    def archive(self, body: bytes = BODY) -> Archive:
        """What is at this server, if `body` is."""
        return Archive(self.url, len(body), hashlib.sha256(body).hexdigest(), photos=PHOTOS)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    # Polling twice a second, the default, would make every test wait that long at its end.
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.closing.set()
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("EDGEBEE_DATA", raising=False)
    return tmp_path / "cache" / "edgebee"


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def unpack_by_hand(folder: Path) -> Path:
    for name, content in contents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "hymenoptera_data"


# ----------------------------------------------------------------------- fetching


def test_fetches_the_photos_and_nothing_else_into_the_cache(server: Server, cache: Path) -> None:
    folder = find_hymenoptera(server.archive())

    assert folder == cache / "hymenoptera_data"
    wanted = {
        name.removeprefix("hymenoptera_data/"): content
        for name, content in contents().items()
        if content != b"junk"
    }
    assert {name: (folder / name).read_bytes() for name in files_below(folder)} == wanted
    assert list(cache.iterdir()) == [folder], "the zip and the temporary folder are gone"


def test_others_may_read_the_cache_as_the_umask_says(server: Server) -> None:
    before = os.umask(0o022)
    try:
        folder = find_hymenoptera(server.archive())
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / PLACEHOLDER).stat().st_mode) == 0o644


def test_what_is_in_the_cache_is_not_fetched_again(server: Server) -> None:
    assert find_hymenoptera(server.archive()) == find_hymenoptera(server.archive())
    assert len(server.requests) == 1


def test_two_that_fetch_at_once_fetch_once(
    server: Server, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        may_answer.wait(10)
        send(BODY)(request)

    server.answer = answer
    found: list[Path] = []

    def find() -> None:
        found.append(find_hymenoptera(server.archive()))

    first = threading.Thread(target=find)
    first.start()
    assert asked.wait(10)
    second = threading.Thread(target=find)
    second.start()
    while "another edgebee is at work there; waiting" not in capfd.readouterr().err:
        time.sleep(0.01)
    may_answer.set()
    first.join()
    second.join()
    assert found == [cache / "hymenoptera_data"] * 2
    assert list(cache.iterdir()) == found[:1]
    assert len(server.requests) == 1


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_progress(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    find_hymenoptera(server.archive())
    shown = terminal.getvalue()
    assert "hymenoptera_data: 100%" in shown
    # tqdm counts the bytes of the body in thousands of 1024.
    assert f"{len(BODY) / 1024:.2f}k/" in shown


def test_a_pipe_sees_nothing(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    find_hymenoptera(server.archive())
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------ what can go wrong


def stall_at_once(server: Server) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        server.closing.wait(10)

    return answer


def stall_halfway(server: Server) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(BODY[: len(BODY) // 2], len(BODY))(request)
        request.wfile.flush()
        server.closing.wait(10)

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(lambda s: lambda r: r.send_error(404), "HTTP status 404 Not Found", id="404"),
        pytest.param(
            lambda s: send(BODY[:-1]),
            f"it has {len(BODY) - 1:,} bytes, not {len(BODY):,}",
            id="short",
        ),
        pytest.param(
            lambda s: send(BODY + b"x"),
            f"it has {len(BODY) + 1:,} bytes, not {len(BODY):,}",
            id="long",
        ),
        pytest.param(
            lambda s: send(BODY + b"x", None, ""), "longer than it should be", id="longer"
        ),
        pytest.param(
            lambda s: send(BODY[:-1], None, ""),
            f"it has {len(BODY) - 1:,} bytes, not {len(BODY):,}",
            id="short, length unsaid",
        ),
        pytest.param(
            lambda s: send(BODY[:-1] + b"x"), "its SHA-256 is not the known one", id="other bytes"
        ),
        pytest.param(
            lambda s: send(b"<html>Log in</html>", None, "Content-Type: text/html"),
            "does this network want a login first?",
            id="login page",
        ),
        pytest.param(
            lambda s: redirect_to("/login?next=zip", send(BODY, None, "Content-Type: text/html")),
            "does this network want a login first?",
            id="redirect to a login page",
        ),
        pytest.param(lambda s: redirect_to("/again"), "HTTP status 302", id="redirect in circles"),
        pytest.param(
            lambda s: redirect_to("file:///etc/passwd"), "HTTP status 302", id="to a file"
        ),
        pytest.param(lambda s: raw(b"SSH-2.0-OpenSSH\r\n"), "no sensible answer", id="not HTTP"),
        pytest.param(
            lambda s: raw(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 500), "no sensible", id="headers"
        ),
    ],
)
def test_what_is_not_the_file_is_refused_at_once_and_not_kept(
    server: Server, cache: Path, answer: Callable[[Server], Answer], reason: str
) -> None:
    server.answer = answer(server)
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(server.archive(), timeout_s=TIMEOUT_S, pause_s=AT_ONCE)
    assert_names_the_ways_on(caught.value, server.url, reason)
    assert list(cache.iterdir()) == []
    assert server.requests.count("/hymenoptera_data.zip") == 1, "asking again would not help"


@pytest.mark.parametrize(
    ("answer", "reason", "kept"),
    [
        pytest.param(lambda s: lambda r: r.send_error(503), "HTTP status 503", 0, id="503"),
        pytest.param(stall_at_once, "no answer for 0.5 s", 0, id="silent"),
        pytest.param(stall_halfway, "no answer for 0.5 s", len(BODY) // 2, id="falls silent"),
        pytest.param(lambda s: raw(b""), "hung up without an answer", 0, id="hangs up"),
        pytest.param(trickle, "bytes in", None, id="drip by drip"),
        pytest.param(
            lambda s: send(BODY[:-100], len(BODY)),
            "the connection ended early",
            len(BODY) - 100,
            id="cut off",
        ),
        pytest.param(
            lambda s: reset_after(BODY[:-100]), "Connection reset by peer", None, id="reset"
        ),
    ],
)
def test_what_breaks_off_is_tried_again_and_what_arrived_is_kept(
    server: Server,
    cache: Path,
    capfd: pytest.CaptureFixture[str],
    answer: Callable[[Server], Answer],
    reason: str,
    kept: int | None,
) -> None:
    server.answer = answer(server)
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(server.archive(), timeout_s=TIMEOUT_S, pause_s=AT_ONCE)
    assert_names_the_ways_on(caught.value, server.url, reason)
    assert len(server.requests) >= 3
    said = capfd.readouterr().err.splitlines()
    assert len(said) == len(server.requests) - 1
    assert all("; trying again in 0 s" in line for line in said)
    left = {path.name: path.stat().st_size for path in cache.iterdir()}
    assert left.keys() <= {PART}
    if kept is not None:
        assert left.get(PART, 0) == kept

    server.answer, server.requests[:] = serve_ranges(BODY), []
    assert find_hymenoptera(server.archive()).is_dir()
    assert server.requests == ["/hymenoptera_data.zip"]
    assert [path.name for path in cache.iterdir()] == ["hymenoptera_data"]
    if left.get(PART):
        assert server.ranges[-1] == f"bytes={left[PART]}-", "goes on where it was left"


def test_a_connection_that_breaks_again_and_again_gets_there_in_the_end(server: Server) -> None:
    chunk = len(BODY) // 8 + 1  # eight connections are needed, three in a row may fail

    def answer(request: BaseHTTPRequestHandler) -> None:
        serve_ranges(BODY, at_most=chunk)(request)

    server.answer = answer
    folder = find_hymenoptera(server.archive(), timeout_s=TIMEOUT_S, pause_s=AT_ONCE)
    assert folder.is_dir()
    assert len(server.requests) == 8


def test_a_part_of_something_else_is_dropped_and_the_file_fetched_anew(
    server: Server, cache: Path
) -> None:
    cache.mkdir(parents=True)
    (cache / PART).write_bytes(b"x" * 100)
    server.answer = serve_ranges(BODY)
    assert find_hymenoptera(server.archive(), pause_s=AT_ONCE).is_dir()
    assert server.ranges == ["bytes=100-", None]


@pytest.mark.parametrize("length", [len(BODY), len(BODY) + 1])
def test_a_part_as_long_as_the_file_or_longer(server: Server, cache: Path, length: int) -> None:
    cache.mkdir(parents=True)
    (cache / PART).write_bytes(BODY + b"x" if length > len(BODY) else b"x" * length)
    server.answer = serve_ranges(BODY)
    assert find_hymenoptera(server.archive(), pause_s=AT_ONCE).is_dir()
    assert server.ranges == [None]


def test_a_server_that_does_not_resume_sends_it_all_again(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / PART).write_bytes(BODY[:100])
    assert find_hymenoptera(server.archive(), pause_s=AT_ONCE).is_dir()
    assert server.ranges == ["bytes=100-"]


def test_what_a_killed_run_left_is_taken_away(server: Server, cache: Path) -> None:
    (cache / ".hymenoptera_data.abc123.making" / "hymenoptera_data").mkdir(parents=True)
    find_hymenoptera(server.archive())
    assert [path.name for path in cache.iterdir()] == ["hymenoptera_data"]


def test_an_endless_answer_is_cut_short(server: Server, cache: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while not server.closing.is_set():
                request.wfile.write(b"x" * 100_000)
        except OSError:
            pass  # the other side has hung up, as it should

    server.answer = answer
    with pytest.raises(DownloadError, match="longer than it should be"):
        find_hymenoptera(server.archive())
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_a_server_that_is_not_there(host: str, cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    url = f"http://{host}:{port}/hymenoptera_data.zip"
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(Archive(url, photos=PHOTOS), timeout_s=5, pause_s=AT_ONCE)
    # What a resolver says about a host that does not exist depends on the machine.
    reason = "Connection refused" if host == "127.0.0.1" else ""
    assert_names_the_ways_on(caught.value, url, reason)
    assert list(cache.iterdir()) == []


def assert_names_the_ways_on(error: Exception, what: str, reason: str) -> None:
    message = str(error)
    assert "\n" not in message
    assert message.startswith(f"{what}: ")
    assert reason in message
    assert "--data DIR" in message
    assert "--data sample" in message
    # Brief: the address, a reason and the ways on, not a library's whole chain of objects.
    assert len(message) < 300
    assert "object at 0x" not in message


def test_ctrl_c_leaves_at_most_what_has_arrived(server: Server, cache: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(BODY[:100], len(BODY))(request)
        os.kill(os.getpid(), signal.SIGINT)
        server.closing.wait(10)

    server.answer = answer
    with pytest.raises(KeyboardInterrupt):
        find_hymenoptera(server.archive())
    assert {path.name for path in cache.iterdir()} <= {PART}


def test_a_cache_that_cannot_be_written(server: Server, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(server.archive())
    assert_names_the_ways_on(caught.value, str(cache / "hymenoptera_data"), "Not a directory")
    assert server.requests == [], "found out before anything is downloaded"


def test_a_disk_that_is_full(server: Server, cache: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the length of files makes write() fail as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(BODY) // 2, hard))
    try:
        with pytest.raises(DownloadError) as caught:
            find_hymenoptera(server.archive())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_names_the_ways_on(caught.value, str(cache / "hymenoptera_data"), "File too large")
    assert list(cache.iterdir()) == []


# ------------------------------------------------------------- zips that mean no good


def entry(name: str, mode: int = 0, content: bytes = b"x") -> Callable[[zipfile.ZipFile], None]:
    def add(packed: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        packed.writestr(info, content)

    return add


def announce(size_bytes: int) -> Callable[[zipfile.ZipFile], None]:
    """Have the last photo's entry lie about the size it unpacks to."""

    def change(packed: zipfile.ZipFile) -> None:
        packed.writestr("hymenoptera_data/val/bees/z.jpg", bytes(1_000_000))
        packed.filelist[-1].file_size = size_bytes

    return change


def encrypt(packed: zipfile.ZipFile) -> None:
    packed.filelist[-1].flag_bits |= 1


def add_thousands(packed: zipfile.ZipFile) -> None:
    for number in range(10_001):
        packed.writestr(zipfile.ZipInfo(f"{number}"), b"")


INNER = "hymenoptera_data/train/ants"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (entry(f"{INNER}/../../../../escaped.jpg"), "leaves the folder"),
        (entry("../escaped.jpg"), "leaves the folder"),
        (entry("/tmp/escaped.jpg"), "leaves the folder"),
        (entry("C:/escaped.jpg"), "leaves the folder"),
        (entry(f"{INNER}/..\\escaped.jpg"), "leaves the folder"),
        (entry(f"{INNER}/x.jpg", stat.S_IFLNK | 0o777, b"/etc/passwd"), "is a link or a device"),
        (entry(INNER, stat.S_IFLNK | 0o777, b"/tmp"), "is a link or a device"),
        (entry(f"{INNER}/x.jpg", stat.S_IFCHR | 0o666), "is a link or a device"),
        (announce(600_000_000), "unpacks to more than 500 MB"),
        (announce(10), "not a sound zip file"),
        (add_thousands, "more than 10000"),
        (encrypt, "is encrypted"),
        (entry("hymenoptera_data/val/bees/one more.jpg"), "2 photos in val/bees, not 1"),
    ],
)
def test_a_zip_that_is_not_safe_or_not_whole_is_refused(
    server: Server,
    cache: Path,
    tmp_path: Path,
    change: Callable[[zipfile.ZipFile], None],
    reason: str,
) -> None:
    body = zipped(change)
    server.answer = send(body)
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(server.archive(body))
    assert_names_the_ways_on(caught.value, server.url, reason)
    assert list(cache.iterdir()) == []
    assert files_below(tmp_path) == set()
    assert not Path("/tmp/escaped.jpg").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile, while making it
def test_a_zip_with_two_files_of_one_name_is_refused(server: Server) -> None:
    body = zipped(entry("hymenoptera_data/train/ants/a photo 0.jpg"))
    server.answer = send(body)
    with pytest.raises(DownloadError, match="two files of one name"):
        find_hymenoptera(server.archive(body))


def test_what_is_not_a_zip_is_refused(server: Server) -> None:
    body = b"<html>Please log in to this network</html>"
    server.answer = send(body)
    with pytest.raises(DownloadError, match="not a sound zip file"):
        find_hymenoptera(server.archive(body))


# ------------------------------------------------------------------- EDGEBEE_DATA


@pytest.mark.parametrize("named", ["photos", "photos/hymenoptera_data", "renamed"])
@pytest.mark.parametrize("relative", [False, True])
def test_the_folder_that_edgebee_data_names_wins(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, relative: bool
) -> None:
    unpack_by_hand(tmp_path / "cache" / "edgebee")
    own = unpack_by_hand(tmp_path / "photos")
    if named == "renamed":
        own = own.rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBEE_DATA", named if relative else str(tmp_path / named))

    assert find_hymenoptera(server.archive()) == own
    assert server.requests == []


def test_the_placeholder_may_be_missing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = unpack_by_hand(tmp_path)
    (own / PLACEHOLDER).unlink()
    monkeypatch.setenv("EDGEBEE_DATA", str(tmp_path))
    assert find_hymenoptera(server.archive()) == own


def test_edgebee_data_without_hymenoptera_is_said_and_passed_over(
    server: Server,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEBEE_DATA", str(tmp_path / "elsewhere"))
    assert find_hymenoptera(server.archive()) == cache / "hymenoptera_data"
    out, err = capsys.readouterr()
    assert out == ""
    assert f"EDGEBEE_DATA={tmp_path / 'elsewhere'} holds no hymenoptera_data" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("lost", ["val/bees/a photo 0.jpg", "val/bees", "train"])
@pytest.mark.parametrize("place", ["EDGEBEE_DATA", "cache"])
def test_a_set_with_photos_missing_is_not_taken_for_the_whole(
    server: Server,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
    place: str,
) -> None:
    if place == "EDGEBEE_DATA":
        monkeypatch.setenv("EDGEBEE_DATA", str(tmp_path))
        own = unpack_by_hand(tmp_path)
    else:
        own = unpack_by_hand(cache)
    path = own / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.raises(DataError) as caught:
        find_hymenoptera(server.archive())
    missing = "0 photos in train/ants, not 2" if lost == "train" else "0 photos in val/bees, not 1"
    assert missing in str(caught.value)
    assert f"use it as it is with --data {own}, or move it away" in str(caught.value)
    assert server.requests == []


# -------------------------------------------------------------------- the real photos


@pytest.mark.hymenoptera
def test_the_real_photos_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL_DATA:
        pytest.skip("EDGEBEE_DATA names no folder with hymenoptera_data")
    monkeypatch.setenv("EDGEBEE_DATA", str(REAL_DATA))
    folder = find_hymenoptera()

    assert sum(count for _, count in HYMENOPTERA.photos) == 397
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  ./{name}\n"
        for name in sorted(files_below(folder))
    ]
    assert len(lines) == 398
    # What `find . -type f | sort | xargs -d '\n' sha256sum | sha256sum` says, C locale, of the
    # unpacked archive whose own hash is in HYMENOPTERA.
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == DIGEST_OF_ALL_FILES


DIGEST_OF_ALL_FILES = "01139606c5c3087d7df4094de3866bc534d26a9ce09ce3f0e90d007ec225e6cc"
