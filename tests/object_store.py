"""A real object store on this machine: moto's server, which speaks as Amazon's S3."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow.fs
import pytest

__all__ = ["PASSWORD", "USER", "Store", "started_store"]

USER, PASSWORD = "AKIAEDGEBEETESTUSER7", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@dataclass
class Store:
    """A server with a bucket `cameras`."""

    port: int
    filesystem: Any

    def address(self, key: str = "", *, keys: str = f"{USER}:{PASSWORD}@") -> str:
        """Of a folder in the bucket, with keys and the server in it."""
        options = f"?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=eu-central-1"
        return f"s3://{keys}cameras/{key}{options}"

    def put(self, key: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(f"cameras/{key}") as stream:
            stream.write(content)

    def let_nobody_in(self) -> None:
        """From now on keys are looked at, and no user exists."""
        self._order("reset-auth", "0")

    def let_everybody_in(self) -> None:
        """As at the beginning."""
        self._order("reset-auth", "inf")

    def forget(self) -> None:
        """Buckets of the tests before."""
        self._order("reset", "")

    def _order(self, name: str, value: str) -> None:
        url = f"http://127.0.0.1:{self.port}/moto-api/{name}"
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(url, value.encode(), plain, method="POST")
        urllib.request.urlopen(request).close()


@contextmanager
def started_store() -> Iterator[Store]:
    """A server that runs while the block lasts."""
    server_module = pytest.importorskip("moto.server", reason="needs edgebee[test]")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    filesystem = pyarrow.fs.S3FileSystem(
        access_key="setup",
        secret_key="setup",
        endpoint_override=f"127.0.0.1:{port}",
        scheme="http",
        region="eu-central-1",
        allow_bucket_creation=True,
    )
    store = Store(port, filesystem)
    store.let_everybody_in()
    store.forget()
    filesystem.create_dir("cameras")
    try:
        yield store
    finally:
        server.stop()
