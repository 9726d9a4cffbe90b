"""Run cases in child processes that may crash, hang or swell, and count what became of them."""

from __future__ import annotations

import collections
import contextlib
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

__all__ = ["CPU_SECONDS", "MEMORY_MB", "Fault", "Report", "attack"]

CPU_SECONDS = 5
"""A case that takes longer hangs. CPU time, so that a busy machine is not taken for one."""
MEMORY_MB = 512
"""The most that the process may ever hold, interpreter and libraries included."""
SILENT_SECONDS = 120
"""A case that waits so long without working is stuck."""
BATCH = 500
"""Cases of one child: a fork costs little, and what one case leaves behind ends with it."""
ADDRESS_SPACE_BYTES = 6 << 30
"""What a bomb may ask for before it is told no; an excess over `MEMORY_MB` is to be seen, not
to be turned into a MemoryError that is handled well."""


@dataclass(frozen=True)
class Fault:
    """A case that ended otherwise than it should."""

    case: int
    what: str


@dataclass
class Report:
    """What became of the cases."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[Fault] = field(default_factory=list)
    peak_mb: int = 0
    """The most memory that a child ever held."""
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many were tried."""
        return sum(self.outcomes.values()) + len(self.faults)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        return (
            f"{self.cases} cases: {counts or 'none came through'}; {len(self.faults)} faults; "
            f"peak {self.peak_mb} MB; {self.seconds:.0f} s"
        )


def attack(
    cases: Iterable[int],
    try_case: Callable[[int], str],
    *,
    cpu_seconds: float = CPU_SECONDS,
    memory_mb: int = MEMORY_MB,
    batch: int = BATCH,
    every: Callable[[Report], object] | None = None,
) -> Report:
    """Try every case in a child process.

    Args:
        cases: their numbers.
        try_case: does one and names the outcome; raises when there is a fault. A death of
            the process is one as well. What native code says on standard error is counted.
        cpu_seconds: more is a hang.
        memory_mb: more is a fault.
        batch: cases of one child.
        every: called after each child.
    """
    report, started = Report(), time.monotonic()
    left = collections.deque(cases)
    while left:
        todo = [left.popleft() for _ in range(min(batch, len(left)))]
        done = _run_child(todo, try_case, cpu_seconds, memory_mb, report)
        left.extendleft(reversed(todo[done:]))
        report.seconds = time.monotonic() - started
        if every:
            every(report)
    return report


def _run_child(
    todo: list[int],
    try_case: Callable[[int], str],
    cpu_seconds: float,
    memory_mb: int,
    report: Report,
) -> int:
    """Let one child do cases until it is through or dies; return how many are done with."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_child(todo, try_case, cpu_seconds, memory_mb, writing)
    os.close(writing)
    done = 0
    for line in _lines(reading, pid):
        kind, _, text = line.partition("\t")
        if kind == "peak":
            report.peak_mb = max(report.peak_mb, int(text))
            continue
        if kind == "fault":
            report.faults.append(Fault(todo[done], text.replace("\\n", "\n")))
        else:
            report.outcomes[text] += 1
        done += 1
    _, status = os.waitpid(pid, 0)
    if done < len(todo) and (os.WIFSIGNALED(status) or os.WEXITSTATUS(status)):
        report.faults.append(Fault(todo[done], _death(status, cpu_seconds)))
        done += 1
    return done


def _death(status: int, cpu_seconds: float) -> str:
    if not os.WIFSIGNALED(status):
        return f"the process ended with status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGPROF:
        return f"hang: over {cpu_seconds:g} s of CPU time"
    if number == signal.SIGKILL:
        return f"stuck: no sign of life for {SILENT_SECONDS} s"
    return f"crash: {signal.Signals(number).name}"


def _lines(reading: int, pid: int) -> Iterator[str]:
    """What a child reports, until it ends or is silent too long and is ended."""
    rest = b""
    with contextlib.closing(os.fdopen(reading, "rb", buffering=0)) as pipe:
        while True:
            if not select.select([pipe], [], [], SILENT_SECONDS)[0]:
                os.kill(pid, signal.SIGKILL)
            chunk = pipe.read(1 << 16)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")


def _memory_mb(field: str) -> int:
    """A field of the process's status: `VmHWM`, the most memory it held, or `VmRSS`, as of now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(field))


def _be_child(
    todo: list[int],
    try_case: Callable[[int], str],
    cpu_seconds: float,
    memory_mb: int,
    writing: int,
) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
    os.dup2(said.fileno(), 2)

    def tell(kind: str, text: str) -> None:
        escaped = text.strip().replace("\n", "\\n")
        os.write(writing, f"{kind}\t{escaped[-2000:]}\n".encode(errors="replace"))

    peak, at_start = 0, _memory_mb("VmRSS")  # a fork begins with its parent's memory
    for case in todo:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        try:
            outcome, fault = try_case(case), ""
        except BaseException:  # noqa: BLE001 - that is what is looked for
            outcome, fault = "", traceback.format_exc()
        signal.setitimer(signal.ITIMER_PROF, 0)
        peak = _memory_mb("VmHWM") - at_start
        sys.stderr.flush()
        said.seek(0)
        if said.read(1):
            outcome += " (library talked)"
            said.seek(0)
            said.truncate()
        if peak > memory_mb:
            fault = fault or f"memory: {peak} MB"
        tell("fault" if fault else "outcome", fault or outcome)
        if peak > memory_mb:
            break  # the next child starts small again
    tell("peak", str(peak))
    os._exit(0)
