"""The default data set: found where it should be, fetched whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import shutil
import signal
import socket
import stat
import sys
import threading
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


def send(body: bytes, length: int | None = None) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)

    return answer


class Server:
    """A web server in a thread, which answers every request as it was told."""

    def __init__(self) -> None:
        self.answer: Answer = send(BODY)
        self.requests: list[str] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                server.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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


def test_two_processes_that_fetch_at_once_end_with_one_whole_set(
    server: Server, cache: Path
) -> None:
    both_asked = threading.Barrier(2)

    def answer(request: BaseHTTPRequestHandler) -> None:
        both_asked.wait(10)
        send(BODY)(request)

    server.answer = answer
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(find_hymenoptera(server.archive())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cache / "hymenoptera_data"] * 2
    assert list(cache.iterdir()) == found[:1]


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
        pytest.param(lambda s: lambda r: r.send_error(503), "HTTP status 503", id="503"),
        pytest.param(
            lambda s: send(BODY[:-100], len(BODY)), "the connection ended early", id="cut off"
        ),
        pytest.param(
            lambda s: send(BODY[:-1]),
            f"it has {len(BODY) - 1:,} bytes, not {len(BODY):,}",
            id="short",
        ),
        pytest.param(lambda s: send(BODY + b"x"), "it is longer than it should be", id="long"),
        pytest.param(
            lambda s: send(BODY[:-1] + b"x"), "its SHA-256 is not the known one", id="other bytes"
        ),
        pytest.param(stall_at_once, "no answer for 0.5 s", id="silent"),
        pytest.param(stall_halfway, "no answer for 0.5 s", id="falls silent"),
    ],
)
def test_a_failed_download_says_why_and_leaves_the_cache_as_it_was(
    server: Server, cache: Path, answer: Callable[[Server], Answer], reason: str
) -> None:
    server.answer = answer(server)
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(server.archive(), timeout_s=TIMEOUT_S)
    assert_names_the_ways_on(caught.value, server.url, reason)
    assert list(cache.iterdir()) == []


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
        find_hymenoptera(Archive(url, photos=PHOTOS), timeout_s=5)
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


def test_ctrl_c_leaves_the_cache_as_it_was(server: Server, cache: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(BODY[:100], len(BODY))(request)
        os.kill(os.getpid(), signal.SIGINT)
        server.closing.wait(10)

    server.answer = answer
    with pytest.raises(KeyboardInterrupt):
        find_hymenoptera(server.archive())
    assert list(cache.iterdir()) == []


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
