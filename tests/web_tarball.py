"""LiteRT.js for the tests of `edgebee web`: from the user's cache, else downloaded once a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CACHE = os.environ.get("EDGEBEE_CACHE")
"""The user's, when this is imported early enough: tests have one of their own."""


def find_tarball() -> Path:
    """The npm package; skips the test, with the reason, where it cannot be had."""
    pytest.importorskip("pooch", reason="needs edgebee[train]")
    import platformdirs

    from edgebee.edge.web.litert_js import URL, VARIABLE, load_litert_js
    from edgebee.errors import DownloadError
    from edgebee.photos.hymenoptera import user_cache

    if named := os.environ.get(VARIABLE):
        return Path(named)
    caches = (Path(CACHE) if CACHE else platformdirs.user_cache_path("edgebee"), user_cache())
    places = [cache / "litert_js" / URL.rpartition("/")[2] for cache in caches]
    if not any(place.is_file() for place in places):
        try:
            load_litert_js()
        except DownloadError as error:
            pytest.skip(f"LiteRT.js cannot be had: {error}")
    return next(place for place in places if place.is_file())
