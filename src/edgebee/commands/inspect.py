"""`edgebee inspect`: what is inside a `.tflite` file, whoever made it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import echo, log

if TYPE_CHECKING:
    from edgebee.edge.tflite.model_file import ModelFile, Tensor

_COLUMN = 13
"""Width of the first column, in characters."""


@click.command("inspect", short_help="What is inside a .tflite file.")
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, *, model: Path, as_json: bool) -> None:
    """Show what is inside MODEL, a .tflite file of any origin.

    Size and hash, inputs and outputs, operators with their versions and which runtimes know
    them, labels, metadata, and how edgebee made it. No runtime is needed, and nothing in the
    file is run. Exit status 1: something in it is damaged or does not fit together.

    \b
    Example:
        edgebee inspect artifacts/model_int8.tflite
    """  # noqa: D301
    from edgebee.edge.tflite.model_file import read_model_file

    file = read_model_file(model)
    if as_json:
        click.echo(json.dumps(as_dict(file), indent=2))
    else:
        for line in lines(file):
            echo(line)
    for problem in file.problems:
        log(f"warning: {model}: {problem}")
    ctx.exit(1 if file.problems else 0)


def targets(file: ModelFile) -> dict[str, list[str]]:
    """Target -> why the model does not run on it; nothing for those that it runs on."""
    from edgebee.edge.tflite.runtimes import RUNTIMES, check_operators
    from edgebee.edge.tflite.targets import edge_tpu_violations, micro_violations

    refused: dict[str, list[str]] = {runtime: [] for runtime in RUNTIMES}
    for entry in check_operators(file.content, RUNTIMES):
        refused[entry.runtime].append(str(entry))
    refused["TensorFlow Lite Micro"] = [str(entry) for entry in micro_violations(file.content)]
    refused["Edge TPU"] = [str(entry) for entry in edge_tpu_violations(file.content)]
    return refused


def as_dict(file: ModelFile) -> dict[str, Any]:
    """The file's description as JSON takes it."""
    from dataclasses import asdict, replace

    described = asdict(replace(file, content=b""))
    del described["content"]
    return {**described, "targets": targets(file)}


def lines(file: ModelFile) -> Iterator[str]:
    """The file's description for a reader."""
    megabytes, parameters = file.size_bytes / 1e6, f"{file.parameters:,}"
    yield f"{file.path}: {megabytes:.2f} MB, {parameters} parameters"
    metadata = file.metadata
    about = metadata.description if metadata else file.description
    if about:
        yield _row("about", about)
    yield _row("sha256", file.sha256)
    for tensor in file.inputs:
        yield _row("input", _tensor(tensor))
    for tensor in file.outputs:
        yield _row("output", _tensor(tensor))
    if metadata and metadata.colour:
        yield _row("colour", metadata.colour)
    if metadata and metadata.mean:
        yield _row("normalized", f"(pixel - {_list(metadata.mean)}) / {_list(metadata.std)}")
    yield _row("labels", _shortened(file.labels) or "none inside")
    yield _row(
        "operators", ", ".join(f"{op.count} {op.name} v{op.version}" for op in file.operators)
    )
    if file.min_runtime_version:
        yield _row("made for", f"TensorFlow Lite {file.min_runtime_version} or newer, it says")
    for target, refused in targets(file).items():
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        yield _row("runs on", f"{target}: {f'no: {refused[0]}{more}' if refused else 'yes'}")
    if file.members:
        packed = (f"{name} ({size} bytes)" for name, size in file.members.items())
        yield _row("files inside", _shortened(tuple(packed)))
    yield from _manifest(file.manifest)


def _manifest(manifest: Mapping[str, Any]) -> Iterator[str]:
    """`edgebee.json`, one line per entry, whatever a later version may have put in it."""
    for name, content in manifest.items():
        section = _value(name)
        if section == "labels":
            continue
        if section == "golden" and isinstance(content, dict):
            samples = content.get("samples")
            count = len(samples) if isinstance(samples, list) else 0
            yield _row("golden", f"{count} samples, tolerance {content.get('tolerance')}")
        elif isinstance(content, dict):
            for key, value in content.items():
                yield _row(section, f"{_value(key)}: {_value(value)}")
        else:
            yield _row(section, _value(content))


def _row(name: str, text: str) -> str:
    return f"  {name:<{_COLUMN}} {text}"


def _tensor(tensor: Tensor) -> str:
    text = f"{tensor.name} {tensor.dtype} {list(tensor.shape)}"
    if tensor.scale is None:
        return text
    zero = f"(stored - {tensor.zero_point})" if tensor.zero_point else "stored"
    return f"{text}, value = {tensor.scale:g} * {zero}"


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _shortened(names: tuple[str, ...], most: int = 12) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _value(value: Any, most: int = 300) -> str:
    """A JSON value on one line, cut where it gets long, without control characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= most else f"{text[:most]} …"
