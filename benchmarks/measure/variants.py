"""What a variant, a model in one engine, is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["first_choice", "variant_name"]


def variant_name(file: Path, engine: str) -> str:
    """What a variant is called: its file, and its engine where that is not edgebee's own way."""
    if engine in ("keras", "tflite"):
        return file.name
    return f"{file.name} ({engine.removeprefix('keras-')})"


def first_choice(names: Sequence[str]) -> str | None:
    """The variant that times are held against where there is no Keras: float32, else the first."""
    floats = [name for name in names if name.endswith("_float32.tflite")]
    return next(iter([*floats, *names]), None)
