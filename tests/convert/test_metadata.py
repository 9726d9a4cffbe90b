"""Labels and normalization inside the file, read back by field number of the standard.

The numbers are those of `metadata_schema.fbs` 1.5.0 of TensorFlow Lite, in the order in which
it declares the fields; the reader here shares nothing with the writer.
"""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from edgebee.edge.classify import Classifier, read_labels
from edgebee.errors import ConversionError

tf = pytest.importorskip("tensorflow", reason="needs edgebee[train]")
from edgebee.convert.metadata import pack_metadata  # noqa: E402

HANDED_OVER = "Tells many apart."


class Table:
    """A flatbuffer table: fields by number, as https://flatbuffers.dev/internals describes."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self.vtable = position - struct.unpack_from("<i", data, position)[0]

    @classmethod
    def root(cls, data: bytes) -> Table:
        return cls(data, struct.unpack_from("<I", data)[0])

    def _place(self, field: int) -> int | None:
        (size,) = struct.unpack_from("<H", self.data, self.vtable)
        slot = 4 + 2 * field
        if slot >= size:
            return None
        (offset,) = struct.unpack_from("<H", self.data, self.vtable + slot)
        return self.position + offset if offset else None

    def byte(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else self.data[place]

    def _target(self, field: int) -> int:
        place = self._place(field)
        assert place is not None, f"field {field} is not set"
        return place + struct.unpack_from("<I", self.data, place)[0]

    def table(self, field: int) -> Table:
        return Table(self.data, self._target(field))

    def text(self, field: int) -> str:
        start = self._target(field)
        (length,) = struct.unpack_from("<I", self.data, start)
        return self.data[start + 4 : start + 4 + length].decode()

    def floats(self, field: int) -> list[float]:
        start = self._target(field)
        (length,) = struct.unpack_from("<I", self.data, start)
        return list(struct.unpack_from(f"<{length}f", self.data, start + 4))

    def tables(self, field: int) -> list[Table]:
        start = self._target(field)
        (length,) = struct.unpack_from("<I", self.data, start)
        places = [start + 4 + 4 * number for number in range(length)]
        return [
            Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])
            for place in places
        ]


def model_of(classes: int) -> bytes:
    """The smallest model that takes a picture and gives scores."""

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32)])
    def scores(pixels):
        means = tf.reduce_mean(pixels, (1, 2))
        return tf.nn.softmax(tf.matmul(means, tf.constant(weights)))

    weights = np.random.default_rng(0).normal(0, 0.05, (3, classes)).astype(np.float32)
    graph = scores.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([graph]).convert()


def embedded(content: bytes) -> list[bytes]:
    """Every buffer that the model lists under the standard's name."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    entries = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    return [bytes(model.buffers[entry.buffer].data) for entry in entries]


LABELS = {
    "two": ("ants", "bees"),
    "every script": ("Ameise", "fourmi à miel", "蜜蜂", "муравей", "🐝", "a,b;c\t'd'"),
    "a thousand": tuple(f"class {number}" for number in range(1000)),
}


@pytest.fixture(params=LABELS, scope="module")
def packed(request):
    labels = LABELS[request.param]
    return labels, pack_metadata(model_of(len(labels)), labels, description=HANDED_OVER)


def test_labels_are_read_back_in_order(packed, tmp_path):
    labels, content = packed
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert read_labels(path) == labels
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().splitlines() == list(labels)


def test_normalization_says_pixels_as_they_are(packed):
    _, content = packed
    (metadata,) = embedded(content)
    assert metadata[4:8] == b"M001"  # the standard's file identifier
    root = Table.root(metadata)
    assert root.text(1) == HANDED_OVER
    (graph,) = root.tables(3)  # ModelMetadata.subgraph_metadata
    (pixels,) = graph.tables(2)  # SubGraphMetadata.input_tensor_metadata
    content_ = pixels.table(3)  # TensorMetadata.content
    assert content_.byte(0) == 2  # ContentProperties: ImageProperties
    assert content_.table(1).byte(0) == 1  # ColorSpaceType: RGB
    (unit,) = pixels.tables(4)  # TensorMetadata.process_units
    assert unit.byte(0) == 1  # ProcessUnitOptions: NormalizationOptions
    assert unit.table(1).floats(0) == [0.0]  # mean
    assert unit.table(1).floats(1) == [1.0]  # standard deviation
    stats = pixels.table(5)
    assert stats.floats(0) == [255.0]  # max
    assert stats.floats(1) == [0.0]  # min


def test_scores_point_at_the_label_file(packed):
    _, content = packed
    (graph,) = Table.root(embedded(content)[0]).tables(3)
    (scores,) = graph.tables(3)  # SubGraphMetadata.output_tensor_metadata
    assert scores.table(3).byte(0) == 1  # ContentProperties: FeatureProperties
    (file,) = scores.tables(6)  # TensorMetadata.associated_files
    assert file.text(0) == "labels.txt"
    assert file.byte(2) == 2  # AssociatedFileType: TENSOR_AXIS_LABELS


def test_the_model_answers_as_before(packed, tmp_path):
    labels, content = packed
    plain, path = tmp_path / "plain.tflite", tmp_path / "packed.tflite"
    plain.write_bytes(model_of(len(labels)))
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    path.write_bytes(content)
    photo = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    before, after = Classifier(plain)(photo), Classifier(path)(photo)
    assert (before.label, before.scores) == (after.label, after.scores)


def test_packing_again_replaces(packed):
    labels, content = packed
    again = pack_metadata(content, labels[::-1], description="Another.")
    (metadata,) = embedded(again)
    assert Table.root(metadata).text(1) == "Another."
    with zipfile.ZipFile(io.BytesIO(again)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(labels[::-1])


def test_the_same_labels_are_the_same_bytes():
    model = model_of(2)
    first, second = (pack_metadata(model, ("a", "b"), description="x") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("labels", [(), ("one",), ("one", "two", "three")])
def test_as_many_labels_as_scores(labels):
    with pytest.raises(ConversionError, match="2"):
        pack_metadata(model_of(2), labels, description="x")
