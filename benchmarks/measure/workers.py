"""Probes as child processes: started, given commands, ended."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

from edgebee.benchmarks.measure.probe import STARTED
from edgebee.child_python import module_command
from edgebee.errors import BenchmarkError

__all__ = ["ANSWER_SECONDS", "Worker", "WorkerError", "start_probe"]

ANSWER_SECONDS = 300.0
"""Longer silence is taken for death; the slowest Pi needs a minute for a Pi 5's second."""

_END_SECONDS = 10.0
_PROBE = "edgebee.benchmarks.measure.probe"


class WorkerError(BenchmarkError):
    """A probe that failed."""


class Worker:
    """A running probe, for a `with` block.

    Args:
        command: what starts it.
        name: of what it measures, for messages.
        answer_seconds: longest silence.

    Attributes:
        ready: what the probe reported when it was ready.

    Raises:
        WorkerError: it did not get ready.
    """

    def __init__(
        self, command: Sequence[str], name: str, *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self.name = name
        self._answer_seconds, self._hangs = answer_seconds, False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `__exit__`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, STARTED: str(time.monotonic_ns())},
        )
        try:
            self.ready = self._answer()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        """End the process: by the end of its input, and by force where that is not enough."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended already
            self._process.stdin.close()
        self._wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer.

        Raises:
            WorkerError: the command failed, or the probe ended or fell silent.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, and gives no answer
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        silence = threading.Timer(self._answer_seconds, self._give_up)
        silence.start()
        try:
            line = self._process.stdout.readline()
        finally:
            silence.cancel()
        if self._hangs:
            raise WorkerError(f"{self.name}: no answer for {self._answer_seconds:.0f} s; it hangs")
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _give_up(self) -> None:
        self._hangs = True
        self._process.kill()

    def _wait(self) -> int:
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _ended(self) -> WorkerError:
        """Why it ended: the last line of its standard error."""
        status = self._wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        last = f": {lines[-1].strip()}" if lines else ""
        return WorkerError(f"{self.name}: ended ({how}{last})")


def start_probe(
    name: str, model: str, *, first: str, threads: int | None = None, module: str = _PROBE
) -> Worker:
    """Start a probe, which loads a model and classifies one photo.

    Args:
        name: of the variant, for messages.
        model: file.
        first: photo for the first prediction.
        threads: for invoking; None takes all cores.
        module: of the probe, edgebee's full name for it.

    Raises:
        WorkerError: it does not get ready.
    """
    arguments = [model, "--first", first]
    arguments += ["--threads", str(threads)] if threads else []
    return Worker(module_command(module, *arguments), name)
