"""The same models and photos on a device that is reached by ssh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.hosts import Ssh, SshUrl
from edgebee.benchmarks.measure.plan import Plan, Subject, first_choice
from edgebee.benchmarks.measure.timing import Timing, describe, measure_device
from edgebee.benchmarks.measure.workers import WorkerError
from edgebee.errors import BenchmarkError

__all__ = ["measure_there"]


def measure_there(
    url: SshUrl,
    subject: Subject,
    plan: Plan,
    timed: Sequence[int],
    home: dict[str, list[int]],
    progress: Callable[[str], object],
) -> Device:
    """Time every `.tflite` on a device; what fails is in the result."""
    photos = {f"photos/{one}{subject.paths[one].suffix}": subject.paths[one] for one in timed}
    files = {file.name: file for file in subject.files} | photos
    failures: list[str] = []
    conditions = None
    try:
        progress(f"copying to {url.host}")
        with ExitStack() as running:
            there = running.enter_context(Ssh(url, files, options=plan.ssh_options))
            machine = running.enter_context(there.start("machine", ["machine"]))
            conditions = describe(machine)
            timings = []
            for file in subject.files:
                progress(f"{url.host}: {file.name}")
                arguments = ["tflite", file.name, "--first", next(iter(photos))]
                try:
                    worker = running.enter_context(there.start(file.name, arguments))
                except WorkerError as error:
                    failures.append(str(error))
                    if error.lost:
                        raise
                else:
                    timings.append(Timing(file.name, worker))
            device = measure_device(
                url.host,
                url.text,
                machine,
                timings,
                list(photos),
                rounds=plan.rounds,
                reference=first_choice([timing.variant for timing in timings]),
                home=home,
                sweep=plan.sweep,
                progress=progress,
            )
        failures += [device.failure] if device.failure else []
        return replace(device, failure="; ".join(failures) or None)
    except BenchmarkError as error:
        failure = "; ".join(dict.fromkeys([*failures, str(error)]))
        return Device(url.host, url.text, conditions, None, (), noisy=False, failure=failure)
