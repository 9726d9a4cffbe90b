"""What a benchmark knows: the dataclasses behind `benchmark.json`.

Everything that the tables, the report page and the baseline's gate show is in a `Results` or
computed from it. `results_file` writes, reads and describes the file; its JSON Schema is made from
these classes (`edgebee benchmark --schema`), so that it cannot drift from the files. A field that
is added keeps `format_version`; one that is taken away or changes its meaning raises it.

Units: times in milliseconds, shares 0-1, sizes in bytes, memory in megabytes (10^6 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "FORMAT_VERSION",
    "Absent",
    "Accuracy",
    "Against",
    "Bin",
    "ClassFigures",
    "Conditions",
    "Data",
    "Device",
    "Interval",
    "Latency",
    "Photo",
    "Ratio",
    "Reading",
    "Results",
    "Round",
    "Run",
    "Settings",
    "Stages",
    "Swept",
    "Variant",
]

FORMAT_VERSION: Literal[1] = 1


@dataclass(frozen=True)
class Interval:
    """The ends of a confidence interval.

    Attributes:
        low: lower end, 0-1.
        high: upper end, 0-1.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Photo:
    """A photo that every variant was asked about.

    Attributes:
        name: the path below the data's root, with `/`.
        label: index of the right label.
    """

    name: str
    label: int


@dataclass(frozen=True)
class Data:
    """The photos.

    Attributes:
        name: of the data set.
        source: what loads it again: `hymenoptera`, `sample` or an absolute path.
        root: the folder that the photos' names are below.
        drawn: whether these are drawings, on which nothing measured is a result.
        labels: in the order of the scores.
        photos: those that could be read.
        skipped: a message for each that could not.
    """

    name: str
    source: str
    root: str
    drawn: bool
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class ClassFigures:
    """What became of one class.

    Attributes:
        label: its name.
        photos: how many there are.
        precision: share right of the photos that were given this label; null when none was.
        recall: share of this class's photos that were given its label; null without photos.
    """

    label: str
    photos: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Bin:
    """Photos whose best score lies in one range, for the reliability curve.

    Attributes:
        low: lower end of the range.
        high: upper end.
        photos: how many; empty bins are listed too.
        score: mean best score; null when empty.
        right: share that was right; null when empty.
    """

    low: float
    high: float
    photos: int
    score: float | None
    right: float | None


@dataclass(frozen=True)
class Against:
    """A variant held against the reference on the same photos.

    Attributes:
        agreement: share of photos that both give the same label.
        gained: photos that the variant has right and the reference wrong.
        lost: photos that the reference has right and the variant wrong.
        p: exact two-sided McNemar p of `gained` and `lost`: how often chance alone would make
            them differ so much.
    """

    agreement: float
    gained: int
    lost: int
    p: float


@dataclass(frozen=True)
class Accuracy:
    """What a variant got right, and how sure that is.

    Attributes:
        correct: photos whose best score is that of the right label.
        total: photos.
        interval: Wilson's 95 % interval of the share that is right.
        confusion: `[label][answer]`, photos of each label that were given each answer.
        classes: precision and recall, one for each label.
        calibration_error: expected calibration error over `bins`, 0-1.
        bins: equally wide ranges of the best score from 0 to 1.
        against: held against the reference; null for itself and without one.
    """

    correct: int
    total: int
    interval: Interval
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassFigures, ...]
    calibration_error: float
    bins: tuple[Bin, ...]
    against: Against | None


@dataclass(frozen=True)
class Variant:
    """One model file run by one engine, on this machine.

    Attributes:
        name: `model_int8.tflite`; with the engine in brackets where it is not edgebee's own
            way, as `model_int8.tflite (openvino)`, `model.keras (predict)`.
        file: the file's name.
        format: `keras`, `float32`, `float16`, `dynamic`, `int8` or another name's ending.
        engine: `keras` (a traced call), `keras-predict`, `tflite` (the runner's), `openvino`,
            `onnxruntime` or `mediapipe`.
        size_bytes: of the file.
        sha256: of the file.
        scores: `[photo][label]`, 0-1, in the order of `data.photos` and `data.labels`.
        accuracy: computed from the scores.
    """

    name: str
    file: str
    format: str
    engine: str
    size_bytes: int
    sha256: str
    scores: tuple[tuple[float, ...], ...]
    accuracy: Accuracy


@dataclass(frozen=True)
class Latency:
    """Milliseconds a photo, over all rounds.

    Attributes:
        p50: median.
        p95: 95th percentile.
        min: the shortest.
        spread: (slowest - fastest) / median of the rounds' own medians: 0.1 means that the
            rounds differ by a tenth. What a repetition may bring; null with one round.
    """

    p50: float
    p95: float
    min: float
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
class Swept:
    """Invoking with another number of threads.

    Attributes:
        threads: how many.
        invoke: milliseconds, over all rounds.
    """

    threads: int
    invoke: Latency


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
        cold_start_ms: from the start of the process to its first answer, files in the cache.
        peak_memory_mb: most resident memory of the process when all rounds were done.
        warm_up: invokes that were made and not counted.
        latency: over all rounds.
        throughput: photos a second, one after another, file to scores.
        ratio: to the device's reference; null for that and without one.
        rounds: the samples.
        threads_sweep: other numbers of threads; empty where the engine cannot change them.
        answers: photos timed here whose label is compared with this machine's; null for
            this machine.
        same_answers: how many of `answers` are the same label.
    """

    variant: str
    runtime: str
    threads: int | None
    load_ms: float
    cold_start_ms: float
    peak_memory_mb: float | None
    warm_up: int
    latency: Stages
    throughput: float
    ratio: Ratio | None
    rounds: tuple[Round, ...]
    threads_sweep: tuple[Swept, ...]
    answers: int | None
    same_answers: int | None


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


@dataclass(frozen=True)
class Absent:
    """Something that was asked for and not measured.

    Attributes:
        name: of a peer, with or without a file.
        reason: in a few words, with a remedy.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Settings:
    """How it was measured.

    Attributes:
        rounds: in which every variant was timed once.
        photos_a_round: photos timed in each.
        threads: for invoking, on this machine.
    """

    rounds: int
    photos_a_round: int
    threads: int


@dataclass(frozen=True)
class Results:
    """A whole benchmark: the content of `benchmark.json`.

    Attributes:
        edgebee: version that measured.
        date: ISO 8601, UTC, to the second.
        data: the photos.
        settings: how it was measured.
        reference: name of the variant that accuracy is held against: `model.keras`; null
            when there was none.
        variants: models and their accuracy, the reference first.
        devices: machines and times, this machine first.
        absent: peers that were not measured.
        history: name of the training's record beside this file; null when there is none.
        format_version: of this schema.
    """

    edgebee: str
    date: str
    data: Data
    settings: Settings
    reference: str | None
    variants: tuple[Variant, ...]
    devices: tuple[Device, ...]
    absent: tuple[Absent, ...]
    history: str | None
    format_version: Literal[1]

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            KeyError: there is none.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)
