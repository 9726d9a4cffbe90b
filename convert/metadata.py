"""TFLite metadata: labels and normalization inside the model file.

The standard (TensorFlow Lite metadata, schema 1.5.0) is a flatbuffer in the model's
`metadata` list that says what goes in and comes out, and a zip appended to the file with
the label names, so that any zip reader finds them. The flatbuffer is small and its writer,
`tflite-support`, is no longer kept, so its few tables are written here by field number;
the numbers are those of `metadata_schema.fbs`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence

import flatbuffers

from edgebee.convert.flatbuffer import pack_model
from edgebee.edge.classify import LABELS_NAME
from edgebee.errors import ConversionError

__all__ = ["pack_metadata"]

_METADATA_NAME = "TFLITE_METADATA"
_METADATA_IDENTIFIER = b"M001"
_MIN_PARSER_VERSION = "1.0.0"
_IMAGE_PROPERTIES = 2  # union ContentProperties
_NORMALIZATION_OPTIONS = 1  # union ProcessUnitOptions
_FEATURE_PROPERTIES = 1
_COLOR_SPACE_RGB = 1
_TENSOR_AXIS_LABELS = 2  # enum AssociatedFileType
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: same labels, same bytes


def pack_metadata(
    content: bytes,
    labels: Sequence[str],
    *,
    description: str,
    describe: Callable[[bytes], Mapping[str, bytes]] | None = None,
) -> bytes:
    """Put labels, normalization and files of our own into a model.

    The normalization says mean 0 and standard deviation 1: readers of the standard hand
    over pixels 0-255 as they are, and the graph rescales them itself.

    Args:
        content: a TFLite flatbuffer with one input and one output.
        labels: one name per score.
        description: a sentence on the model.
        describe: takes the flatbuffer as it will lie in the file, gives what else goes into
            the zip, by name.

    Returns:
        The model with the metadata flatbuffer inside and a zip with `labels.txt` and
        those files behind it.

    Raises:
        ConversionError: the model gives another number of scores.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    scores = graph.tensors[graph.outputs[0]]
    if list(scores.shape) != [1, len(labels)]:
        raise ConversionError(
            f"the model gives {list(scores.shape)} scores, but there are {len(labels)} labels: "
            f"{LABELS_NAME} and the model do not belong together"
        )
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA_NAME, len(model.buffers)
    buffer = schema.BufferT()
    buffer.data = list(_metadata_flatbuffer(description))
    model.buffers.append(buffer)
    kept = [old for old in model.metadata or [] if old.name != _METADATA_NAME.encode()]
    model.metadata = [*kept, entry]
    text = "".join(f"{label}\n" for label in labels)
    network = pack_model(model, len(content))
    more = describe(network) if describe is not None else {}
    return network + _zip({LABELS_NAME: text.encode(), **more})


def _zip(files: Mapping[str, bytes]) -> bytes:
    """A zip, the same bytes for the same files.

    Nothing is compressed: readers of the standard take a file's bytes as they lie there.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
    return buffer.getvalue()


def _metadata_flatbuffer(description: str) -> bytes:
    """A `ModelMetadata` table: an RGB picture in, one score per line of `labels.txt` out."""
    write = _TableWriter()
    image_properties = write.table(2, {}, {0: _COLOR_SPACE_RGB})
    normalization = {0: write.floats(0.0), 1: write.floats(1.0)}  # mean, standard deviation
    options = write.table(2, normalization)
    process_unit = write.table(2, {1: options}, {0: _NORMALIZATION_OPTIONS})
    pixels = {
        0: write.string("pixels"),
        1: write.string("RGB photo, 0-255, short side scaled, centre cut"),
        3: write.table(2, {1: image_properties}, {0: _IMAGE_PROPERTIES}),  # Content
        4: write.offsets(process_unit),
        5: write.table(2, {0: write.floats(255.0), 1: write.floats(0.0)}),  # Stats
    }
    inputs = write.offsets(write.table(7, pixels))  # TensorMetadata
    file = {
        0: write.string(LABELS_NAME),
        1: write.string("one label a line, in the order of the scores"),
    }
    associated_file = write.table(5, file, {2: _TENSOR_AXIS_LABELS})
    feature_properties = write.table(0, {})
    scores = {
        0: write.string("scores"),
        1: write.string("one score per label, 0-1, adding up to 1"),
        3: write.table(2, {1: feature_properties}, {0: _FEATURE_PROPERTIES}),  # Content
        5: write.table(2, {0: write.floats(1.0), 1: write.floats(0.0)}),  # Stats
        6: write.offsets(associated_file),
    }
    outputs = write.offsets(write.table(7, scores))  # TensorMetadata
    root = {
        0: write.string("edgebee image classifier"),
        1: write.string(description),
        3: write.offsets(write.table(4, {2: inputs, 3: outputs})),  # SubGraphMetadata
        7: write.string(_MIN_PARSER_VERSION),
    }
    return write.finish(write.table(8, root))


class _TableWriter:
    """Writes a flatbuffer's tables by field number; each method returns what it wrote's offset."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)
        self.string: Callable[[str], int] = self._builder.CreateString

    def table(
        self, slots: int, offsets: dict[int, int], enums: dict[int, int] | None = None
    ) -> int:
        """A table of offsets and one-byte enums, whose values here are all below 128."""
        self._builder.StartObject(slots)
        for slot, value in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        for slot, value in (enums or {}).items():
            self._builder.PrependUint8Slot(slot, value, 0)
        return int(self._builder.EndObject())

    def floats(self, value: float) -> int:
        """A vector of one number."""
        self._builder.StartVector(4, 1, 4)
        self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())

    def offsets(self, value: int) -> int:
        """A vector of one table."""
        self._builder.StartVector(4, 1, 4)
        self._builder.PrependUOffsetTRelative(value)
        return int(self._builder.EndVector())

    def finish(self, root: int) -> bytes:
        """The whole flatbuffer."""
        self._builder.Finish(root, file_identifier=_METADATA_IDENTIFIER)
        return bytes(self._builder.Output())
