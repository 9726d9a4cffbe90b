"""A camera or a film, read in a process of its own: frames go out on standard output.

Drivers hang. A camera that is unplugged can leave a read waiting for ever, inside a library
and out of Python's reach (picamera2 issues 1004 and 1065). A process can be killed, and
started again when the camera is back. `camera.py` does that; this is the process.

One byte on standard input asks for one frame. The answer is a head, `HEAD`, and its payload:
the frame's pixels, or a text. Between requests a live camera is read on, so that a frame is
never older than the request.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import importlib
import os
import re
import select
import signal
import struct
import sys
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from edgebee.edge.classify import PhotoError, decode_image, resize_image

__all__ = [
    "CAMERA_VARIABLE",
    "END",
    "ERROR",
    "FRAME",
    "HEAD",
    "OPENED",
    "SourceError",
    "is_film",
    "main",
    "mask_secrets",
    "open_source",
]

HEAD = struct.Struct("<cIIdQ")  # kind, height, width, seconds into a film, length of the payload
OPENED, FRAME, END, ERROR = b"O", b"F", b"E", b"X"

CAMERA_VARIABLE = "EDGEBEE_CAMERA"
"""Holds a camera's address, which may have a password in it: command lines are for all to see."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_DEVICES = Path("/dev")
_PAUSE_S = 0.002  # between two looks for a request, should a read not wait for the camera
_REQUEST_TIMEOUT_S = 10.0
_MAX_PICTURE_BYTES = 50_000_000
_PI_FORMAT = "BGR888"  # libcamera's name for bytes in the order R, G, B
_PI_SIZE = (1280, 960)  # 4:3, the sensors' shape, and enough for any model's input
_INSTALL = (
    "pip install opencv-python-headless, or, for a Raspberry Pi camera, "
    "sudo apt install python3-picamera2"
)
_INSTALL_BESIDE = "sudo apt install python3-opencv, for a camera that is not the Pi's own"


class SourceError(Exception):
    """No camera, or none any more; one line."""


class Source(Protocol):
    """What frames come from."""

    name: str

    def read(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        """A fresh frame, `uint8 [H, W, 3]` RGB, and its seconds into the film; None at its end."""

    def pass_time(self) -> None:
        """Called between requests; raises SourceError when the camera is gone."""


def mask_secrets(source: str) -> str:
    """An address without its password, for everything that is printed or stored."""
    # Up to the last @: a password may hold one, or a slash.
    masked = re.sub(r"(://[^/@:]*:).*@", r"\1***@", source)
    return re.sub(r"(?i)([?&](?:pass|passwd|password|pwd|token|key)=)[^&#]*", r"\1***", masked)


def is_film(source: str) -> bool:
    """True for a file of pictures that move, which has an end; a camera has none."""
    return Path(source).is_file()


def open_source(source: str, every_s: float, size: tuple[int, int] | None) -> Source:
    """Open a camera or a film.

    Args:
        source: "" for the first camera, a number, a device, a stream's address or a film.
        every_s: of a film, the seconds between frames; 0 for each frame.
        size: wanted width and height; a camera may choose near ones.

    Raises:
        SourceError: there is none, or no library to read it with.
    """
    if not source or re.fullmatch(r"\d+", source):
        camera = _open_picamera2(int(source or 0), size)
        if camera:
            return camera
    if source.lower().startswith(("http://", "https://")) and _gives_pictures(source):
        return _StillPictures(source)
    return _OpenCV(source or _first_device(), every_s, size)


def _first_device() -> str:
    """The lowest number there is: a camera that was put back may have another than 0."""
    # From 10 on a Pi has codecs and the like, which take pictures and give them back.
    return min((path.name[5:] for path in _DEVICES.glob("video[0-9]")), default="0")


class _OpenCV:
    def __init__(self, source: str, every_s: float, size: tuple[int, int] | None) -> None:
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
        try:
            self._cv2: Any = importlib.import_module("cv2")
        except ImportError as error:
            # Beside picamera2, Debian's: pip's brings a NumPy that picamera2 may not be made for.
            remedy = _INSTALL_BESIDE if "picamera2" in sys.modules else _INSTALL
            raise SourceError(f"no library to read a camera with: {remedy}") from error
        device = re.fullmatch(r"(?:/dev/video)?(\d+)", source)
        self.name = f"/dev/video{device[1]}" if device else mask_secrets(source)
        self._film, self._every_s = is_film(source), every_s
        self._due_s = 0.0
        self._capture = self._cv2.VideoCapture(int(device[1]) if device else source)
        if not self._capture.isOpened():
            raise SourceError(f"{self.name}: {_why_not(self.name, self._film, bool(device))}")
        if size:
            self._capture.set(self._cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(self._cv2.CAP_PROP_FRAME_HEIGHT, size[1])

    def read(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        at_s = 0.0
        while True:
            if not self._capture.grab():
                if self._film:
                    return None
                raise SourceError(f"{self.name}: gives no more pictures")
            if not self._film:
                break
            at_s = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
            if at_s >= self._due_s - 1e-6:
                self._due_s = at_s + self._every_s if self._every_s else 0.0
                break
        good, frame = self._capture.retrieve()
        if not good or frame is None:
            raise SourceError(f"{self.name}: gives damaged pictures")
        return self._cv2.cvtColor(frame, self._cv2.COLOR_BGR2RGB), at_s

    def pass_time(self) -> None:
        # Drivers keep a few frames: let the old ones go. A camera that was pulled out is let go
        # at once: while it is held, its number is taken, and put back it would get another one.
        if not self._film and not self._capture.grab():
            raise SourceError(f"{self.name}: gives no more pictures")


def _why_not(name: str, film: bool, device: bool) -> str:
    if film:
        return "not a film that OpenCV can read"
    if not device:
        return "nothing to see there; check the address"
    if Path(name).exists():
        return "cannot be opened; is another program using it, are you in the group `video`?"
    return "no camera; plug one in, or name another one: --camera /dev/video2"


def _open_address(address: str) -> Any:
    """The answer of an address, whose user and password go where the web expects them.

    Raises what urllib raises.
    """
    parts = urllib.parse.urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user = urllib.parse.unquote(parts.username)
        password = urllib.parse.unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        passwords.add_password(None, request.full_url, user, password)
    # Where a camera answers that it takes digests alone, it is asked again with one.
    opener = urllib.request.build_opener(urllib.request.HTTPDigestAuthHandler(passwords))
    return opener.open(request, timeout=_REQUEST_TIMEOUT_S)


def _gives_pictures(address: str) -> bool:
    """Whether an address answers each request with one picture, as many IP cameras do."""
    try:
        with _open_address(address) as answer:
            kind: str = answer.headers.get_content_type()
    except (OSError, ValueError, http.client.HTTPException):
        return False  # OpenCV may know better
    return kind.startswith("image/")


class _StillPictures:
    """An address that gives one picture a request."""

    def __init__(self, address: str) -> None:
        self.name, self._address = mask_secrets(address), address

    def read(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        try:
            with _open_address(self._address) as answer:
                content: bytes = answer.read(_MAX_PICTURE_BYTES)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise SourceError(f"{self.name}: gives no more pictures") from error
        try:
            decoded = decode_image(content, _PI_SIZE[::-1])
            size = round(decoded.height), round(decoded.width)
            return resize_image(decoded._replace(orientation=1), size), 0.0
        except PhotoError as error:
            raise SourceError(f"{self.name}: gives damaged pictures") from error

    def pass_time(self) -> None:
        """Nothing grows old here."""


class _NotOfThePiError(Exception):
    """libcamera lists USB cameras too, which give what they have: YUYV, MJPEG."""


class _Picamera2:
    def __init__(self, library: Any, number: int, size: tuple[int, int] | None) -> None:
        self.name = f"Pi camera {number}"
        try:
            self._camera = library.Picamera2(number)
            # Without a queue, a frame is one that was taken after it was asked for.
            main = {"size": size or _PI_SIZE, "format": _PI_FORMAT}
            self._camera.configure(self._camera.create_video_configuration(main, queue=False))
            given = self._camera.camera_configuration()["main"]["format"]
            if given != _PI_FORMAT:
                self._camera.close()
                raise _NotOfThePiError(given)
            self._camera.start()
        except (RuntimeError, OSError, IndexError) as error:
            reason = str(error).split("\n", 1)[0]
            raise SourceError(f"{self.name}: {reason}; is another program using it?") from error

    def read(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        return self._camera.capture_array("main"), 0.0

    def pass_time(self) -> None:
        """Nothing grows old here."""


def _open_picamera2(number: int, size: tuple[int, int] | None) -> _Picamera2 | None:
    """The Pi's own camera, if its library and as many cameras are there."""
    try:
        library = importlib.import_module("picamera2")
    except ImportError:
        return None
    except ValueError as error:  # a library of its own was built for another NumPy
        raise SourceError(
            f"picamera2 cannot be loaded with NumPy {np.__version__} ({error}); install the one "
            "that it was built for: pip install 'numpy<2'"
        ) from error
    if len(library.Picamera2.global_camera_info()) <= number:
        return None
    with contextlib.suppress(_NotOfThePiError):
        return _Picamera2(library, number, size)
    return None


def serve(source: Source, requests: int, answers: BinaryIO) -> None:
    """Answer each byte that can be read from descriptor `requests`, until it is closed."""
    while True:
        if not select.select([requests], [], [], 0)[0]:
            source.pass_time()  # takes as long as the camera's next frame
            select.select([requests], [], [], _PAUSE_S)
        elif not os.read(requests, 1):
            return
        else:
            taken = source.read()
            if taken is None:
                _send(answers, END)
                return
            frame, at_s = taken
            pixels = np.ascontiguousarray(frame)
            _send(answers, FRAME, pixels.data.cast("B"), frame.shape[:2], at_s)


def _send(
    answers: BinaryIO,
    kind: bytes,
    payload: bytes | memoryview = b"",
    shape: tuple[int, ...] = (0, 0),
    at_s: float = 0.0,
) -> None:
    answers.write(HEAD.pack(kind, *shape, at_s, len(payload)))
    answers.write(payload)
    answers.flush()


def main(argv: Sequence[str]) -> int:
    """`EVERY_SECONDS [WIDTH HEIGHT]`; what libraries print goes nowhere.

    The camera or film is in the environment, see `CAMERA_VARIABLE`.

    Returns the exit status.
    """
    source, (every_s, *size) = os.environ[CAMERA_VARIABLE], argv
    # Should edgebee be killed while a driver hangs here, let go of the camera.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not os.environ.get("EDGEBEE_DEBUG"):
        os.dup2(1, 2)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):  # nobody is interested any more
        try:
            width_height = (int(size[0]), int(size[1])) if size else None
            opened = open_source(source, float(every_s), width_height)
            _send(answers, OPENED, opened.name.encode())
            serve(opened, 0, answers)
        except SourceError as error:
            _send(answers, ERROR, str(error).encode())
            return 1
    return 0
