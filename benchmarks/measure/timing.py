"""Timing models against each other on one machine, in rounds.

Each model waits in a process of its own. In every round each is timed once, each round begins
with another one, so that a machine that warms up, slows down or is disturbed treats all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgebee.benchmarks.measure.devices import Conditions, Device, Reading, Round, Run, ThreadTiming
from edgebee.benchmarks.measure.latency import (
    compare_rounds,
    is_noisy,
    summarise,
    summarise_rounds,
    throughput,
)
from edgebee.benchmarks.measure.workers import Worker, WorkerError
from edgebee.edge.classify import available_cpus
from edgebee.edge.device.machine import describe_machine, read_state

__all__ = ["Timing", "measure_device", "thread_counts"]

WARM_UP = 3
"""Invokes before each block of samples that are not counted."""

SWEEP_ROUNDS = 3
SWEEP_INVOKES = 10

Progress = Callable[[str], object]


@dataclass
class Timing:
    """What has been measured so far of one variant on one machine."""

    variant: str
    worker: Worker
    rounds: list[Round] = field(default_factory=list)
    answers: tuple[int, ...] = ()
    """Class index given to each timed photo."""
    warm_up: int = 1
    """Invokes that were not counted; the first answer is one."""
    peak_memory_mb: float | None = None
    swept: dict[int, list[list[float]]] = field(default_factory=dict)
    failed: bool = False


def thread_counts(cores: int) -> list[int]:
    """One, two, four and so on up to all cores: more are far slower, not faster."""
    powers = [2**power for power in range(cores.bit_length())]
    return sorted({*(count for count in powers if count <= cores), cores})


def measure_device(
    name: str,
    url: str | None,
    timings: Sequence[Timing],
    photos: Sequence[str],
    *,
    rounds: int,
    reference: str | None,
    home: Mapping[str, Sequence[int]] | None = None,
    sweep: bool = True,
    progress: Progress = lambda text: None,
    keep: Callable[[Device], object] = lambda device: None,
) -> Device:
    """Time models that are ready, on this machine; a model that fails leaves the others.

    Args:
        name: of the machine.
        url: as it was given with `--device`; None for the machine of the benchmark itself.
        timings: models, each with its probe; filled here.
        photos: files, timed in every round.
        rounds: how many.
        reference: variant that the ratios are to.
        home: predictions for the same photos by variant on the benchmark's own machine, for a
            device.
        sweep: whether other numbers of threads are timed too.
        progress: called with a few words before each block.
        keep: called after each round with what has been measured so far.
    """
    cores = available_cpus()
    conditions = Conditions(readings=(), **describe_machine(cores))
    failures: list[str] = []
    readings = [_read_state()]

    def measured() -> Device:
        by_name = {timing.variant: timing for timing in timings if timing.rounds}
        runs = tuple(_run(one, by_name.get(reference or ""), home) for one in by_name.values())
        return Device(
            name=name,
            url=url,
            conditions=replace(conditions, readings=tuple(readings)),
            reference=reference if reference in by_name else None,
            runs=runs,
            noisy=is_noisy([run.latency.whole for run in runs]),
            failure="; ".join(dict.fromkeys(failures)) or None,
        )

    for number in range(rounds):
        start = number % max(1, len(timings))
        for timing in [*timings[start:], *timings[:start]]:
            progress(f"{timing.variant}: round {number + 1}")
            _attempt(timing, failures, lambda t=timing: _time_round(t, photos))  # type: ignore[misc]
        readings.append(_read_state())
        keep(measured())
    for timing in timings:
        _attempt(timing, failures, lambda t=timing: _read_memory(t))  # type: ignore[misc]
    if sweep:
        _sweep(timings, cores, failures, progress)
    return measured()


def _attempt(timing: Timing, failures: list[str], measure: Callable[[], None]) -> None:
    """Measure, unless the model has failed before; note it when it does now."""
    if timing.failed:
        return
    try:
        measure()
    except WorkerError as error:
        timing.failed = True
        failures.append(str(error))


def _read_state() -> Reading:
    state = read_state()
    throttled = state.pop("throttled")
    return Reading(throttled=None if throttled is None else tuple(throttled), **state)


def _time_round(timing: Timing, photos: Sequence[str]) -> None:
    answer = timing.worker.ask("round", photos=list(photos), warm_up=WARM_UP)
    timing.rounds.append(
        Round(tuple(answer["decode"]), tuple(answer["resize"]), tuple(answer["invoke"]))
    )
    timing.answers = tuple(answer["answers"])
    timing.warm_up += WARM_UP


def _read_memory(timing: Timing) -> None:
    timing.peak_memory_mb = timing.worker.ask("memory")["peak_memory_mb"]


def _sweep(timings: Sequence[Timing], cores: int, failures: list[str], progress: Progress) -> None:
    """Time other numbers of threads, after the memory was read: each loads the model again."""
    able = [timing for timing in timings if timing.worker.ready["sweeps"]]

    def invokes(timing: Timing, threads: int) -> None:
        answer = timing.worker.ask("sweep", threads=threads, count=SWEEP_INVOKES, warm_up=WARM_UP)
        timing.swept.setdefault(threads, []).append(answer["invoke"])

    for number in range(SWEEP_ROUNDS):
        progress(f"threads: round {number + 1}")
        for threads in thread_counts(cores):
            for timing in able:
                _attempt(timing, failures, lambda t=timing, n=threads: invokes(t, n))  # type: ignore[misc]


def _run(timing: Timing, reference: Timing | None, home: Mapping[str, Sequence[int]] | None) -> Run:
    """The result of one variant, of one round at least."""
    ready: dict[str, Any] = timing.worker.ready
    compared = reference is not None and reference is not timing
    at_home = (home or {}).get(timing.variant)  # a model may have failed there
    same = None
    if at_home is not None:
        same = sum(a == b for a, b in zip(timing.answers, at_home, strict=True))
    return Run(
        variant=timing.variant,
        runtime=ready["runtime"],
        threads=ready["threads"],
        load_ms=ready["load_ms"],
        cold_start_ms=ready["cold_start_ms"],
        peak_memory_mb=timing.peak_memory_mb,
        warm_up=timing.warm_up,
        latency=summarise_rounds(timing.rounds),
        throughput=throughput(timing.rounds),
        ratio=compare_rounds(timing.rounds, reference.rounds) if reference and compared else None,
        rounds=tuple(timing.rounds),
        threads_sweep=tuple(
            ThreadTiming(threads, summarise(samples))
            for threads, samples in sorted(timing.swept.items())
        ),
        answers=None if at_home is None else len(timing.answers),
        same_answers=same,
    )
