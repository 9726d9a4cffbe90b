"""Timing models against each other on one machine, in rounds.

Each model waits in a process of its own. In every round each is timed once, each round begins
with another one, so that a machine that warms up, slows down or is disturbed treats all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgebee.benchmarks.measure.devices import Conditions, Device, Run
from edgebee.benchmarks.measure.latency import Round, compare_rounds, is_noisy, summarise_rounds
from edgebee.benchmarks.measure.workers import Worker
from edgebee.edge.classify import available_cpus
from edgebee.edge.device.machine import describe_machine, read_state

__all__ = ["measure_device"]

WARM_UP = 3
"""Invokes before each block of samples that are not counted."""


def measure_device(
    name: str,
    url: str | None,
    workers: Mapping[str, Worker],
    photos: Sequence[str],
    *,
    rounds: int,
    home: Mapping[str, Sequence[int]] | None = None,
    progress: Callable[[str], object] = lambda text: None,
) -> Device:
    """Time models that are ready, on this machine.

    Args:
        name: of the machine.
        url: as it was given with `--device`; None for the machine of the benchmark itself.
        workers: the probe of each variant, by its name. Ratios are to Keras, without it to
            float32, else to the first.
        photos: files, timed in every round.
        rounds: how many.
        home: predictions for the same photos by variant on the benchmark's own machine, for a
            device.
        progress: called with a few words before each block.

    Raises:
        WorkerError: a model failed.
    """
    names = list(workers)
    reference = min(
        names, key=lambda one: (not one.endswith(".keras"), not one.endswith("_float32.tflite"))
    )
    timed: dict[str, list[Round]] = {one: [] for one in names}
    predictions: dict[str, list[int]] = {}
    for number in range(rounds):
        start = number % len(names)
        for one in [*names[start:], *names[:start]]:
            progress(f"{one}: round {number + 1}")
            answer = workers[one].ask("round", photos=list(photos), warm_up=WARM_UP)
            predictions[one] = answer.pop("predictions")
            timed[one].append(Round(**{stage: tuple(ms) for stage, ms in answer.items()}))

    def run(one: str) -> Run:
        ready = workers[one].ready
        same = None
        if home is not None:
            same = sum(a == b for a, b in zip(predictions[one], home[one], strict=True))
        return Run(
            variant=one,
            runtime=ready["runtime"],
            threads=ready["threads"],
            load_ms=ready["load_ms"],
            cold_start_ms=ready["cold_start_ms"],
            peak_memory_mb=ready["peak_memory_mb"],
            latency=summarise_rounds(timed[one]),
            ratio=None if one == reference else compare_rounds(timed[one], timed[reference]),
            same_predictions=same,
        )

    runs = tuple(run(one) for one in names)
    return Device(
        name=name,
        url=url,
        conditions=Conditions(cores=available_cpus(), **describe_machine(), **read_state()),
        reference=reference,
        runs=runs,
        noisy=is_noisy([one.latency.whole for one in runs]),
    )
