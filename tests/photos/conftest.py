"""What the tests share: the server of a zip, an empty cache, photos with nothing wrong."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checked import PER_CLASS
from zip_server import Server

from edgebee.photos.sample import LABELS, draw_photo


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
    monkeypatch.setenv("EDGEBEE_CACHE", str(tmp_path / "cache" / "edgebee"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("EDGEBEE_DATA", raising=False)
    return tmp_path / "cache" / "edgebee"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A data set with nothing wrong: 4 photos of each class on each side."""
    root = tmp_path_factory.mktemp("clean")
    for split_index, split in enumerate(("train", "val")):
        for class_index, label in enumerate(LABELS):
            (root / split / label).mkdir(parents=True)
            for index in range(PER_CLASS):
                rng = np.random.default_rng([8, split_index, class_index, index])
                draw_photo(label, rng).save(root / split / label / f"{index}.jpg", quality=90)
    return root


@pytest.fixture
def clean(drawn, tmp_path) -> Path:
    return shutil.copytree(drawn, tmp_path / "data")
