"""A live camera, for years: frames at the pace that is wanted, and patience when it is lost."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import numpy.typing as npt

from edgebee.child_python import code_command
from edgebee.edge.classify import EdgebeeError
from edgebee.edge.station.frame_source import (
    CAMERA_VARIABLE,
    END,
    ERROR,
    HEAD,
    OPENED,
    is_film,
    mask_secrets,
)

__all__ = ["CameraError", "Frame", "read_frames"]

_log = logging.getLogger("edgebee.edge.station")

OPEN_TIMEOUT_S = 60.0  # a Pi Zero loads OpenCV in ten seconds; a stream may need as many again
FRAME_TIMEOUT_S = 15.0  # OpenCV gives a silent V4L2 camera ten seconds
# A library that lost its camera may never let go: the process ends without tidying up.
_CHILD = (
    "import os; from edgebee.edge.station.frame_source import main; os._exit(main(sys.argv[1:]))"
)
_RETRY_FIRST_S = 1.0
_RETRY_MOST_S = 30.0


class CameraError(EdgebeeError):
    """There is no camera that can be used."""


@dataclass(frozen=True)
class Frame:
    """One picture: `uint8 [H, W, 3]`, RGB, 0-255."""

    pixels: npt.NDArray[np.uint8]
    source: str
    when: str  # UTC, 2026-05-01T12:00:00.000Z; of a film the seconds into it, 12.000


class _LostError(Exception):
    """The camera is gone, for now."""


def read_frames(
    source: str, *, every_s: float, size: tuple[int, int] | None = None
) -> Iterator[Frame]:
    """Yield a fresh frame every so many seconds; of a film, until its end.

    A frame that is late, because classifying took longer, is followed by the next one at
    once; none are made up for. When a camera is lost, that is logged, and it is waited for.

    Args:
        source: "" for the first camera; a number, device, address of a stream, or film.
        every_s: seconds between frames, in a film those of the film; 0 for all there are.
        size: wanted width and height; a camera may choose near ones.

    Raises:
        CameraError: there is no camera to begin with.
    """
    if not hasattr(os, "readv"):
        raise CameraError("--camera needs Linux or macOS; on Windows, save frames to files instead")
    film = is_film(source)
    try:
        camera = _Process(source, every_s, size)
    except _LostError as error:
        raise CameraError(str(error)) from error
    while True:
        due = time.monotonic()
        with closing(camera):
            try:
                while True:
                    if not film:
                        time.sleep(max(due - time.monotonic(), 0))
                        due = max(due + every_s, time.monotonic())
                    frame = camera.read()
                    if frame is None:
                        return
                    yield frame
            except _LostError as error:
                lost = str(error)
        if film:
            raise CameraError(f"{mask_secrets(source)}: {lost}")
        _log.info("%s; waiting for the camera", lost)
        lost_at = time.monotonic()
        camera = _wait_for(source, every_s, size)
        _log.info("%s: back after %.0f s", camera.name, time.monotonic() - lost_at)


def _wait_for(source: str, every_s: float, size: tuple[int, int] | None) -> _Process:
    pause_s = _RETRY_FIRST_S
    while True:
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, _RETRY_MOST_S)
        try:
            return _Process(source, every_s, size)
        except _LostError:
            continue


class _Process:
    """The process that holds the camera (`frame_source`); raises _LostError when it does not."""

    def __init__(self, source: str, every_s: float, size: tuple[int, int] | None) -> None:
        command = code_command(_CHILD, str(every_s), *map(str, size or ()))
        self.name = self._label = mask_secrets(source) or "camera"
        self._film = is_film(source)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {CAMERA_VARIABLE: source},
            # Ctrl-C goes to all processes of a terminal's job; this one ends when told to.
            start_new_session=True,
        )
        try:
            kind, _, _, payload = self._receive(OPEN_TIMEOUT_S)
            if kind != OPENED:
                raise _LostError(payload.tobytes().decode())
        except BaseException:
            self.close()
            raise
        self.name = payload.tobytes().decode()

    def read(self) -> Frame | None:
        """The next frame; None at the end of a film."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what it said before it ended is still to be read
            os.write(self._process.stdin.fileno(), b"\n")
        kind, shape, at_s, payload = self._receive(FRAME_TIMEOUT_S)
        if kind == END:
            return None
        if kind == ERROR:
            raise _LostError(payload.tobytes().decode())
        when = f"{at_s:.3f}" if self._film else _now()
        return Frame(payload.reshape(*shape, 3), self._label, when)

    def close(self) -> None:
        """End the process, which may hang in a driver: it is not asked."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _receive(
        self, timeout_s: float
    ) -> tuple[bytes, tuple[int, int], float, npt.NDArray[np.uint8]]:
        head = self._read_bytes(HEAD.size, timeout_s)
        kind, height, width, at_s, length = HEAD.unpack(head.tobytes())
        return kind, (height, width), at_s, self._read_bytes(length, timeout_s)

    def _read_bytes(self, count: int, timeout_s: float) -> npt.NDArray[np.uint8]:
        assert self._process.stdout is not None
        if sys.platform == "win32":  # which waits for no pipe
            raise _LostError("--camera needs Linux or macOS")
        buffer = np.empty(count, np.uint8)
        view, filled = buffer.data, 0
        while filled < count:
            if not select.select([self._process.stdout], [], [], timeout_s)[0]:
                raise _LostError(f"{self.name}: silent for {timeout_s:.0f} s")
            got = os.readv(self._process.stdout.fileno(), [view[filled:]])
            if not got:
                raise _LostError(f"{self.name}: its library came to a sudden end")
            filled += got
        return buffer


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
