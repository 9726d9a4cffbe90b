"""Serving a built page and opening it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, Page, find_chromium, running_chromium  # beside tests/conftest.py

READY_SECONDS = 30
"""Loading 10 MB of WebAssembly takes one; a busy machine more."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder while the block lasts."""
    from edgebee.edge.web.server import make_server

    with make_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def browser_with(*flags: str) -> Iterator[Chromium]:
    """A browser started with more flags."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with running_chromium(program, offline, *flags) as running:
        yield running


def wait_for(page: Page, script: str) -> Any:
    """The value of an expression as soon as it is one that counts."""
    until = time.monotonic() + READY_SECONDS
    while not (value := page.evaluate(script)):
        assert time.monotonic() < until, f"{script}: {page.evaluate('document.body.innerText')}"
        time.sleep(0.02)
    return value


SAID = """(() => {
  const notice = document.getElementById("notice"), test = document.getElementById("selftest")
  return notice.hidden ? test.dataset.state && test.textContent : notice.textContent
})()"""
"""What the page says when it has done its self-test, or cannot."""


def open_page(browser: Chromium, where: Path | str, width: int = 390) -> Page:
    """Open the page and wait until it has said how it is."""
    page = browser.open(where, width)
    wait_for(page, SAID)
    return page


def change_manifest(files: dict[str, bytes], change: Callable[[Any], None]) -> None:
    """Let `change` edit `edgebee.json`."""
    manifest = json.loads(files["edgebee.json"])
    change(manifest)
    files["edgebee.json"] = json.dumps(manifest).encode()


def relabel(files: dict[str, bytes], names: list[str]) -> None:
    """Give a model other label names."""
    files["labels.txt"] = "\n".join(names).encode()
    change_manifest(files, lambda manifest: manifest.update(labels=names))
