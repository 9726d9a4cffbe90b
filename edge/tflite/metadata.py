"""The TFLite metadata of a model: the standard that MediaPipe Tasks and Android read.

They are a flatbuffer of their own inside the model, with layout `metadata_schema.fbs` 1.5.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgebee.edge.tflite.flatbuffer import Table, each_table, read_root
from edgebee.edge.tflite.text import decoded

__all__ = ["METADATA_NAME", "Metadata", "read_metadata"]

METADATA_NAME = "TFLITE_METADATA"
"""Their name in the model's list of embedded buffers."""
_LABEL_FILES = {2, 3}  # AssociatedFileType: TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS
_COLOUR_SPACES = {1: "RGB", 2: "grey"}  # ColorSpaceType


@dataclass(frozen=True)
class Metadata:
    """What they say of a model with one picture in and scores out."""

    description: str
    colour: str
    mean: tuple[float, ...]
    """Subtracted from each pixel value, which is then divided by `std`."""
    std: tuple[float, ...]
    label_files: tuple[str, ...]


def read_metadata(raw: bytes) -> Metadata:
    """Read the metadata flatbuffer.

    Raises:
        FlatbufferError: it is damaged.
    """
    root = read_root(raw, "ModelMetadata")
    for _ in each_table(root):
        pass
    graphs = root["subgraph_metadata"]
    inputs, outputs = (graphs[0]["inputs"], graphs[0]["outputs"]) if graphs else ([], [])
    files = [file for output in outputs for file in output["associated_files"]]
    mean, std = _normalization(inputs)
    return Metadata(
        description=decoded(root["description"]),
        colour=_colour(inputs),
        mean=mean,
        std=std,
        label_files=tuple(decoded(file["name"]) for file in files if file["type"] in _LABEL_FILES),
    )


def _colour(inputs: list[Table]) -> str:
    """Colour space of the first input."""
    content = inputs[0]["content"] if inputs else None
    properties = content["properties"] if content is not None else None
    if properties is None or properties.name != "ImageProperties":
        return ""
    return _COLOUR_SPACES.get(properties["color_space"], "")


def _normalization(inputs: list[Table]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the first input, one value or one a channel."""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    for unit in inputs[0]["process_units"] if inputs else []:
        options = unit["options"]
        if options is not None and options.name == "NormalizationOptions":
            mean, std = options["mean"][:16], options["std"][:16]
    return mean, std
