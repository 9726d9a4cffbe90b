"""What a benchmark knows of each machine: its state, and how long every variant took there.

A part of `benchmark.json`, which `edgebee.benchmarks.measure.results` describes as a whole.

Units: times in milliseconds, memory in megabytes (10^6 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Conditions", "Device", "Latency", "Run", "Stages"]


@dataclass(frozen=True)
class Latency:
    """Milliseconds a photo, over all rounds.

    Attributes:
        p50: median.
        p95: 95th percentile.
        spread: (slowest - fastest) / median of the rounds' own medians: 0.1 means that the
            rounds differ by a tenth. What a repetition may bring; null with one round.
    """

    p50: float
    p95: float
    spread: float | None


@dataclass(frozen=True)
class Stages:
    """Where a photo's time goes.

    Attributes:
        decode: opening and decoding the file, colour and orientation.
        resize: scaling and cutting.
        invoke: pixels to scores.
        whole: file to scores: decode, resize and invoke, of the same photos.
    """

    decode: Latency
    resize: Latency
    invoke: Latency
    whole: Latency


@dataclass(frozen=True)
class Run:
    """One variant timed on one device, in a process of its own.

    Attributes:
        variant: its name.
        runtime: library and version that ran it, as `ai-edge-litert 2.3.0`.
        threads: threads for invoking; null where the runtime chooses itself.
        load_ms: importing the runtime and loading the model.
        cold_start_ms: from the start of the process to its first prediction, files in the cache.
        peak_memory_mb: most resident memory of the process up to its first prediction.
        latency: over all rounds.
        ratio: how many times as long as the device's reference an invoke takes, the median of the
            rounds' own: what slows a round slows both. Null for the reference itself.
        same_predictions: of the photos timed on a device, how many have the same label as on the
            benchmark's own machine; null for that.
    """

    variant: str
    runtime: str
    threads: int | None
    load_ms: float
    cold_start_ms: float
    peak_memory_mb: float | None
    latency: Stages
    ratio: float | None
    same_predictions: int | None


@dataclass(frozen=True)
class Conditions:
    """The machine and its software; null where unreadable.

    Attributes:
        processor: its name.
        board: of a Pi and other boards, the model; null elsewhere.
        architecture: as `x86_64`, `aarch64`.
        governor: of the clock, as `ondemand`.
        system: operating system and kernel.
        python: version.
        cores: that the process may use.
        temperature_c: of the warmest sensor after the last round, degrees Celsius.
        throttled: what held the clock down then, as the Pi's firmware or kernel says; empty when
            nothing did.
    """

    processor: str
    board: str | None
    architecture: str
    governor: str | None
    system: str
    python: str
    cores: int
    temperature_c: float | None
    throttled: tuple[str, ...] | None


@dataclass(frozen=True)
class Device:
    """One machine's column.

    Attributes:
        name: `this machine`, or `pi@host`.
        url: as given with `--device`; null for this machine.
        conditions: null when it could not be measured.
        reference: name of the variant that its ratios are to; null without runs.
        runs: what was measured.
        noisy: whether rounds differed by so much that the times are rough.
        failure: why it could not be measured, in one line.
    """

    name: str
    url: str | None
    conditions: Conditions | None = None
    reference: str | None = None
    runs: tuple[Run, ...] = ()
    noisy: bool = False
    failure: str | None = None
