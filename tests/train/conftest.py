"""The server of a zip, and an empty cache, for the tests of the download and of data sets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from zip_server import Server


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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("EDGEBEE_DATA", raising=False)
    return tmp_path / "cache" / "edgebee"
