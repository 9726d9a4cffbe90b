"""The download: whole or not at all, whatever the network does."""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from zip_server import (
    AT_ONCE,
    BODY,
    PART,
    PHOTOS,
    TIMEOUT_S,
    Prediction,
    Server,
    assert_names_the_ways_on,
    contents,
    files_below,
    raw,
    redirect_to,
    reset_after,
    send,
    serve_ranges,
    trickle,
)

from edgebee.errors import DownloadError
from edgebee.photos.hymenoptera import PLACEHOLDER, Archive, find_hymenoptera

pytestmark = pytest.mark.usefixtures("cache")


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


def test_two_that_fetch_at_once_fetch_once(server: Server, cache: Path, remarks: list[str]) -> None:
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
    while f"{cache}: another edgebee is working there; waiting" not in remarks:
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


def stall_at_once(server: Server) -> Prediction:
    def answer(request: BaseHTTPRequestHandler) -> None:
        server.closing.wait(10)

    return answer


def stall_halfway(server: Server) -> Prediction:
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
    server: Server, cache: Path, answer: Callable[[Server], Prediction], reason: str
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
    answer: Callable[[Server], Prediction],
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
