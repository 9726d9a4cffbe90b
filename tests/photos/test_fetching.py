"""A data set in an object store: the same as the folder, fetched once."""

from __future__ import annotations

import json
import logging
import os
import shutil

import pytest

pytest.importorskip("pyarrow", reason="needs edgebee[archive]")

from edgebee.errors import DataError
from edgebee.photos import object_store
from edgebee.photos.dataset import load_dataset
from edgebee.photos.layout import walk_files
from edgebee.photos.object_store import fetch_photos
from edgebee.store import parse_address


@pytest.mark.parametrize("address", ["s3://bucket/a/../b", "s3://bucket/a//b", "gs://b/a/./c"])
def test_a_folder_whose_name_would_lead_elsewhere_is_refused(address):
    with pytest.raises(DataError, match="cannot be a folder here"):
        fetch_photos(address)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("ants/1.jpg", "ants/1.jpg"),
        ("ants/deep/é 1.JPG", "ants/deep/é 1.JPG"),
        ("ants/notes.txt", None),
        ("ants/.hidden/1.jpg", None),
        ("ants/../../1.jpg", None),
        ("ants//1.jpg", None),
        ("ants\\..\\1.jpg", None),
    ],
)
def test_objects_go_into_the_folder_or_nowhere(tmp_path, key, found):
    address = parse_address("s3://bucket/photos")
    listed = object_store.Listed(f"s3://bucket/photos/{key}", 1, 1)
    path = object_store._path_of(tmp_path, address, listed)
    assert path == (None if found is None else tmp_path / found)


@pytest.mark.slow
class TestStore:
    """With a real server; loading it takes seconds."""

    @pytest.fixture
    def filled(self, store, tmp_path, monkeypatch):
        """Some drawings of ants and bees below `drawings/`."""
        drawn = load_dataset("sample")
        for path, label in zip(drawn.train.paths, drawn.train.classes, strict=True):
            folder = tmp_path / "drawings" / drawn.labels[label]
            folder.mkdir(parents=True, exist_ok=True)
            if len(list(folder.iterdir())) < 6:
                shutil.copy(path, folder)
        monkeypatch.setenv("EDGEBEE_CACHE", str(tmp_path / "cache"))
        self.local = load_dataset(tmp_path / "drawings")
        for path in walk_files(self.local.root):
            store.put(f"drawings/{path.relative_to(self.local.root).as_posix()}", path.read_bytes())
        store.put("drawings/ants/notes.txt", b"no photo")
        return store

    def test_it_is_the_dataset_of_the_folder_and_is_fetched_once(self, filled, remarks):
        fetched = []
        for _ in range(2):
            dataset = load_dataset(filled.address("drawings"), progress=fetched.append)
            assert dataset.labels == self.local.labels
            assert (dataset.name, dataset.source) == ("drawings", "s3://cameras/drawings")
            for half in ("train", "validation"):
                ours, theirs = getattr(dataset, half), getattr(self.local, half)
                assert ours.classes == theirs.classes
                for one, other in zip(ours.paths, theirs.paths, strict=True):
                    assert one.relative_to(dataset.root) == other.relative_to(self.local.root)
                    assert one.read_bytes() == other.read_bytes()
        count = len(self.local.train) + len(self.local.validation)
        assert [one.done for one in fetched if one.task == "fetching photos"] == list(
            range(1, count + 1)
        )
        assert len([line for line in remarks if "fetching" in line]) == 1

    def test_what_has_changed_is_fetched_again_and_what_has_gone_goes(self, filled):
        dataset = load_dataset(filled.address("drawings"))
        first, second = dataset.train.paths[:2]
        os.truncate(first, 10)
        filled.filesystem.delete_file(f"cameras/drawings/{second.relative_to(dataset.root)}")
        again = load_dataset(filled.address("drawings"))
        assert second not in again.train.paths
        assert len(again.train) + len(again.validation) == (
            len(dataset.train) + len(dataset.validation) - 1
        )
        assert first.stat().st_size > 10

    def test_an_empty_folder_and_a_wrong_bucket_are_refused(self, filled):
        with pytest.raises(DataError, match=r"^s3://cameras/nothing: no photos there"):
            load_dataset(filled.address("nothing"))
        with pytest.raises(DataError, match=r"^s3://camels/drawings: no photos there; check the"):
            load_dataset(filled.address("drawings").replace("cameras/", "camels/"))

    def test_keys_are_nowhere_in_what_a_training_leaves(self, filled, edgebee_process, tmp_path):
        pytest.importorskip("tensorflow", reason="needs edgebee[train]")
        small = ["--epochs=1", "--fine-tune-epochs=0", "--image-size=96", "--augmentations=2"]
        output = tmp_path / "output"
        done = edgebee_process("train", filled.address("drawings"), *small, "--output", output)
        assert done.status == 0, done.err
        history = json.loads((output / "history.json").read_text("utf-8"))
        assert history["data"]["source"] == "s3://cameras/drawings"
        from object_store import PASSWORD, USER

        texts = [done.out, done.err, json.dumps(history)]
        assert not [text for text in texts if PASSWORD in text or USER in text]


@pytest.fixture(autouse=True)
def quiet_server():
    """The server logs each request."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
