"""A headless Chromium that says all that a page did, spoken to over two pipes.

The protocol is Chrome's DevTools protocol, in which each message is JSON and ends with a zero
byte when the browser is started with `--remote-debugging-pipe`: no port, no further package.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 60
"""A busy machine starts a browser in some seconds; more means that it hangs."""


def find_chromium() -> str | None:
    """The browser's program; None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@dataclass
class Page:
    """A page that was loaded, and what it did on the way."""

    browser: Chromium
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, without the page's own."""
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, exceptions, refused content."""

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; of a promise, what it brings."""
        answer = self.browser.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG file."""
        size = self.browser.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        answer = self.browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))


class Chromium:
    """A running browser with one tab."""

    def __init__(self, program: str, folder: str, *flags: str) -> None:
        from_us, to_us = os.pipe(), os.pipe()
        # Above 4, so that neither is in the way of the other on its way to 3 and 4.
        reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (from_us[0], to_us[1]))
        os.close(from_us[0])
        os.close(to_us[1])
        all_flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={folder}", "--remote-debugging-pipe", *flags,
        ]  # fmt: skip
        # The browser reads its descriptor 3 and writes its descriptor 4.
        start = (
            "import os, sys; os.dup2({}, 3); os.dup2({}, 4); os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", start.format(reads, writes), program, *all_flags],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self._to, self._from = from_us[1], to_us[0]
        os.set_blocking(self._from, False)
        self._rest, self._number, self._tab = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._tab = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Ask the browser for something and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._tab:
            message["sessionId"] = self._tab
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        """The next message."""
        until = time.monotonic() + ANSWER_SECONDS
        while b"\0" not in self._rest:
            with contextlib.suppress(BlockingIOError):
                self._rest += os.read(self._from, 1 << 20)
                continue
            assert time.monotonic() < until, "Chromium does not answer"
            time.sleep(0.01)
        message, self._rest = self._rest.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, path: Path | str, width: int, scheme: str = "light", density: float = 1) -> Page:
        """Load a file or an address in a window so many pixels wide, and wait until it is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=density, mobile=width < 600)  # fmt: skip
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.events.clear()
        address = path if isinstance(path, str) else path.resolve().as_uri()
        self.call("Page.navigate", url=address)
        until = time.monotonic() + ANSWER_SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < until, f"{address} was not loaded"
            self.events.append(self._read())
        # Pictures far below are only decoded when they come into view.
        self.call("Runtime.evaluate", awaitPromise=True, expression=_SHOW_ALL_PICTURES)
        return _page(self, address)

    def close(self) -> None:
        """End the browser and wait for its end."""
        self._tab = ""
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        self.process.wait(timeout=ANSWER_SECONDS)
        os.close(self._to)
        os.close(self._from)


_SHOW_ALL_PICTURES = """Promise.all([...document.images].map(picture => {
  picture.loading = "eager"; return picture.decode().catch(() => null) }))"""


def _page(browser: Chromium, address: str) -> Page:
    """Sort the browser's events into what the page asked for and what it complained of."""
    page = Page(browser)
    for event in browser.events:
        method, params = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            page.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            page.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            page.complaints.append(params["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled":
            page.complaints.append(str(params["args"]))
    page.requests.remove(address)
    return page


@contextlib.contextmanager
def running_chromium(program: str, *flags: str) -> Iterator[Chromium]:
    """A browser with a profile of its own, which goes with it; `flags` are its command line's."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Chromium(program, folder, *flags)
        try:
            yield browser
        finally:
            browser.close()
