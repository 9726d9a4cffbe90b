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
from collections.abc import Sequence

import flatbuffers

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


def pack_metadata(content: bytes, labels: Sequence[str], *, description: str) -> bytes:
    """Put labels and normalization into a model.

    The normalization says mean 0 and standard deviation 1: readers of the standard hand
    over pixels 0-255 as they are, and the graph rescales them itself.

    Args:
        content: a TFLite flatbuffer with one input and one output.
        labels: one name per score.
        description: a sentence on the model.

    Returns:
        The model with the metadata flatbuffer inside and a zip with `labels.txt` behind it.

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
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()) + _label_zip(labels)


def _label_zip(labels: Sequence[str]) -> bytes:
    """A zip with `labels.txt`, the same bytes for the same labels."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        text = "".join(f"{label}\n" for label in labels)
        archive.writestr(zipfile.ZipInfo(LABELS_NAME, _ZIP_EPOCH), text)
    return buffer.getvalue()


def _metadata_flatbuffer(description: str) -> bytes:
    """A `ModelMetadata` table: an RGB picture in, one score per line of `labels.txt` out."""
    build = flatbuffers.Builder(1024)

    picture = _table(build, 2, {0: ("int8", _COLOR_SPACE_RGB)})  # ImageProperties
    picture_content = _table(build, 2, {0: ("uint8", _IMAGE_PROPERTIES), 1: ("offset", picture)})
    normalization = _table(
        build, 2, {0: ("offset", _floats(build, 0.0)), 1: ("offset", _floats(build, 1.0))}
    )
    unit = _table(build, 2, {0: ("uint8", _NORMALIZATION_OPTIONS), 1: ("offset", normalization)})
    stats = _table(
        build, 2, {0: ("offset", _floats(build, 255.0)), 1: ("offset", _floats(build, 0.0))}
    )
    pixels = _table(
        build,
        7,  # TensorMetadata
        {
            0: ("offset", build.CreateString("pixels")),
            1: ("offset", build.CreateString("RGB photo, 0-255, short side scaled, centre cut")),
            3: ("offset", picture_content),
            4: ("offset", _offsets(build, unit)),
            5: ("offset", stats),
        },
    )

    names = _table(
        build,
        5,  # AssociatedFile
        {
            0: ("offset", build.CreateString(LABELS_NAME)),
            1: ("offset", build.CreateString("one label a line, in the order of the scores")),
            2: ("int8", _TENSOR_AXIS_LABELS),
        },
    )
    feature = _table(build, 0, {})  # FeatureProperties
    score_content = _table(build, 2, {0: ("uint8", _FEATURE_PROPERTIES), 1: ("offset", feature)})
    score_stats = _table(
        build, 2, {0: ("offset", _floats(build, 1.0)), 1: ("offset", _floats(build, 0.0))}
    )
    scores = _table(
        build,
        7,  # TensorMetadata
        {
            0: ("offset", build.CreateString("scores")),
            1: ("offset", build.CreateString("one score per label, 0-1, adding up to 1")),
            3: ("offset", score_content),
            5: ("offset", score_stats),
            6: ("offset", _offsets(build, names)),
        },
    )

    graph = _table(
        build,
        4,  # SubGraphMetadata
        {2: ("offset", _offsets(build, pixels)), 3: ("offset", _offsets(build, scores))},
    )
    root = _table(
        build,
        8,  # ModelMetadata
        {
            0: ("offset", build.CreateString("edgebee image classifier")),
            1: ("offset", build.CreateString(description)),
            3: ("offset", _offsets(build, graph)),
            7: ("offset", build.CreateString(_MIN_PARSER_VERSION)),
        },
    )
    build.Finish(root, file_identifier=_METADATA_IDENTIFIER)
    return bytes(build.Output())


def _table(build: flatbuffers.Builder, slots: int, fields: dict[int, tuple[str, int]]) -> int:
    """Write a table of scalar and offset fields by their number; return its offset."""
    build.StartObject(slots)
    for slot, (kind, value) in fields.items():
        if kind == "offset":
            build.PrependUOffsetTRelativeSlot(slot, value, 0)
        elif kind == "uint8":
            build.PrependUint8Slot(slot, value, 0)
        else:
            build.PrependInt8Slot(slot, value, 0)
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
