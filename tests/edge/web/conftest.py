"""A page of the model that ships, served, and a browser without a network to look at it.

The tests need Chromium (`apt-get install chromium`), and LiteRT.js, which is looked for in the
user's cache and else downloaded.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import Chromium  # beside tests/conftest.py
from web_pages import browser_with, served  # beside this file
from web_tarball import find_tarball  # beside tests/conftest.py


@pytest.fixture(scope="session")
def litert_js() -> Path:
    """The tarball of LiteRT.js."""
    return find_tarball()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, litert_js: Path, model: Path) -> Path:
    """A built page; do not write in it."""
    from edgebee.edge.web.page import build_page

    folder = tmp_path_factory.mktemp("web") / "site"
    build_page([model], folder, runtime=litert_js)
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the page is served."""
    with served(site) as where:
        yield where


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    """A browser that reaches this machine alone."""
    with browser_with() as running:
        yield running


@pytest.fixture(scope="session")
def repacked(model: Path) -> Callable[..., Path]:
    """Writes the model that ships with other files packed into it."""

    def write(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
        content = model.read_bytes()
        with zipfile.ZipFile(model) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        change(files)
        path.write_bytes(content[: content.index(b"PK\x03\x04")])
        with zipfile.ZipFile(path, "a") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path

    return write
