"""What a model file says of itself is read from any file, and nothing in it is trusted."""

import hashlib
import io
import json
import os
import struct
import zipfile

import pytest

pytest.importorskip("edgebee", reason="the lone runner reads labels and manifest alone")
import classify

from edgebee.edge.tflite.appended_zip import MAX_MEMBER_BYTES
from edgebee.edge.tflite.flatbuffer import read_root
from edgebee.edge.tflite.model_file import parse_model_file, read_model_file
from edgebee.manifest import Manifest, ScoreSettings

NAMES = ("ants", "bees", "neither")
LABELS = "".join(f"{name}\n" for name in NAMES).encode()


@pytest.fixture(scope="module")
def network(model):
    """The model that ships, without the zip behind it."""
    content = model.read_bytes()
    return content[: content.index(b"PK\x03\x04", len(content) - 100_000)]


def packed(network: bytes, **files: bytes | str) -> bytes:
    """A model with a zip of `files` behind it; `_` in a name stands for its dot."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return network + stream.getvalue()


def read(content: bytes):
    return parse_model_file(content, "bee.tflite")


def test_the_model_that_ships(model):
    file = read_model_file(model)
    assert file.size_bytes == model.stat().st_size
    assert file.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    (pixels,), (scores,) = file.inputs, file.outputs
    assert (pixels.shape, pixels.dtype) == ((1, 224, 224, 3), "uint8")
    assert (pixels.scale, pixels.zero_point) == (1.0, 0)
    assert (scores.shape, scores.dtype) == ((1, len(NAMES)), "uint8")
    assert scores.scale == 1 / 256
    assert file.labels == NAMES == classify.read_labels(model)
    assert file.metadata.colour == "RGB"
    assert (file.metadata.mean, file.metadata.std) == ((0.0,), (1.0,))
    assert file.metadata.label_files == ("labels.txt",)
    assert file.problems == ()


def test_it_says_what_the_runtime_says(model):
    file, interpreter = read_model_file(model), classify.make_interpreter(model)
    for own, theirs in (
        (file.inputs[0], interpreter.get_input_details()[0]),
        (file.outputs[0], interpreter.get_output_details()[0]),
    ):
        assert own.name == theirs["name"]
        assert own.shape == tuple(theirs["shape"].tolist())
        assert own.dtype == theirs["dtype"].__name__
        assert (own.scale, own.zero_point) == pytest.approx(theirs["quantization"])


def test_operators_are_counted_and_have_their_versions(model):
    operators = {op.name: op for op in read_model_file(model).operators}
    assert operators["CONV_2D"].count == 35  # MobileNetV2 has that many
    assert operators["DEPTHWISE_CONV_2D"].count == 17
    assert all(op.version >= 1 for op in operators.values())


def test_a_foreign_model_has_no_labels_and_no_problems(foreign_model):
    content = foreign_model.read_bytes().replace(b"TFLITE_METADATA", b"ANOTHERS_METADA")
    file = read(content)
    assert (file.labels, file.manifest, file.members, file.metadata) == ((), None, {}, None)
    assert file.problems == ()


def test_labels_that_are_named_but_missing_are_a_problem(network):
    (problem,) = read(network).problems
    assert "labels.txt" in problem


def test_labels_of_another_model_are_a_problem(network):
    (problem,) = read(packed(network, labels_txt=LABELS + b"wasps\n")).problems
    assert "4 label names for 3 scores" in problem


def test_labels_come_from_the_manifest_where_there_is_no_file(network):
    content = network.replace(b"labels.txt", b"nothing.at")
    file = read(packed(content, edgebee_json=json.dumps({"labels": NAMES})))
    assert file.labels == NAMES


def test_the_manifest_is_typed(network):
    manifest = {"scores": {"temperature": 0.7, "threshold": None}, "new": ["é", 1.5]}
    file = read(packed(network, labels_txt=LABELS, edgebee_json=json.dumps(manifest)))
    assert file.problems == ()
    assert file.manifest == Manifest(scores=ScoreSettings(0.7, None))
    assert file.members == {"labels.txt": len(LABELS), "edgebee.json": len(json.dumps(manifest))}


def test_the_manifest_of_a_newer_edgebee_is_refused(network):
    file = read(packed(network, labels_txt=LABELS, edgebee_json=b'{"format_version": 7}'))
    assert file.manifest is None
    (problem,) = file.problems
    assert "format version 7" in problem
    assert "update edgebee" in problem


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff\xfe", b"null", b"[" * 100_000], ids=range(5))
def test_a_damaged_manifest_is_a_problem_and_the_rest_is_read(network, text):
    file = read(packed(network, labels_txt=LABELS, edgebee_json=text))
    assert file.manifest is None
    (problem,) = file.problems
    assert "edgebee.json" in problem
    assert file.labels == NAMES


def test_weights_that_changed_are_found_by_the_recorded_hash(model, network):
    whole = model.read_bytes()  # as `edgebee convert` packs it
    assert read(whole).problems == ()
    buffers = read_root(network)["buffers"]
    start, length = max((buffer.span("data") for buffer in buffers), key=lambda span: span[1])
    changed = bytearray(whole)
    changed[start + length // 2] ^= 1
    (problem,) = read(bytes(changed)).problems
    assert "SHA-256" in problem


@pytest.mark.parametrize("network_record", [7, "a", [1], {"sha256": "0"}, {"bytes": "all"}])
def test_a_record_of_the_network_of_another_type_is_a_problem(network, network_record):
    manifest = json.dumps({"network": network_record})
    (problem,) = read(packed(network, labels_txt=LABELS, edgebee_json=manifest)).problems
    assert "edgebee.json in it is damaged (network" in problem


def test_a_bomb_in_the_zip_is_not_unpacked(network):
    bomb = b"\0" * (MAX_MEMBER_BYTES * 5)
    content = packed(network, labels_txt=LABELS, edgebee_json=bomb)
    assert len(content) < len(network) + 100_000
    (problem,) = read(content).problems
    assert "longer than" in problem


def test_a_size_that_the_zip_lies_about_is_a_problem(network):
    content = bytearray(packed(network, labels_txt=LABELS, edgebee_json=b"{}" + b" " * 999))
    entry = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, 2**31 - 1)  # unpacked size, central directory
    file = read(bytes(content))
    assert file.labels == NAMES


@pytest.mark.parametrize("name", ["../../etc/cron.d/bee", "/root/.ssh/keys", "a\x1b[31m\nb"])
def test_names_in_the_zip_are_shown_and_never_used(network, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = read(packed(network, labels_txt=LABELS, **{name: b"x"}))
    assert len(file.members) == 2
    assert not any("\x1b" in shown or "\n" in shown for shown in file.members)
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_zip_is_a_problem(network):
    whole = packed(network, labels_txt=LABELS, edgebee_json=b"{}")
    (problem,) = read(whole[:-30]).problems
    assert "cut short" in problem


def test_damaged_metadata_are_a_problem(network):
    start = network.index(b"M001") - 4
    content = network[:start] + struct.pack("<I", 2**31) + network[start + 4 :]
    file = read(packed(content, labels_txt=LABELS))
    assert file.metadata is None
    assert file.labels == NAMES
    (problem,) = file.problems
    assert "metadata" in problem


def test_what_cannot_be_read_is_a_model_error(tmp_path):
    with pytest.raises(classify.ModelError, match="cannot be opened"):
        read_model_file(tmp_path / "missing.tflite")
    with pytest.raises(classify.ModelError, match="not a file"):
        read_model_file(tmp_path)
    os.mkfifo(tmp_path / "fifo.tflite")  # reading it would wait for ever
    with pytest.raises(classify.ModelError, match="not a file"):
        read_model_file(tmp_path / "fifo.tflite")
    picture = tmp_path / "picture.tflite"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" * 40)
    with pytest.raises(classify.ModelError, match="not a TFLite model"):
        read_model_file(picture)
