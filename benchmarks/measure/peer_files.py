"""Which peers are installed, in which Python, and the files they take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebee.benchmarks.measure.results import Skipped

__all__ = ["PEER_ENGINES", "Peer", "files_for_peers", "find_peers"]

PEER_ENGINES = ("openvino", "onnxruntime", "mediapipe")
"""Each is called as its package is."""

_RUNNER_NEEDS = ("numpy", "PIL")
_CONVERTER = ("tf2onnx", "tensorflow")
_CONVERT_SECONDS = 300
_IMPORT_SECONDS = 60


@dataclass(frozen=True)
class Peer:
    """A peer that can be started.

    Attributes:
        engine: its name.
        python: a Python that has it.
        file: the `.tflite` file.
        model: what the peer loads: that file, or what was made from it.
    """

    engine: str
    python: str
    file: Path
    model: Path


def files_for_peers(files: Sequence[Path]) -> list[Path]:
    """The files that peers are given: int8 and float32, else the first.

    Each costs every peer a process; the other formats are ways to store the same floats.
    """
    chosen = [path for path in files if path.stem.endswith(("_int8", "_float32"))]
    return chosen or list(files[:1])


def find_peers(files: Sequence[Path], folder: Path, pythons: Sequence[str]) -> list[Peer | Skipped]:
    """Every peer for every file, or why not.

    Args:
        files: `.tflite` files.
        folder: for the files that are made.
        pythons: other Pythons to look in, after this one.
    """
    pythons = (sys.executable, *pythons)
    found: list[Peer | Skipped] = []
    for engine in PEER_ENGINES:
        python = _python_with((engine, *_RUNNER_NEEDS), pythons)
        if python is None:
            found.append(Skipped(engine, f"not installed; pip install {engine} numpy pillow"))
            continue
        for file in files:
            if engine != "onnxruntime":
                found.append(Peer(engine, python, file, file))
                continue
            model = _to_onnx(file, folder, pythons)
            made = isinstance(model, Path)
            found.append(Peer(engine, python, file, model) if made else Skipped(engine, model))  # type: ignore[arg-type]
    return found


def _python_with(modules: Sequence[str], pythons: Sequence[str]) -> str | None:
    """The first Python that has all the modules."""
    looking = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    for python in pythons:
        try:
            done = subprocess.run(
                [python, "-c", looking, *modules],
                capture_output=True,
                check=False,
                timeout=_IMPORT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):  # not a Python, so not one that has them
            continue
        if done.returncode == 0:
            return python
    return None


def _to_onnx(file: Path, folder: Path, pythons: Sequence[str]) -> Path | str:
    """Make an `.onnx` file of a `.tflite` file; a few words when that cannot be done."""
    python = _python_with(_CONVERTER, pythons)
    if python is None:
        return "no converter of its files; pip install tf2onnx beside tensorflow"
    made = folder / f"{file.stem}.onnx"
    command = [python, "-m", "tf2onnx.convert", "--tflite", str(file), "--output", str(made)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_CONVERT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"tf2onnx took over {_CONVERT_SECONDS} s for {file.name}"
    if done.returncode or not made.is_file():
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"tf2onnx does not convert {file.name} ({last.strip()[:120]})"
    return made
