"""A web server that sends a zip of photos, or lies about it, and what the zip holds."""

from __future__ import annotations

import hashlib
import io
import socket
import struct
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

from edgebee.photos.hymenoptera import PLACEHOLDER, Archive

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


def send(body: bytes, length: int | None = None, header: str | None = None) -> Answer:
    """Answer with `body`; `header` takes the place of its length."""
    head = (
        f"Content-Length: {len(body) if length is None else length}" if header is None else header
    )

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if head:
            request.send_header(*head.split(": "))
        request.end_headers()
        request.wfile.write(body)

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


class Server:
    """A web server in a thread, which answers every request with `answer`."""

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

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                pass  # connections that the test or edgebee has closed

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hymenoptera_data.zip"

    def archive(self, body: bytes = BODY) -> Archive:
        """What is at this server, if `body` is."""
        return Archive(self.url, len(body), hashlib.sha256(body).hexdigest())


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def unpack_by_hand(folder: Path) -> Path:
    for name, content in contents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "hymenoptera_data"


def assert_names_the_ways_on(error: Exception, what: str, reason: str) -> None:
    message = str(error)
    assert "\n" not in message
    assert message.startswith(f"{what}: ")
    assert reason in message
    assert "--data DIR" in message
    assert "--data sample" in message
    assert "EDGEBEE_DATA" in message
    # Brief: the address, a reason and the ways on, not a library's whole chain of objects.
    assert len(message) < 350
    assert "object at 0x" not in message
