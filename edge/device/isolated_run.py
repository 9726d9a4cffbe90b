"""Load a model and let it answer, in a process of its own: only that proves that it runs here.

Importing a runtime proves nothing: tflite-runtime imports under NumPy 2 and ends the process
when it is used. `python -m edgebee.edge.device.isolated_run MODEL` is that process; it prints one
JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgebee.child_python import module_command

__all__ = ["Trial", "main", "try_model"]

SECONDS = 120
"""Longer than the slowest Pi takes to import NumPy, load a model and answer for its samples."""
_REFUSED = 1


@dataclass(frozen=True)
class Trial:
    """How it went."""

    ended: Literal["answered", "refused", "crashed", "hung"]
    reason: str = ""
    """Why not `answered`."""
    runtime: str = ""
    """Package and version, such as `ai-edge-litert==2.3.0`."""
    load_ms: float = 0.0
    invoke_ms: float = 0.0
    """The median of five."""
    peak_mb: float = 0.0
    """The most memory that the process took."""
    selftest: dict[str, Any] | None = None
    """Of the golden samples, as `classify.SelfTest`; None if the model carries none."""


def try_model(
    model: str | os.PathLike[str], threads: int = 1, python: str = sys.executable
) -> Trial:
    """Run a model in a child process.

    Args:
        model: a `.tflite` file.
        threads: for the runtime.
        python: the interpreter to try it with; it needs edgebee.

    Returns:
        What became of it. A crash of the child is a result here, not an error.
    """
    module = "edgebee.edge.device.isolated_run"
    command = module_command(module, os.fspath(model), str(threads), python=python)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Trial("hung", f"no answer within {SECONDS} s")
    if done.returncode < 0:
        return Trial("crashed", f"the process ended with {_signal_name(-done.returncode)}")
    lines = done.stdout.strip().splitlines()
    if done.returncode not in {0, _REFUSED} or not lines:
        last = done.stderr.strip().splitlines() or ["it said nothing"]
        return Trial("crashed", f"exit status {done.returncode}: {last[-1]}")
    return Trial(**json.loads(lines[-1]))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def main(arguments: list[str]) -> int:
    """The child: `MODEL THREADS`. Prints a `Trial` as JSON."""
    from edgebee.edge.classify import EdgebeeError

    try:
        trial = _run(Path(arguments[0]), int(arguments[1]))
    except EdgebeeError as error:
        trial = Trial("refused", str(error))
    print(json.dumps(asdict(trial)))
    return 0 if trial.ended == "answered" else _REFUSED


def _run(model: Path, threads: int) -> Trial:
    import numpy as np

    from edgebee.edge.classify import make_interpreter, read_manifest, selftest

    start = time.perf_counter()
    interpreter = make_interpreter(model, threads)
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
    return Trial(
        ended="answered",
        runtime=_installed(type(interpreter).__module__.partition(".")[0].replace("_", "-")),
        load_ms=round(load_ms, 1),
        invoke_ms=round(sorted(times)[2], 2),
        peak_mb=round(_peak_memory_mb(), 1),
        selftest=result._asdict() if result else None,
    )


def _peak_memory_mb() -> float:
    """The most resident memory of this process.

    Not `getrusage` where Linux can tell better: its maximum outlives an `exec` and would be that
    of the parent.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{package}=={version(package)}"
    except PackageNotFoundError:
        return package


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
