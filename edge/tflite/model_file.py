"""What a `.tflite` file contains: tensors, operators, labels, metadata, `edgebee.json`.

For any file, whoever made it; nothing in it is trusted. It is read with `flatbuffer`, not with a
runtime, so that a file which no runtime here can run is read all the same.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgebee.edge.classify import LABELS_NAME, ModelError
from edgebee.edge.tflite.appended_zip import AppendedZip
from edgebee.edge.tflite.flatbuffer import FlatbufferError, Table
from edgebee.edge.tflite.metadata import METADATA_NAME, Metadata, read_metadata
from edgebee.edge.tflite.schema import TENSOR_TYPES
from edgebee.edge.tflite.structure import check_structure, operator_name
from edgebee.edge.tflite.text import decoded, shown
from edgebee.manifest import MANIFEST_NAME, Manifest, ManifestError, read_manifest

__all__ = [
    "ModelFile",
    "Operator",
    "Tensor",
    "check_model_file",
    "parse_model_file",
    "read_model_file",
]

MAX_FILE_BYTES = 2**31 - 1
"""A flatbuffer's offsets do not reach further."""


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
class ModelFile:
    """A `.tflite` file whose structure is sound; other problems are in `problems`."""

    path: str
    size_bytes: int
    sha256: str
    description: str
    min_runtime_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    parameters: int
    """Values stored in constant tensors."""
    metadata: Metadata | None
    labels: tuple[str, ...]
    members: Mapping[str, int]
    """Files in the appended zip -> unpacked size in bytes."""
    manifest: Manifest | None
    """`edgebee.json`; None for a model that edgebee did not make."""
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
        remedy = "" if "; " in problems[0] else "; copy it again, or make it again"
        raise ModelError(f"{os.fspath(path)}: {problems[0]}{remedy}")


def parse_model_file(content: bytes, name: str) -> ModelFile:
    """`read_model_file` for the bytes of a file that is called `name`. Raises ModelError."""
    model = check_structure(content, name)
    graph, buffers = model["subgraphs"][0], model["buffers"]
    tensors = graph["tensors"]
    problems: list[str] = []
    archive = AppendedZip(content, problems)
    embedded = {
        decoded(entry["name"]): _bytes_of(content, buffers[entry["buffer"]])
        for entry in model["metadata"]
    }
    metadata = _metadata(embedded, problems)
    manifest = _manifest(archive, problems)
    labels = _labels(archive, metadata, manifest)
    outputs = tuple(_tensor(tensors[index]) for index in graph["outputs"])
    _check_labels(labels, outputs, metadata, problems)
    _check_network(content, manifest, problems)
    return ModelFile(
        path=name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        description=decoded(model["description"]),
        min_runtime_version=decoded(embedded.get("min_runtime_version", b"").partition(b"\0")[0]),
        inputs=tuple(_tensor(tensors[index]) for index in graph["inputs"]),
        outputs=outputs,
        operators=_operators(model),
        parameters=_parameters(tensors, buffers),
        metadata=metadata,
        labels=labels,
        members=archive.members,
        manifest=manifest,
        problems=tuple(problems),
        content=content,
    )


def _bytes_of(content: bytes, buffer: Table) -> bytes:
    start, length = buffer.span("data")
    return content[start : start + length]


def _tensor(tensor: Table) -> Tensor:
    shape = tensor["shape_signature"] or tensor["shape"]
    quantization = tensor["quantization"]
    scales: tuple[float, ...] = quantization["scale"] if quantization is not None else ()
    zeros: tuple[int, ...] = quantization["zero_point"] if quantization is not None else ()
    return Tensor(
        name=decoded(tensor["name"]),
        shape=tuple(shape),
        dtype=TENSOR_TYPES[tensor["type"]][0],
        scale=scales[0] if len(scales) == 1 else None,
        zero_point=(zeros[0] if zeros else 0) if len(scales) == 1 else None,
    )


def _operators(model: Table) -> tuple[Operator, ...]:
    """Every kind that is used or listed, the most frequent first."""
    codes = [(shown(operator_name(code)), code["version"]) for code in model["operator_codes"]]
    counted = Counter(dict.fromkeys(codes, 0))
    for graph in model["subgraphs"]:
        counted.update(codes[operator["opcode_index"]] for operator in graph["operators"])
    order = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Operator(name, version, count) for (name, version), count in order)


def _parameters(tensors: list[Table], buffers: list[Table]) -> int:
    """Elements of the tensors whose values are in the file."""
    constant = (tensor for tensor in tensors if buffers[tensor["buffer"]].span("data")[1])
    return sum(math.prod(tensor["shape"]) for tensor in constant)


def _metadata(embedded: Mapping[str, bytes], problems: list[str]) -> Metadata | None:
    if METADATA_NAME not in embedded:
        return None
    try:
        return read_metadata(embedded[METADATA_NAME])
    except FlatbufferError as error:
        problems.append(f"its TFLite metadata are damaged ({error})")
        return None


def _manifest(archive: AppendedZip, problems: list[str]) -> Manifest | None:
    raw = archive.read(MANIFEST_NAME)
    if raw is None:
        return None
    try:
        return read_manifest(raw)
    except ManifestError as error:
        problems.append(shown(str(error)))
        return None


def _labels(
    archive: AppendedZip, metadata: Metadata | None, manifest: Manifest | None
) -> tuple[str, ...]:
    """From the file that the metadata name, else `labels.txt`, else `edgebee.json`."""
    for name in dict.fromkeys((*(metadata.label_files if metadata else ()), LABELS_NAME)):
        raw = archive.read(name)
        if raw is not None:
            lines = raw.decode("utf-8-sig", "replace").splitlines()
            return tuple(shown(line) for line in lines if line.strip())
    return tuple(shown(label) for label in manifest.labels) if manifest else ()


def _check_labels(
    labels: tuple[str, ...],
    outputs: tuple[Tensor, ...],
    metadata: Metadata | None,
    problems: list[str],
) -> None:
    if not labels and metadata is not None and metadata.label_files:
        problems.append(
            f"{metadata.label_files[0]} is named in it but missing, as in a file that was cut "
            "short; copy it again"
        )
    scores = outputs[0].shape[-1] if outputs and outputs[0].shape else 0
    if labels and len(labels) != scores:
        problems.append(
            f"{len(labels)} label names for {scores} scores: they do not belong together"
        )


def _check_network(content: bytes, manifest: Manifest | None, problems: list[str]) -> None:
    """Weights that differ from those that were packed: the structure alone does not show that."""
    recorded = manifest.network if manifest else None
    if recorded is None:
        return
    if hashlib.sha256(content[: recorded.bytes]).hexdigest() != recorded.sha256:
        problems.append("its SHA-256 is not the one that it was made with: damaged; copy it again")
