"""What is to be measured, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebee.benchmarks.measure.hosts import SshUrl
from edgebee.benchmarks.measure.results import Data

__all__ = ["KERAS_NAME", "Plan", "Subject", "first_choice", "variant_name"]

KERAS_NAME = "model.keras"


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        threads: for invoking, on this machine.
        rounds: in which every model is timed once.
        photos: timed in each round, and copied to a device.
        predict: whether Keras' `predict` is measured beside the traced call.
        sweep: whether other numbers of threads are timed.
        peers: whether other people's runtimes are measured.
        peer_pythons: other Pythons in which peers are sought.
        devices: where else to measure.
        ssh_options: as for `ssh -o`.
    """

    threads: int
    rounds: int = 5
    photos: int = 24
    predict: bool = True
    sweep: bool = True
    peers: bool = False
    peer_pythons: tuple[str, ...] = ()
    devices: tuple[SshUrl, ...] = ()
    ssh_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        folder: with `model.keras`, if there is one.
        files: `.tflite` files.
        data: without its photos, which are filled in when they are read.
        paths: photos.
        classes: the right class index of each.
    """

    folder: Path
    files: tuple[Path, ...]
    data: Data
    paths: tuple[Path, ...]
    classes: tuple[int, ...]


def variant_name(file: Path, engine: str) -> str:
    """What a variant is called: its file, and its engine where that is not edgebee's own way."""
    if engine in ("keras", "tflite"):
        return file.name
    return f"{file.name} ({engine.removeprefix('keras-')})"


def first_choice(names: Sequence[str]) -> str | None:
    """The variant that times are held against where there is no Keras: float32, else the first."""
    floats = [name for name in names if name.endswith("_float32.tflite")]
    return next(iter([*floats, *names]), None)
