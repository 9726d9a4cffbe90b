"""Load a model and invoke it in a process of its own: only that proves that it runs here.

Importing a runtime proves nothing: tflite-runtime imports under NumPy 2 and ends the process
when it is used. `python -m edgebee.edge.device.isolated_run MODEL` is that process; it prints one
JSON object.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgebee.child_python import module_command
from edgebee.edge.device.machine import installed_versions

__all__ = ["IsolatedRun", "main", "run_isolated"]

SECONDS = 120
"""Longer than the slowest Pi takes to import NumPy, load a model and answer for its samples."""
_REFUSED = 1


@dataclass(frozen=True)
class IsolatedRun:
    """How it ended, and what was measured."""

    ended: Literal["answered", "refused", "crashed", "hung"]
    reason: str = ""
    """Why not `answered`."""
    runtime: str = ""
    """Package and version, such as `ai-edge-litert==2.3.0`."""
    load_ms: float = 0.0
    invoke_ms: float = 0.0
    """The median of five."""
    selftest: dict[str, Any] | None = None
    """Of the golden samples, as `classify.SelfTest`; None if the model carries none."""


def run_isolated(
    model: str | os.PathLike[str], python: str = sys.executable, size: tuple[int, int] | None = None
) -> IsolatedRun:
    """Run a model in a child process.

    Args:
        model: a `.tflite` file.
        python: the interpreter to try it with; it needs edgebee.
        size: height and width of the photos, for a model that takes any.

    Returns:
        What became of it. A crash of the child is a result here, not an error.
    """
    module = "edgebee.edge.device.isolated_run"
    arguments = os.fspath(model), *map(str, size or ())
    command = module_command(module, *arguments, python=python)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return IsolatedRun("hung", f"no answer within {SECONDS} s")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return IsolatedRun("crashed", f"the process ended with {name}")
    lines = done.stdout.strip().splitlines()
    if done.returncode not in {0, _REFUSED} or not lines:
        last = done.stderr.strip().splitlines() or ["it printed nothing"]
        return IsolatedRun("crashed", f"exit status {done.returncode}: {last[-1]}")
    return IsolatedRun(**json.loads(lines[-1]))


def main(arguments: list[str]) -> int:
    """The child: `MODEL [HEIGHT WIDTH]`. Prints a `IsolatedRun` as JSON."""
    from edgebee.edge.classify import EdgebeeError

    try:
        size = [*map(int, arguments[1:])]
        result = _run(Path(arguments[0]), (size[0], size[1]) if size else None)
    except EdgebeeError as error:
        result = IsolatedRun("refused", str(error))
    print(json.dumps(asdict(result)))
    return 0 if result.ended == "answered" else _REFUSED


def _run(model: Path, size: tuple[int, int] | None) -> IsolatedRun:
    import numpy as np

    from edgebee.edge.classify import available_cpus, make_interpreter, read_manifest, selftest

    start = time.perf_counter()
    interpreter = make_interpreter(model, available_cpus(), size=size)
    entry = interpreter.get_input_details()[0]
    interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    interpreter.invoke()  # the first one prepares the kernels
    load_ms = (time.perf_counter() - start) * 1e3
    times = []
    for _ in range(5):
        start = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - start) * 1e3)
    result = selftest(model) if read_manifest(model).get("golden") else None
    return IsolatedRun(
        ended="answered",
        runtime=_installed(type(interpreter).__module__.partition(".")[0].replace("_", "-")),
        load_ms=round(load_ms, 1),
        invoke_ms=round(sorted(times)[2], 2),
        selftest=result._asdict() if result else None,
    )


def _installed(package: str) -> str:
    return "==".join([package, *installed_versions([package]).values()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
