"""What a benchmark knows of each machine: its state, and how long every variant took there.

A part of `benchmark.json`, which `edgebee.benchmarks.measure.results` describes as a whole.

Units: times in milliseconds, memory in megabytes (10^6 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Conditions", "Device", "Latency", "Ratio", "Reading", "Round", "Run", "Stages"]


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
class Round:
    """The samples of one round, in milliseconds, one a photo and in the order measured.

    Attributes:
        decode: as in Stages.
        resize: as in Stages.
        invoke: as in Stages.
    """

    decode: tuple[float, ...]
    resize: tuple[float, ...]
    invoke: tuple[float, ...]


@dataclass(frozen=True)
class Ratio:
    """How many times as long as the device's reference an invoke takes; below 1 is faster.

    Taken within each round, so that what slows a round slows both.

    Attributes:
        median: of the rounds' ratios of median invoke times.
        low: of the round with the smallest.
        high: of the round with the largest.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Run:
    """One variant timed on one device, in a process of its own.

    Attributes:
        variant: its name.
        runtime: library and version that ran it, as `ai-edge-litert 2.3.0`.
        threads: threads for invoking; null where the runtime chooses itself.
        load_ms: importing the runtime and loading the model.
        cold_start_ms: from the start of the process to its first prediction, files in the cache.
        peak_memory_mb: most resident memory of the process when all rounds were done.
        latency: over all rounds.
        ratio: to the device's reference; null for that and without one.
        rounds: the samples.
        compared: photos timed here whose label is compared with this machine's; null for
            this machine.
        same_predictions: how many of `compared` have the same label.
    """

    variant: str
    runtime: str
    threads: int | None
    load_ms: float
    cold_start_ms: float
    peak_memory_mb: float | None
    latency: Stages
    ratio: Ratio | None
    rounds: tuple[Round, ...]
    compared: int | None
    same_predictions: int | None


@dataclass(frozen=True)
class Reading:
    """The machine's state before the first round and after each; null where unreadable.

    Attributes:
        load: processes that wanted to run, mean of the last minute.
        frequency_mhz: of the first usable core.
        temperature_c: of the warmest sensor, degrees Celsius.
        throttled: what holds the clock down now, as the Pi's firmware or kernel says;
            empty when nothing does.
    """

    load: float | None
    frequency_mhz: float | None
    temperature_c: float | None
    throttled: tuple[str, ...] | None


@dataclass(frozen=True)
class Conditions:
    """The machine and its software.

    Attributes:
        processor: its name.
        board: of a Pi and other boards, the model; null elsewhere.
        architecture: as `x86_64`, `aarch64`.
        cores: that the process may use.
        memory_mb: of the machine.
        governor: of the clock, as `ondemand`; null where unreadable.
        system: operating system and kernel.
        python: version.
        versions: of the libraries that are installed, by name.
        readings: state over time.
    """

    processor: str
    board: str | None
    architecture: str
    cores: int
    memory_mb: int | None
    governor: str | None
    system: str
    python: str
    versions: dict[str, str]
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class Device:
    """One machine's column.

    Attributes:
        name: `this machine`, or `pi@host`.
        url: as given with `--device`; null for this machine.
        conditions: null when it was not reached.
        reference: name of the variant that its ratios are to; null without runs.
        runs: what was measured, whole or in part.
        noisy: whether rounds differed by so much that the times are rough.
        failure: what went wrong, in one line; null when all was measured.
    """

    name: str
    url: str | None
    conditions: Conditions | None
    reference: str | None
    runs: tuple[Run, ...]
    noisy: bool
    failure: str | None
