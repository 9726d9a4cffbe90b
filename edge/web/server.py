"""Serve a page to browsers of this machine."""

from __future__ import annotations

import errno
import functools
import http.server
from pathlib import Path

from edgebee.errors import EdgebeeError

__all__ = ["make_server"]

HOST = "127.0.0.1"
"""This machine alone; browsers give the camera to its own address without encryption."""


_TYPES = {
    "": "application/octet-stream",
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
"""Of files by their ends; the system's own table may say anything."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files with the types that browsers insist on, and no line for each."""

    extensions_map = _TYPES

    def end_headers(self) -> None:
        """Ask browsers to look for a newer file each time."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


def make_server(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of `folder` that `serve_forever` starts; its address is `server_address`.

    Args:
        folder: what to serve.
        port: 0 takes one that is free.

    Raises:
        EdgebeeError: the port cannot be had.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "taken" if taken else f"refused ({error.strerror or error})"
        raise EdgebeeError(
            f"port {port} of {HOST} is {reason}; choose another: --serve {port + 1}"
        ) from error
