"""The default data set: found where it should be, fetched whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from zip_server import Server, files_below, unpack_by_hand

from edgebee.photos.hymenoptera import PLACEHOLDER, find_hymenoptera

pytestmark = pytest.mark.usefixtures("cache")

REAL_DATA = os.environ.get("EDGEBEE_DATA") and Path(os.environ["EDGEBEE_DATA"]).resolve()


# ------------------------------------------------------------------- EDGEBEE_DATA


@pytest.mark.parametrize("named", ["photos", "photos/hymenoptera_data", "renamed"])
@pytest.mark.parametrize("relative", [False, True])
def test_the_folder_that_edgebee_data_names_wins(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, relative: bool
) -> None:
    unpack_by_hand(tmp_path / "cache" / "edgebee")
    own = unpack_by_hand(tmp_path / "photos")
    if named == "renamed":
        own = own.rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBEE_DATA", named if relative else str(tmp_path / named))

    assert find_hymenoptera(server.archive()) == own
    assert server.requests == []


def test_the_placeholder_may_be_missing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = unpack_by_hand(tmp_path)
    (own / PLACEHOLDER).unlink()
    monkeypatch.setenv("EDGEBEE_DATA", str(tmp_path))
    assert find_hymenoptera(server.archive()) == own


def test_edgebee_data_without_hymenoptera_is_said_and_passed_over(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remarks: list[str]
) -> None:
    monkeypatch.setenv("EDGEBEE_DATA", str(tmp_path / "elsewhere"))
    assert find_hymenoptera(server.archive()) == cache / "hymenoptera_data"
    (line,) = remarks
    assert line.startswith(f"EDGEBEE_DATA={tmp_path / 'elsewhere'} holds no hymenoptera_data")


# -------------------------------------------------------------------- the real photos


@pytest.mark.hymenoptera
def test_the_real_photos_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL_DATA:
        pytest.skip("EDGEBEE_DATA names no folder with hymenoptera_data")
    monkeypatch.setenv("EDGEBEE_DATA", str(REAL_DATA))
    folder = find_hymenoptera()

    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  ./{name}\n"
        for name in sorted(files_below(folder))
    ]
    assert len(lines) == 398
    # What `find . -type f | sort | xargs -d '\n' sha256sum | sha256sum` says, C locale, of the
    # unpacked archive whose own hash is in HYMENOPTERA.
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == DIGEST_OF_ALL_FILES


DIGEST_OF_ALL_FILES = "01139606c5c3087d7df4094de3866bc534d26a9ce09ce3f0e90d007ec225e6cc"
