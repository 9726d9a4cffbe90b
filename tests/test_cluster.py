"""A cluster: the same results wherever they are computed, and one line when it does not work."""

from __future__ import annotations

import importlib.metadata
import operator
import shutil
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgebee import cluster as cluster_module
from edgebee.cluster import connect
from edgebee.edge.classify import read_photo
from edgebee.errors import ClusterError, PhotoError


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def test_an_address_where_nothing_answers_is_refused_at_once():
    pytest.importorskip("ray", reason="needs edgebee[ray]")
    started = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"nothing answers there .* ray start --head"),
        connect(f"127.0.0.1:{free_port()}"),
    ):
        pass
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("address", ["here", "localhost:", "head:port", ""])
def test_what_is_no_address_is_refused(address):
    pytest.importorskip("ray", reason="needs edgebee[ray]")
    with pytest.raises(ClusterError, match="not an address; give HOST:PORT"), connect(address):
        pass


def test_without_ray_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'edgebee\[ray\]'"), connect("local"):
        pass


def test_another_version_of_ray_is_named_with_the_remedy():
    text = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n    Python: 3.11.2\n"
        "This process on node 10.0.0.7 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    error = cluster_module._refusal("head:6379", RuntimeError(text))
    assert str(error) == (
        "--ray head:6379: the cluster runs Ray 2.40.0 on Python 3.11.2, this machine Ray 2.60.0 on "
        "Python 3.11.7; make them the same: pip install ray==2.40.0"
    )


# ------------------------------------------------------------------ real nodes


@pytest.mark.slow
def test_what_a_node_had_to_do_is_done_by_another_when_it_vanishes(nodes):
    doomed, _ = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)
    found = {}
    with connect(nodes.address) as cluster:
        assert cluster.processors == 2
        for number, result in cluster.map(np.full, 3, [number / 7 for number in range(3000)]):
            found[number] = result
            if len(found) == 300:
                nodes.remove_node(doomed, allow_graceful=False)
    assert sorted(found) == list(range(3000))
    for number, result in found.items():
        np.testing.assert_array_equal(result, np.full(3, number / 7))


@pytest.mark.slow
def test_a_cluster_without_a_free_processor_says_so(nodes):
    import ray

    with connect(nodes.address, stall_s=3) as cluster:
        with pytest.raises(ClusterError, match="the cluster has no processor; start a node"):
            next(cluster.map(np.full, 3, [0]))
        nodes.add_node(num_cpus=1)
        holder = ray.remote(num_cpus=1)(type("Holder", (), {"wait": lambda self: 1})).remote()
        assert ray.get(holder.wait.remote()) == 1
        with pytest.raises(ClusterError, match="no result for 3 s; the cluster's 1 processors"):
            next(cluster.map(np.full, 3, [0]))


@pytest.mark.slow
def test_errors_of_calls_come_as_they_are_or_in_one_line(nodes):
    nodes.add_node(num_cpus=1)
    with connect(nodes.address) as cluster:
        with pytest.raises(PhotoError, match=r"^missing.jpg: unreadable \(No such file"):
            list(cluster.map(read_photo, "missing.jpg", [(8, 8)]))
        with pytest.raises(ClusterError, match=r": a node failed \(division by zero\)$"):
            list(cluster.map(operator.truediv, 1, [0]))


@pytest.mark.slow
def test_a_cluster_of_another_version_is_refused_in_one_line(nodes, monkeypatch):
    import ray

    monkeypatch.setattr(ray, "__version__", "2.9.3")
    version = importlib.metadata.version("ray")
    with (
        pytest.raises(ClusterError, match=rf"runs Ray {version} .* pip install ray=={version}$"),
        connect(nodes.address),
    ):
        pass


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """Some of the sample: enough for a training with everything in it."""
    from edgebee.photos.dataset import load_dataset

    folder = tmp_path_factory.mktemp("drawings")
    whole = load_dataset("sample").train
    for path in [*whole.paths[:20], *whole.paths[-20:]]:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    return folder


@pytest.mark.slow
def test_features_are_the_same_bits_with_two_nodes_of_which_one_vanishes(nodes, drawings, tmp_path):
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    from edgebee.photos.dataset import load_dataset
    from edgebee.train.backbone import build_backbone, cut_below
    from edgebee.train.extraction import extract_dataset
    from edgebee.train.features import freeze_base
    from edgebee.train.photo_features import run_here, run_on
    from edgebee.train.recipe import Recipe

    dataset = load_dataset(drawings)
    recipe = Recipe(image_size=96, augmentations=8, weights="none")
    backbone = build_backbone(96, 1.0, "none")
    base = freeze_base(backbone, cut_below(backbone, 100))
    doomed, _ = nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)
    seen = 0

    def count(progress: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 8:
            nodes.remove_node(doomed, allow_graceful=False)

    here = extract_dataset(base, dataset, recipe, tmp_path, lambda progress: None, run_here)
    with connect(nodes.address) as cluster:
        there = extract_dataset(base, dataset, recipe, tmp_path, count, run_on(cluster))
    assert seen == len(dataset.train) + len(dataset.validation)
    for one, other in zip(here[:2], there[:2], strict=True):
        rows = range(len(one.pooled))
        np.testing.assert_array_equal(one.boundary.take(rows), other.boundary.take(rows))
        np.testing.assert_array_equal(one.pooled.take(rows), other.pooled.take(rows))
        np.testing.assert_array_equal(one.uncorrupted, other.uncorrupted)
    one, other = here[0].backgrounds, there[0].backgrounds
    np.testing.assert_array_equal(one.images.pooled, other.images.pooled)
    # What is kept is no view into the store of the cluster, which would keep all that came with it.
    assert all(signature.coarse.flags.owndata for signature in there[0].signatures)


@pytest.mark.slow
def test_training_with_ray_gives_the_same_weights_and_prints_nothing_of_ray(
    edgebee_process, drawings, tmp_path
):
    keras = pytest.importorskip("keras", reason="needs edgebee[train]")
    pytest.importorskip("ray", reason="needs edgebee[ray]")
    small = ["--epochs=1", "--fine-tune-epochs=1", "--image-size=96", "--augmentations=2"]
    weights, lines = [], []
    for name, where in (("here", []), ("there", ["--ray", "local"])):
        done = edgebee_process("train", drawings, *small, *where, "--output", tmp_path / name)
        assert done.status == 0, done.err
        lines.append((done.out + done.err).replace(name, "NAME"))
        model = keras.models.load_model(tmp_path / name / "model.keras", compile=False)
        weights.append(model.get_weights())
    assert lines[0] == lines[1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
