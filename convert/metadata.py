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
    build = flatbuffers.Builder(1024)
    graph = {2: _offsets(build, _pixels(build)), 3: _offsets(build, _scores(build))}
    root = {
        0: build.CreateString("edgebee image classifier"),
        1: build.CreateString(description),
        3: _offsets(build, _table(build, 4, graph)),  # SubGraphMetadata
        7: build.CreateString(_MIN_PARSER_VERSION),
    }
    build.Finish(_table(build, 8, root), file_identifier=_METADATA_IDENTIFIER)
    return bytes(build.Output())


def _pixels(build: flatbuffers.Builder) -> int:
    """The `TensorMetadata` of the input: RGB, 0-255, mean 0, standard deviation 1."""
    picture = _table(build, 2, {}, {0: _COLOR_SPACE_RGB})  # ImageProperties
    normalization = {0: _floats(build, 0.0), 1: _floats(build, 1.0)}
    options = _table(build, 2, normalization)
    unit = _table(build, 2, {1: options}, {0: _NORMALIZATION_OPTIONS})  # ProcessUnit
    fields = {
        0: build.CreateString("pixels"),
        1: build.CreateString("RGB photo, 0-255, short side scaled, centre cut"),
        3: _table(build, 2, {1: picture}, {0: _IMAGE_PROPERTIES}),  # Content
        4: _offsets(build, unit),
        5: _stats(build, least=0.0, most=255.0),
    }
    return _table(build, 7, fields)


def _scores(build: flatbuffers.Builder) -> int:
    """The `TensorMetadata` of the output, which names the file with the labels."""
    file = {
        0: build.CreateString(LABELS_NAME),
        1: build.CreateString("one label a line, in the order of the scores"),
    }
    names = _table(build, 5, file, {2: _TENSOR_AXIS_LABELS})  # AssociatedFile
    feature = _table(build, 0, {})  # FeatureProperties
    fields = {
        0: build.CreateString("scores"),
        1: build.CreateString("one score per label, 0-1, adding up to 1"),
        3: _table(build, 2, {1: feature}, {0: _FEATURE_PROPERTIES}),  # Content
        5: _stats(build, least=0.0, most=1.0),
        6: _offsets(build, names),
    }
    return _table(build, 7, fields)


def _stats(build: flatbuffers.Builder, *, least: float, most: float) -> int:
    """A `Stats` table: the range of a tensor's values."""
    return _table(build, 2, {0: _floats(build, most), 1: _floats(build, least)})


def _table(
    build: flatbuffers.Builder,
    slots: int,
    offsets: dict[int, int],
    enums: dict[int, int] | None = None,
) -> int:
    """Write a table of offsets and one-byte enums by field number; return its offset.

    The enums of the schema are `byte` and `ubyte`; for values below 128 those are the same.
    """
    build.StartObject(slots)
    for slot, value in offsets.items():
        build.PrependUOffsetTRelativeSlot(slot, value, 0)
    for slot, value in (enums or {}).items():
        build.PrependUint8Slot(slot, value, 0)
    offset: int = build.EndObject()
    return offset


def _floats(build: flatbuffers.Builder, *values: float) -> int:
    build.StartVector(4, len(values), 4)
    for value in reversed(values):
        build.PrependFloat32(value)
    offset: int = build.EndVector()
    return offset


def _offsets(build: flatbuffers.Builder, *values: int) -> int:
    build.StartVector(4, len(values), 4)
    for value in reversed(values):
        build.PrependUOffsetTRelative(value)
    offset: int = build.EndVector()
    return offset
