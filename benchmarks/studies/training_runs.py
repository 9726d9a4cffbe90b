"""Runs of `edgebee train`, as anyone would do them, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from edgebee.errors import BenchmarkError
from edgebee.run import HISTORY_NAME, TrainingRecord, read_training_record

__all__ = ["DATA", "run_edgebee", "trained"]

DATA = click.option(
    "--data", default="hymenoptera", show_default=True, help="hymenoptera, sample or a folder."
)


@contextmanager
def trained(data: str, options: Sequence[str]) -> Iterator[tuple[Path, TrainingRecord]]:
    """Run `edgebee train` in a folder that is gone afterwards; yield it and its record."""
    with tempfile.TemporaryDirectory(prefix="edgebee-study-") as folder:
        run_edgebee("train", "--data", data, "--output", folder, *options)
        record = read_training_record(Path(folder))
        if record is None:
            raise BenchmarkError(f"{folder}: no {HISTORY_NAME} after a training")
        yield Path(folder), record


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
