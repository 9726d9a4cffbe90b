"""What a `.tflite` file says about itself: tensors, operators, labels, metadata, `edgebee.json`.

For any file, whoever made it; nothing in it is trusted. It is read with `flatbuffer`, not with a
runtime, so that a file which no runtime here can run is read all the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebee.edge.classify import LABELS_NAME, ModelError
from edgebee.edge.tflite.flatbuffer import FlatbufferError, Table, each_table, read_root
from edgebee.edge.tflite.schema import TENSOR_TYPES
from edgebee.edge.tflite.structure import operator_name, parse_or_refuse

__all__ = ["MANIFEST_NAME", "Metadata", "ModelFile", "Operator", "Tensor", "check_model_file",
           "parse_model_file", "read_model_file"]  # fmt: skip

MANIFEST_NAME = "edgebee.json"
MAX_FILE_BYTES = 2**31 - 1
"""A flatbuffer's offsets do not reach further."""
MAX_MEMBER_BYTES = 4_000_000
"""Of a file in the zip, unpacked: a thousand times what labels take, far from filling a Pi."""
LONGEST = 500
"""Characters of a name or description that are shown."""
_LABEL_FILES = {2, 3}  # AssociatedFileType: TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS
_COLOUR_SPACES = {1: "RGB", 2: "grey"}  # ColorSpaceType
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, ValueError,
               NotImplementedError, RuntimeError, IndexError)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """An input or output."""

    name: str
    shape: tuple[int, ...]
    """-1 where the size is only known when the model runs."""
    dtype: str
    scale: float | None
    """real value = scale * (value - zero point); None for what is not quantized."""
    zero_point: int | None


@dataclass(frozen=True)
class Operator:
    """A kind of operator: what a runtime must have a kernel for."""

    name: str
    version: int
    count: int


@dataclass(frozen=True)
class Metadata:
    """The TFLite metadata, the standard that MediaPipe Tasks and Android read."""

    name: str
    description: str
    author: str
    license: str
    min_parser_version: str
    colour: str
    mean: tuple[float, ...]
    """Subtracted from each pixel value, which is then divided by `std`."""
    std: tuple[float, ...]
    label_files: tuple[str, ...]


@dataclass(frozen=True)
class ModelFile:
    """A sound `.tflite` file. What is odd about it, but no damage, is in `problems`."""

    path: str
    size_bytes: int
    sha256: str
    description: str
    min_runtime_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    graphs: int
    parameters: int
    """Values stored in constant tensors."""
    metadata: Metadata | None
    labels: tuple[str, ...]
    members: Mapping[str, int]
    """Files in the appended zip -> unpacked size in bytes."""
    manifest: Mapping[str, Any]
    """`edgebee.json`; empty for a model that edgebee did not make."""
    problems: tuple[str, ...]
    content: bytes = field(repr=False)
    """The file itself."""


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read a `.tflite` file.

    Raises:
        ModelError: it cannot be opened, is no TFLite model, or its structure is damaged.
    """
    name = os.fspath(path)
    try:
        size = Path(path).stat().st_size
        if not Path(path).is_file() or size > MAX_FILE_BYTES:
            problem = "not a file" if size <= MAX_FILE_BYTES else f"{size} bytes are too many"
            raise ModelError(f"{name}: {problem}; name a .tflite file")
        content = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"{name}: cannot be opened ({reason}); check its name") from error
    return parse_model_file(content, name)


def check_model_file(path: str | os.PathLike[str]) -> None:
    """Refuse a file that is damaged or does not fit together, before a runtime is started for it.

    Raises:
        ModelError: as for `read_model_file`, or its hash, zip or labels are not as they should be.
    """
    problems = read_model_file(path).problems
    if problems:
        remedy = "" if problems[0].endswith("copy it again") else "; copy it again, or make it anew"
        raise ModelError(f"{os.fspath(path)}: {problems[0]}{remedy}")


def parse_model_file(content: bytes, name: str) -> ModelFile:
    """`read_model_file` for the bytes of a file that is called `name`. Raises ModelError."""
    model = parse_or_refuse(content, name)
    graph = model["subgraphs"][0]
    tensors = graph["tensors"]
    problems: list[str] = []
    members, archive = _open_zip(content, problems)
    embedded = {_text(entry["name"]): entry["buffer"] for entry in model["metadata"]}
    buffers = model["buffers"]
    raw = {name: _buffer(content, buffers[number]) for name, number in embedded.items()}
    metadata = _metadata(raw["TFLITE_METADATA"], problems) if "TFLITE_METADATA" in raw else None
    outputs = tuple(_tensor(tensors[index]) for index in graph["outputs"])
    manifest = _manifest(archive, problems)
    labels = _labels(archive, metadata, manifest, problems)
    _check_labels(labels, outputs, metadata, problems)
    _check_network(content, manifest, problems)
    return ModelFile(
        path=name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        description=_text(model["description"]),
        min_runtime_version=_text(raw.get("min_runtime_version", b"").partition(b"\0")[0]),
        inputs=tuple(_tensor(tensors[index]) for index in graph["inputs"]),
        outputs=outputs,
        operators=_operators(model),
        graphs=len(model["subgraphs"]),
        parameters=_parameters(tensors, buffers),
        metadata=metadata,
        labels=labels,
        members=members,
        manifest=manifest,
        problems=tuple(problems),
        content=content,
    )


def _text(raw: bytes) -> str:
    return _clean(raw[: 4 * LONGEST].decode("utf-8", "replace"))


def _clean(text: str) -> str:
    """A string from the file for a terminal: no control characters, not endless."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST]).strip()


def _words(error: Exception) -> str:
    """What a library says of damage; `zipfile` quotes names of 64 KB."""
    return _clean(str(error)[:200])


def _buffer(content: bytes, buffer: Table) -> bytes:
    start, length = buffer.span("data")
    return content[start : start + length]


def _tensor(tensor: Table) -> Tensor:
    shape = tensor["shape_signature"] or tensor["shape"]
    quantization = tensor["quantization"]
    scales: tuple[float, ...] = quantization["scale"] if quantization is not None else ()
    zeros: tuple[int, ...] = quantization["zero_point"] if quantization is not None else ()
    return Tensor(
        name=_text(tensor["name"]),
        shape=tuple(shape),
        dtype=TENSOR_TYPES[tensor["type"]][0],
        scale=scales[0] if len(scales) == 1 else None,
        zero_point=(zeros[0] if zeros else 0) if len(scales) == 1 else None,
    )


def _operators(model: Table) -> tuple[Operator, ...]:
    """Every kind that is used or listed, the most frequent first."""
    codes = [(_clean(operator_name(code)), code["version"]) for code in model["operator_codes"]]
    counted = Counter(dict.fromkeys(codes, 0))
    for graph in model["subgraphs"]:
        counted.update(codes[operator["opcode_index"]] for operator in graph["operators"])
    order = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Operator(name, version, count) for (name, version), count in order)


def _parameters(tensors: list[Table], buffers: list[Table]) -> int:
    """Elements of the tensors whose values are in the file."""
    constant = (tensor for tensor in tensors if buffers[tensor["buffer"]].span("data")[1])
    return sum(math.prod(tensor["shape"]) for tensor in constant)


def _metadata(raw: bytes, problems: list[str]) -> Metadata | None:
    try:
        root = read_root(raw, "ModelMetadata")
        for _ in each_table(root):
            pass
    except FlatbufferError as error:
        problems.append(f"its TFLite metadata are damaged ({error})")
        return None
    graphs = root["subgraph_metadata"]
    outputs = graphs[0]["outputs"] if graphs else []
    files = [file for output in outputs for file in output["associated_files"]]
    colour, mean, std = _picture(graphs[0]["inputs"] if graphs else [])
    return Metadata(
        name=_text(root["name"]),
        description=_text(root["description"]),
        author=_text(root["author"]),
        license=_text(root["license"]),
        min_parser_version=_text(root["min_parser_version"]),
        colour=colour,
        mean=mean,
        std=std,
        label_files=tuple(_text(file["name"]) for file in files if file["type"] in _LABEL_FILES),
    )


def _picture(inputs: list[Table]) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Colour space, mean and standard deviation that the metadata demand of the first input."""
    colour = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    content = inputs[0]["content"] if inputs else None
    properties = content["properties"] if content is not None else None
    if properties is not None and properties.name == "ImageProperties":
        colour = _COLOUR_SPACES.get(properties["color_space"], "")
    for unit in inputs[0]["process_units"] if inputs else []:
        options = unit["options"]
        if options is not None and options.name == "NormalizationOptions":
            mean, std = options["mean"][:16], options["std"][:16]
    return colour, mean, std


def _open_zip(content: bytes, problems: list[str]) -> tuple[dict[str, int], zipfile.ZipFile | None]:
    """The files behind the flatbuffer. Their names are looked up and shown, never used as paths."""
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return {}, None
    try:
        archive = zipfile.ZipFile(stream)
        return {_clean(entry.filename): entry.file_size for entry in archive.infolist()}, archive
    except _ZIP_FAULTS as error:
        problems.append(f"the zip behind it is damaged ({_words(error)})")
        return {}, None


def _member(archive: zipfile.ZipFile | None, name: str, problems: list[str]) -> bytes | None:
    """A file in the zip, None if there is none or it cannot be had."""
    if archive is None or name not in archive.NameToInfo:
        return None
    try:
        with archive.open(name) as member:  # the size in the directory may be a lie
            raw = member.read(MAX_MEMBER_BYTES + 1)
    except _ZIP_FAULTS as error:
        problems.append(f"{name} in it is damaged ({_words(error)})")
        return None
    if len(raw) > MAX_MEMBER_BYTES:
        problems.append(f"{name} in it is longer than {MAX_MEMBER_BYTES} bytes")
        return None
    return raw


def _manifest(archive: zipfile.ZipFile | None, problems: list[str]) -> dict[str, Any]:
    raw = _member(archive, MANIFEST_NAME, problems)
    if raw is None:
        return {}
    try:
        manifest = json.loads(raw)
    except (ValueError, RecursionError) as error:
        problems.append(f"{MANIFEST_NAME} in it is damaged ({_words(error)})")
        return {}
    if not isinstance(manifest, dict):
        problems.append(f"{MANIFEST_NAME} in it is no JSON object")
        return {}
    return manifest


def _labels(
    archive: zipfile.ZipFile | None,
    metadata: Metadata | None,
    manifest: Mapping[str, Any],
    problems: list[str],
) -> tuple[str, ...]:
    """From the file that the metadata name, else `labels.txt`, else `edgebee.json`."""
    for name in dict.fromkeys((*(metadata.label_files if metadata else ()), LABELS_NAME)):
        raw = _member(archive, name, problems)
        if raw is None:
            continue
        lines = raw.decode("utf-8-sig", "replace").splitlines()
        return tuple(_clean(line) for line in lines if line.strip())
    named = manifest.get("labels")
    return tuple(_clean(str(label)) for label in named) if isinstance(named, list) else ()


def _check_labels(
    labels: tuple[str, ...],
    outputs: tuple[Tensor, ...],
    metadata: Metadata | None,
    problems: list[str],
) -> None:
    if not labels and metadata is not None and metadata.label_files:
        problems.append(
            f"{metadata.label_files[0]} is named in it but missing: cut short? copy it again"
        )
    scores = outputs[0].shape[-1] if outputs and outputs[0].shape else 0
    if labels and len(labels) != scores:
        problems.append(
            f"{len(labels)} label names for {scores} scores: they do not belong together"
        )


def _check_network(content: bytes, manifest: Mapping[str, Any], problems: list[str]) -> None:
    """Weights that differ from those that were packed: the structure alone does not show that."""
    recorded = manifest.get("network")
    if not recorded:
        return
    length = recorded.get("bytes") if isinstance(recorded, dict) else None
    if not isinstance(length, int):
        problems.append(f"{MANIFEST_NAME} in it does not say how long the network is")
    elif hashlib.sha256(content[:length]).hexdigest() != recorded.get("sha256"):
        problems.append("its SHA-256 is not the one that it was made with: damaged, copy it again")
