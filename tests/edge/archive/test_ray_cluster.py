"""An archive on a cluster: the same parts, bit for bit, whatever dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="needs edgebee[archive]")

import pyarrow as pa
import pyarrow.parquet as pq

import edgebee.edge
from edgebee.cluster import Cluster, connect
from edgebee.edge.archive.archive import classify_archive
from edgebee.edge.archive.classification import ArchiveModel, classify_entries
from edgebee.edge.archive.manifest import update_manifest
from edgebee.edge.archive.parts import PartStore, same_results
from edgebee.edge.archive.ray_cluster import (
    ModelFiles,
    SliceClassifier,
    _require_same_view,
    cut_slices,
)
from edgebee.edge.archive.sources import list_photos
from edgebee.errors import ClusterError, EdgebeeError, ModelError
from edgebee.store import PhotoReader

MODEL = Path(edgebee.edge.__file__).resolve().parent / "models" / "hymenoptera_int8.tflite"
PHOTOS, PART_SIZE = 400, 50


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Small photos of noise in a folder, one in fifty broken."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        path = folder / f"{number:04}.jpg"
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((96, 72)).save(path)
        if number % 50 == 7:
            path.write_bytes(path.read_bytes()[:200])
    return folder


@pytest.fixture(scope="module")
def on_one_machine(photos, tmp_path_factory) -> list[pa.Table]:
    folder = tmp_path_factory.mktemp("one")
    return parts_of(classify_archive(photos, folder, model=MODEL, part_size=PART_SIZE).folder)


def parts_of(folder: Path) -> list[pa.Table]:
    return [pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]


def assert_same(parts: list[pa.Table], others: list[pa.Table]) -> None:
    assert len(parts) == len(others) == PHOTOS // PART_SIZE
    assert all(same_results(one, other) for one, other in zip(parts, others, strict=True))


# ------------------------------------------------------------------ without a cluster


@pytest.fixture(scope="module")
def planned(photos, tmp_path_factory):
    """The plan of the second part, of which nothing is there."""
    folder = tmp_path_factory.mktemp("planned")
    listed = list_photos(str(photos), PhotoReader(str(photos)))
    manifest = update_manifest(folder, listed, part_size=PART_SIZE)
    return PartStore(folder).plan(1, manifest.entries(1))


@pytest.mark.parametrize("size", [1, 16, 49, 50, 51])
def test_slices_are_the_missing_photos_in_their_order(planned, size):
    slices = cut_slices(planned, size)
    assert [piece["start"][0].as_py() for piece in slices] == list(range(0, PART_SIZE, size))
    assert {piece["part"][0].as_py() for piece in slices} == {1}
    assert pa.concat_tables(slices).select(planned.missing.column_names).equals(planned.missing)


@pytest.mark.slow
def test_a_slice_gives_the_rows_that_the_part_has(photos, planned, on_one_machine):
    files = ModelFiles.read(ArchiveModel(MODEL), ArchiveModel(MODEL).load().labels, "0" * 64)
    classifier = SliceClassifier(files, PhotoReader(str(photos)))
    piece = cut_slices(planned, 16)[3]
    (content,) = classifier(piece)["rows"].to_pylist()
    rows = pa.ipc.open_stream(content).read_all()
    expected = on_one_machine[1].slice(48)
    without = ["model", "milliseconds"]
    assert rows.drop_columns(without).equals(expected.drop_columns(without))


def test_labels_beside_a_model_travel_with_it(tmp_path):
    model = tmp_path / "model.tflite"
    network, zip_begins, zipped = MODEL.read_bytes().partition(b"PK\x03\x04")
    # As other tools make them: without names inside.
    model.write_bytes(network + zip_begins + zipped.replace(b"labels.txt", b"legend.xyz"))
    (tmp_path / "model.txt").write_text("yes\nno\nperhaps\n", "utf-8")
    files = ModelFiles.read(ArchiveModel(model), ArchiveModel(model).load().labels, "0" * 64)
    for path in tmp_path.iterdir():
        path.unlink()
    assert files.load().labels == ("yes", "no", "perhaps")


def test_a_node_that_does_not_see_the_folder_is_an_error_not_rows(photos, tmp_path):
    classifier = ArchiveModel(MODEL).load()
    paths = [tmp_path / "later.jpg", tmp_path / "gone.jpg"]
    entries = pa.table(
        {
            "path": list(map(str, paths)),
            "size": pa.array([1, 1], pa.int64()),
            "modified": pa.array([0, 0], pa.timestamp("us", tz="UTC")),
        }
    )
    rows = classify_entries(classifier, entries, PhotoReader(), sha256="0" * 64)
    _require_same_view(Cluster("head:6379"), rows)  # they are not here either
    paths[0].write_bytes((photos / "0000.jpg").read_bytes())
    with pytest.raises(ClusterError, match=r"a node cannot open .*later\.jpg, which is on this"):
        _require_same_view(Cluster("head:6379"), rows)


def test_threads_and_a_cluster_are_refused_together(edgebee, tmp_path):
    done = edgebee("archive", tmp_path, "--out", tmp_path / "out", "--ray", "local", "--threads", 2)
    assert done.status == 2
    assert "--threads: with --ray, each processor takes one photo at a time" in done.err


# ------------------------------------------------------------------ real nodes


@pytest.mark.slow
def test_a_node_that_vanishes_costs_no_row(nodes, photos, tmp_path, on_one_machine, capfd):
    doomed, _ = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)
    seen = []

    def watch(progress) -> None:
        if progress.task == "classifying photos":
            seen.append(progress.done)
            if progress.done >= PHOTOS // 4 and nodes.worker_nodes == {doomed, _}:
                nodes.remove_node(doomed, allow_graceful=False)

    capfd.readouterr()
    with connect(nodes.address) as cluster:
        archive = classify_archive(
            photos, tmp_path, model=MODEL, part_size=PART_SIZE, cluster=cluster, progress=watch
        )
    assert len(nodes.worker_nodes) == 1
    assert (archive.classified, archive.failed) == (PHOTOS, PHOTOS // 50)
    assert_same(parts_of(archive.folder), on_one_machine)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""  # Ray prints nothing


@pytest.mark.slow
def test_a_driver_that_is_killed_goes_on_where_it_was(nodes, photos, tmp_path, on_one_machine):
    nodes.add_node(num_cpus=2)
    command = [sys.executable, "-m", "edgebee", "archive", str(photos), "--out", str(tmp_path)]
    command += ["--part-size", str(PART_SIZE), "--ray", nodes.address, "--model", str(MODEL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 100
        while not list(tmp_path.glob("*/part-*.parquet")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    left = len(list(tmp_path.glob("*/part-*.parquet")))
    assert 0 < left < PHOTOS // PART_SIZE
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1, again.stderr  # for the broken photos
    there = left * PART_SIZE
    lines = again.stderr.splitlines()
    assert f"{there} photos of {PHOTOS} are there already" in lines
    assert any(line.startswith(f"{PHOTOS - there} classified in ") for line in lines)
    assert len(lines) == 2, lines  # Ray prints nothing
    (folder,) = {path.parent for path in tmp_path.glob("*/part-*.parquet")}
    assert_same(parts_of(folder), on_one_machine)


@pytest.mark.slow
def test_a_model_that_a_node_cannot_load_ends_the_run_with_a_line(nodes, photos, planned):
    nodes.add_node(num_cpus=1)
    files = ModelFiles(ArchiveModel(MODEL), b"no model", (), "0" * 64, 25_000_000)
    with connect(nodes.address, stall_s=60) as cluster:
        arguments = (files, PhotoReader(str(photos)))
        with pytest.raises(EdgebeeError) as caught:
            list(cluster.map_tables(SliceClassifier, arguments, cut_slices(planned, 16)))
    assert isinstance(caught.value, (ModelError, ClusterError))
    assert "\n" not in str(caught.value)
    assert "hymenoptera_int8.tflite" in str(caught.value)
