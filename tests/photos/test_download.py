"""The download: whole or not at all, whatever the network does."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from zip_server import (
    BODY,
    TIMEOUT_S,
    Answer,
    Server,
    assert_names_the_ways_on,
    contents,
    files_below,
    raw,
    redirect_to,
    reset_after,
    send,
    zipped,
)

from edgebee.errors import DownloadError
from edgebee.photos.hymenoptera import PLACEHOLDER, Archive, find_hymenoptera
from edgebee.progress import Progress

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


def test_two_that_download_at_once_download_once(
    server: Server, cache: Path, remarks: list[str]
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
    while f"{cache}: another edgebee is working there; waiting" not in remarks:
        time.sleep(0.01)
    may_answer.set()
    first.join()
    second.join()
    assert found == [cache / "hymenoptera_data"] * 2
    assert list(cache.iterdir()) == found[:1]
    assert len(server.requests) == 1


def test_progress_counts_megabytes(server: Server) -> None:
    body = zipped(lambda packed: packed.writestr("noise", os.urandom(3_000_000)))
    server.answer = send(body)
    reported: list[Progress] = []
    find_hymenoptera(server.archive(body), progress=reported.append)
    total = round(len(body) / 1e6, 1)
    assert {(one.task, one.total, one.unit) for one in reported} == {
        ("downloading hymenoptera_data.zip", total, "MB")
    }
    done = [one.done for one in reported]
    assert done == sorted(done)
    assert done[-1] == total


def test_the_library_prints_nothing(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
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
    ("answer", "reason", "tries"),
    [
        pytest.param(
            lambda s: lambda r: r.send_error(404), "HTTP status 404 Not Found", 3, id="404"
        ),
        pytest.param(lambda s: lambda r: r.send_error(503), "HTTP status 503", 3, id="503"),
        pytest.param(stall_at_once, "no answer for 0.5 s", 3, id="silent"),
        pytest.param(stall_halfway, "no answer for 0.5 s", 3, id="falls silent"),
        pytest.param(lambda s: raw(b""), "no connection to the server", 3, id="hangs up"),
        pytest.param(
            lambda s: send(BODY[:-100], len(BODY)), "the connection ended early", 3, id="cut off"
        ),
        pytest.param(
            lambda s: reset_after(BODY[:-100]), "the connection ended early", 3, id="reset"
        ),
        pytest.param(lambda s: send(BODY[:-1]), "its SHA-256 is not the known one", 3, id="short"),
        pytest.param(
            lambda s: send(BODY[:-1] + b"x"), "its SHA-256 is not the known one", 3, id="other"
        ),
        pytest.param(
            lambda s: send(BODY + bytes(100_000)), "longer than it should be", 1, id="longer"
        ),
        pytest.param(
            lambda s: send(b"\n<html>Log in</html>", None, "Content-Type: text/html"),
            "does this network need a login?",
            1,
            id="login page",
        ),
        pytest.param(
            lambda s: redirect_to("/login?next=zip", send(b"<!DOCTYPE html>")),
            "does this network need a login?",
            1,
            id="redirect to a login page",
        ),
        pytest.param(
            lambda s: redirect_to("/again"), "no sensible answer: TooManyRedirects", 3, id="circles"
        ),
        pytest.param(
            lambda s: redirect_to("file:///etc/passwd"), "no sensible answer", 3, id="to a file"
        ),
        pytest.param(
            lambda s: raw(b"SSH-2.0-OpenSSH\r\n"), "no connection to the server", 3, id="not HTTP"
        ),
    ],
)
def test_what_cannot_be_downloaded_is_said_in_one_line_and_not_kept(
    server: Server,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[Server], Answer],
    reason: str,
    tries: int,
) -> None:
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    server.answer = answer(server)
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(server.archive(), timeout_s=TIMEOUT_S)
    assert_names_the_ways_on(caught.value, server.url, reason)
    assert list(cache.iterdir()) == []
    assert server.requests.count("/hymenoptera_data.zip") == tries


def test_a_connection_that_breaks_once_is_no_matter(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)

    def answer(request: BaseHTTPRequestHandler) -> None:
        send(BODY if len(server.requests) > 1 else BODY[:100], len(BODY))(request)

    server.answer = answer
    assert find_hymenoptera(server.archive()).is_dir()
    assert len(server.requests) == 2


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
def test_a_server_that_is_not_there(
    host: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    url = f"http://{host}:{port}/hymenoptera_data.zip"
    with pytest.raises(DownloadError) as caught:
        find_hymenoptera(Archive(url), timeout_s=5)
    assert_names_the_ways_on(caught.value, url, "no connection to the server")
    assert list(cache.iterdir()) == []


def test_ctrl_c_leaves_nothing(server: Server, cache: Path) -> None:
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
