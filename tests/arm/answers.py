"""The runner's answers on this machine, and how they compare with another's.

    python answers.py write RUNNER MODEL PHOTOS OUT    pixels and scores of every photo
    python answers.py compare HERE THERE               what differs, in words

Needs what the runner needs. Decoding and invoking are told apart: THERE also scores the
pixels that were decoded HERE (in `OUT.npz`), so that a difference has one cause.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL


def load(runner: Path) -> ModuleType:
    """The lone file as a module."""
    spec = importlib.util.spec_from_file_location("classify", runner)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["classify"] = module
    spec.loader.exec_module(module)
    return module


def runtime() -> str:
    """Name and version of the TFLite runtime that the runner takes."""
    for name in ("ai-edge-litert", "tflite-runtime"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown runtime"


def without_xnnpack(model: Path) -> Any:
    """An interpreter with the built-in kernels alone, as tflite-runtime 2.14 is; else None."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        return None
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(model), num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    return interpreter


def write(runner: Path, model: Path, photos: Path, out: Path) -> None:
    """Decode and score all photos; score the pixels in `out.npz` too, or write them there."""
    classify = load(runner)
    interpreter = classify.make_interpreter(model, 1)
    builtin = without_xnnpack(model) or interpreter
    size = tuple(int(side) for side in interpreter.get_input_details()[0]["shape"][1:3])
    pixels = {path.name: classify.read_photo(path, size) for path in sorted(photos.iterdir())}
    shared = out.with_suffix(".npz")
    if not shared.exists():
        np.savez(shared, **pixels)
    with np.load(shared) as theirs:
        answers = {
            name: {
                "pixels": hashlib.sha256(own.tobytes()).hexdigest(),
                "pixel_difference": int(np.abs(own.astype(int) - theirs[name]).max()),
                "scores": classify.invoke(interpreter, own).tolist(),
                "scores_of_shared_pixels": classify.invoke(interpreter, theirs[name]).tolist(),
                "builtin": classify.invoke(builtin, theirs[name]).tolist(),
            }
            for name, own in pixels.items()
        }
    versions = f"NumPy {np.__version__}, Pillow {PIL.__version__}, {runtime()}"
    machine = f"{platform.machine()}, Python {platform.python_version()}, {versions}"
    labels = classify.read_labels(model)
    out.write_text(json.dumps({"machine": machine, "labels": labels, "answers": answers}))


def compare(here: dict[str, Any], there: dict[str, Any]) -> str:
    """A few lines: pixels, scores of the same pixels, scores and labels end to end."""
    ours, theirs = here["answers"], there["answers"]
    assert ours.keys() == theirs.keys()
    names = sorted(ours)
    same_pixels = sum(ours[name]["pixels"] == theirs[name]["pixels"] for name in names)
    most = max(theirs[name]["pixel_difference"] for name in names)
    lines = [
        f"{there['machine']}  against  {here['machine']}",
        f"decoding: {same_pixels} of {len(names)} photos to the bit; greatest difference {most}",
    ]
    for what, title in (
        ("builtin", "same pixels, built-in kernels"),
        ("scores_of_shared_pixels", "same pixels, default kernels"),
        ("scores", "photo to scores"),
    ):
        gaps = [np.abs(np.subtract(ours[n][what], theirs[n][what])).max() for n in names]
        same = sum(gap == 0 for gap in gaps)
        labels = sum(np.argmax(ours[n][what]) == np.argmax(theirs[n][what]) for n in names)
        lines.append(
            f"{title}: {same} of {len(names)} equal to the bit, greatest difference "
            f"{max(gaps):.4f}, same label {labels} of {len(names)}"
        )
        for n in names:
            if np.argmax(ours[n][what]) != np.argmax(theirs[n][what]):
                lines.append(f"    {n}: {max(ours[n][what]):.3f} here, {max(theirs[n][what]):.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    verb, *paths = sys.argv[1], *map(Path, sys.argv[2:])
    if verb == "write":
        write(*paths)
    else:
        print(compare(*(json.loads(path.read_text()) for path in paths)))
