"""Probes as processes of their own, here or behind ssh: started, asked, ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from edgebee.errors import BenchmarkError

__all__ = ["ANSWER_SECONDS", "Closing", "Worker", "WorkerError"]

ANSWER_SECONDS = 300.0
"""Longer silence is taken for death; the slowest Pi needs a minute for a Pi 5's second."""

_Self = TypeVar("_Self", bound="Closing")

_END_SECONDS = 10.0
_SSH_FAILED = 255
"""Exit status of ssh when the connection failed or broke (ssh(1)); probes never use it."""


class WorkerError(BenchmarkError):
    """A probe that failed.

    Attributes:
        lost: whether the connection to its machine went with it.
    """

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class Closing(ABC):
    """Something for a `with` block, which is closed at its end."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds."""


class Worker(Closing):
    """A running probe.

    Args:
        command: what starts it.
        name: of what it measures, for messages.
        environment: variables besides this process's own.
        answer_seconds: longest silence.

    Attributes:
        ready: what the probe said of itself when it was.

    Raises:
        WorkerError: it could not be started or did not get ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.name = name
        self._answer_seconds = answer_seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(
                f"{name}: {command[0]} cannot be started ({error.strerror}); install it"
            ) from error
        threading.Thread(target=self._listen, name=f"answers of {name}", daemon=True).start()
        try:
            self.ready = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer.

        Raises:
            WorkerError: the command failed, or the probe ended or fell silent.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:  # it has ended; why is on its standard error
            raise self._ended() from error
        return self._answer()

    def close(self) -> None:
        """End the process: kindly, by the end of its input, then by force."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=self._answer_seconds)
        except queue.Empty as error:
            self._process.kill()
            raise WorkerError(
                f"{self.name}: no answer for {self._answer_seconds:.0f} s; it hangs or its "
                "machine does",
                lost=True,
            ) from error
        if line is None:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _ended(self) -> WorkerError:
        """Why it ended: the last line of its standard error."""
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it closed its output and went on
            self._process.kill()
            status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        last = f": {lines[-1].strip()}" if lines else ""
        return WorkerError(f"{self.name}: ended ({how}{last})", lost=status == _SSH_FAILED)
