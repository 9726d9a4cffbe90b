"""Timing models against each other on one machine, in rounds.

Each model waits in a process of its own. In every round each is timed once, each round begins
with another one, so that a machine that warms up, slows down or is disturbed treats all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgebee.benchmarks.measure.devices import Conditions, Device, Reading, Round, Run
from edgebee.benchmarks.measure.latency import compare_rounds, is_noisy, summarise_rounds
from edgebee.benchmarks.measure.workers import Worker, WorkerError
from edgebee.edge.classify import available_cpus
from edgebee.edge.device.machine import describe_machine, read_state

__all__ = ["Timing", "first_choice", "measure_device"]

WARM_UP = 3
"""Invokes before each block of samples that are not counted."""

Progress = Callable[[str], object]


@dataclass
class Timing:
    """What has been measured so far of one variant on one machine."""

    variant: str
    worker: Worker
    rounds: list[Round] = field(default_factory=list)
    predictions: tuple[int, ...] = ()
    """Class index given to each timed photo."""
    peak_memory_mb: float | None = None
    failed: bool = False


def first_choice(names: Sequence[str]) -> str | None:
    """The variant that times are held against where there is no Keras: float32, else the first."""
    floats = [name for name in names if name.endswith("_float32.tflite")]
    return next(iter([*floats, *names]), None)


def measure_device(
    name: str,
    url: str | None,
    timings: Sequence[Timing],
    photos: Sequence[str],
    *,
    rounds: int,
    reference: str | None,
    home: Mapping[str, Sequence[int]] | None = None,
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
        progress: called with a few words before each block.
        keep: called after each round with what has been measured so far.
    """
    conditions = Conditions(readings=(), **describe_machine(available_cpus()))
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
    timing.predictions = tuple(answer["predictions"])


def _read_memory(timing: Timing) -> None:
    timing.peak_memory_mb = timing.worker.ask("memory")["peak_memory_mb"]


def _run(timing: Timing, reference: Timing | None, home: Mapping[str, Sequence[int]] | None) -> Run:
    """The result of one variant, of one round at least."""
    ready: dict[str, Any] = timing.worker.ready
    compared = reference is not None and reference is not timing
    at_home = (home or {}).get(timing.variant)  # a model may have failed there
    same = None
    if at_home is not None:
        same = sum(a == b for a, b in zip(timing.predictions, at_home, strict=True))
    return Run(
        variant=timing.variant,
        runtime=ready["runtime"],
        threads=ready["threads"],
        load_ms=ready["load_ms"],
        cold_start_ms=ready["cold_start_ms"],
        peak_memory_mb=timing.peak_memory_mb,
        latency=summarise_rounds(timing.rounds),
        ratio=compare_rounds(timing.rounds, reference.rounds) if reference and compared else None,
        rounds=tuple(timing.rounds),
        compared=None if at_home is None else len(timing.predictions),
        same_predictions=same,
    )
