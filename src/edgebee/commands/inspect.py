"""`edgebee inspect`: what is inside a `.tflite` file, whoever made it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import echo, log

if TYPE_CHECKING:
    from edgebee.edge.tflite.model_file import ModelFile, Tensor

_COLUMN = 13
"""Width of the first column, in characters."""
_MOST_NAMES = 12


@click.command("inspect", short_help="Show what is inside a .tflite file.")
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--all",
    "--json",
    "everything",
    is_flag=True,
    help="Print operators, hashes, metadata and the whole manifest too, as JSON.",
)
@click.pass_context
def command(ctx: click.Context, *, model: Path, everything: bool) -> None:
    """Show what is inside MODEL, a .tflite file of any origin.

    Inputs and outputs, labels, which runtimes can run it, and how edgebee made it. No runtime
    is needed, and nothing in the file is run. The exit status is 1 when something in the file
    is damaged or does not fit together.

    \b
    Example:
        edgebee inspect artifacts/model_int8.tflite
    """  # noqa: D301
    from edgebee.edge.tflite.model_file import read_model_file

    file = read_model_file(model)
    if everything:
        click.echo(json.dumps(_as_dict(file), indent=2))
    else:
        for line in _summary(file):
            echo(line)
    for problem in file.problems:
        log(f"warning: {model}: {problem}")
    ctx.exit(1 if file.problems else 0)


def _runtimes(file: ModelFile) -> dict[str, list[str]]:
    """Runtime -> why the model does not run on it; nothing for those that it runs on."""
    from edgebee.edge.tflite.runtimes import RUNTIMES, check_operators

    refused: dict[str, list[str]] = {runtime: [] for runtime in RUNTIMES}
    for entry in check_operators(file.content, RUNTIMES):
        refused[entry.runtime].append(str(entry))
    return refused


def _as_dict(file: ModelFile) -> dict[str, Any]:
    """The file's description as JSON takes it."""
    from dataclasses import asdict, replace

    described = asdict(replace(file, content=b""))
    del described["content"]
    return {**described, "runtimes": _runtimes(file)}


def _summary(file: ModelFile) -> Iterator[str]:
    """What decides whether a model fits."""
    yield f"{file.path}: {file.size_bytes / 1e6:.2f} MB, {file.parameters:,} parameters"
    if any(-1 in tensor.shape[1:] for tensor in file.inputs):
        yield _row("size", "any: name the one it was trained on, as classify --size 224")
    from edgebee.edge.classify import read_normalization

    metadata = file.metadata
    about = metadata.description if metadata else file.description
    if about:
        yield _row("about", about)
    for tensor in file.inputs:
        yield _row("input", _tensor(tensor))
    stated = read_normalization(file.path)
    if stated:
        yield _row("normalized", f"(pixel - {_list(stated[0])}) / {_list(stated[1])}")
    elif any(tensor.dtype == "float32" for tensor in file.inputs):
        yield _row("normalized", "not stated: 0..255 is assumed (see classify --normalize)")
    for tensor in file.outputs:
        yield _row("output", _tensor(tensor))
    yield _row("labels", _shortened(file.labels) or _labels_elsewhere(file.path))
    result = file.manifest.verification if file.manifest else None
    if result:
        yield _row(
            "verified",
            f"{result.correct} of {result.total} validation photos correct "
            f"(Keras {result.keras_correct})",
        )
    if result and result.neither:
        seen = result.neither
        yield _row(
            "neither",
            f"for {seen.refused} of {seen.strangers} pictures of no class "
            f"(Keras {seen.keras_refused})",
        )
    for runtime, refused in _runtimes(file).items():
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        yield _row("runs on", f"{runtime}: {f'no: {refused[0]}{more}' if refused else 'yes'}")


def _labels_elsewhere(model: str) -> str:
    """What `classify` finds beside a model, or where others put it."""
    from edgebee.edge.classify import ModelError, read_labels

    try:
        return _shortened(read_labels(model))
    except ModelError:
        return "none inside"


def _row(name: str, text: str) -> str:
    return f"  {name:<{_COLUMN}} {text}"


def _tensor(tensor: Tensor) -> str:
    text = f"{tensor.name} {tensor.dtype} {list(tensor.shape)}"
    if tensor.scale is None:
        return text
    zero = f"(stored - {tensor.zero_point})" if tensor.zero_point else "stored"
    return f"{text}, value = {tensor.scale:g} * {zero}"


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _shortened(names: tuple[str, ...]) -> str:
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
