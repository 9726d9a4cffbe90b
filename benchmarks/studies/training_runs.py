"""Runs of `edgebee train`, as anyone would do them, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from edgebee.errors import BenchmarkError

__all__ = ["DATA", "run_edgebee", "trained"]

DATA = click.option(
    "--data", default="hymenoptera", show_default=True, help="hymenoptera, sample or a folder."
)


@contextmanager
def trained(data: str, options: Sequence[str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run `edgebee train` in a folder that is gone afterwards; yield it and its history."""
    with tempfile.TemporaryDirectory(prefix="edgebee-study-") as folder:
        run_edgebee("train", "--data", data, "--output", folder, *options)
        history = json.loads(Path(folder, "history.json").read_text(encoding="utf-8"))
        yield Path(folder), history


def run_edgebee(*arguments: str) -> None:
    """Run a command of edgebee in a process of its own.

    Raises:
        BenchmarkError: it failed; its last line says why.
    """
    done = subprocess.run(
        [sys.executable, "-m", "edgebee", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchmarkError(f"edgebee {' '.join(arguments)} failed: {last}")
