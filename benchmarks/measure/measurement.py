"""A whole benchmark: the same photos through every model, here and on devices."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from edgebee import __version__
from edgebee.benchmarks.measure.accuracy import measure_accuracy, measure_rejections
from edgebee.benchmarks.measure.decoding import (
    Decoded,
    decode_photos,
    decode_strangers,
    first_readable,
    name_blank_frames,
    spread_evenly,
)
from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.plan import Plan
from edgebee.benchmarks.measure.remote import measure_remotely
from edgebee.benchmarks.measure.results import (
    FORMAT_VERSION,
    Photo,
    Results,
    Settings,
    Stranger,
    Variant,
)
from edgebee.benchmarks.measure.results_file import write_results
from edgebee.benchmarks.measure.subject import Subject, find_subject, warn_of_stale_models
from edgebee.benchmarks.measure.timing import Timing, first_choice, measure_device
from edgebee.benchmarks.measure.workers import Worker, WorkerError, start_probe
from edgebee.edge.classify import NEITHER, read_threshold
from edgebee.errors import BenchmarkError
from edgebee.files import output_directory
from edgebee.photos.dataset import Dataset
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.run import (
    BENCHMARK_NAME,
    MODEL_NAME,
    REPORT_NAME,
    TrainingRecord,
    class_labels,
    read_training_record,
    write_checksums,
)

__all__ = ["THIS_MACHINE", "benchmark", "measure"]

THIS_MACHINE = "this machine"

KERAS_MODULE = "edgebee.benchmarks.measure.keras_engine"

SCORED_AT_ONCE = 200
"""Photos; far less than a slow machine's longest allowed silence."""

logger = logging.getLogger("edgebee.benchmarks")

Step = Callable[[str], object]


def benchmark(
    artifacts: str | Path = "artifacts",
    dataset: Dataset | str | None = None,
    plan: Plan | None = None,
    *,
    output: str | Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Results:
    """Measure accuracy and latency of `model.keras` and every `.tflite` on the same photos.

    Args:
        artifacts: folder with the models.
        dataset: whose validation photos are taken; a text is loaded as by `load_dataset`, None
            takes the photos that the model was trained with, split as they were then.
        plan: how much is measured, and where else.
        output: folder for `benchmark.json` and `report.html`; None writes nothing.
        progress: called before each step.

    Raises:
        BenchmarkError: there are no models, they and the photos do not belong together, or one
            cannot be used. What fails later is in the results.
        DataError: the photos cannot be loaded.
        ModelError: a `.tflite` file is damaged.
        ConversionError: the Keras file is none.
        OutputError: the results could not be written.
    """
    plan = plan or Plan()
    subject = find_subject(Path(artifacts), dataset)
    total = _count_steps(subject, plan) + (output is not None)
    begun = 0

    def step(text: str) -> None:
        nonlocal begun
        progress(Progress("benchmark", min(begun, total), total, unit="step", note=text))
        begun += 1

    with ExitStack() as stack:
        if output is not None:
            stack.enter_context(output_directory(Path(output)))
        results = measure(subject, plan, progress=step)
        if output is not None:
            write_results(Path(output, BENCHMARK_NAME), results)
            step("report")
            results.write_report(Path(output, REPORT_NAME))
            write_checksums(Path(output))
    progress(Progress("benchmark", total, total, unit="step"))
    warn_of_stale_models(subject)
    for message in results.data.skipped:
        logger.warning("%s; left out", message)
    return results


def _count_steps(subject: Subject, plan: Plan) -> int:
    """How often `measure` reports a step where nothing fails."""
    files, rounds = len(subject.files), plan.rounds
    models = files + (subject.folder / MODEL_NAME).is_file()
    here = models * (rounds + 2) + 1  # started, timed in rounds, asked for scores; decoding
    there = files * (rounds + 1) + 1  # started, timed in rounds; copying
    return here + there * len(plan.devices)


@dataclass(frozen=True)
class _Model:
    """A model that is ready, with its probe."""

    file: Path
    worker: Worker
    labels: tuple[str, ...]
    """Of its scores."""

    @property
    def name(self) -> str:
        """What results call it."""
        return self.file.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its input, in pixels."""
        height, width = self.worker.ready["size"]
        return height, width

    @property
    def knows_neither(self) -> bool:
        """Whether its last score is that of `neither`."""
        return NEITHER in self.labels[-1:]


def measure(subject: Subject, plan: Plan, *, progress: Step = lambda text: None) -> Results:
    """Measure accuracy and times here, then times on each device.

    Args:
        subject: models and photos.
        plan: how much.
        progress: called with a few words before each step.

    Raises:
        BenchmarkError: models and photos do not belong together, or a model of this machine
            cannot be used. What fails later is in the results.
    """
    with TemporaryDirectory(prefix="edgebee-benchmark-") as folder, ExitStack() as running:
        bench = _Bench(subject, plan, progress, Path(folder), running)
        bench.start_models()
        decoded = bench.decode()
        strangers, unread = bench.decode_strangers()
        timed = [decoded.readable[n] for n in spread_evenly(len(decoded.readable), plan.photos)]
        device = bench.time_here(timed)
        bench.score(
            len(decoded.readable)
        )  # after the memory was read, which asking in batches would raise
        variants = bench.variants(decoded.readable, strangers)
    devices = [_without_unscored(device, bench)]
    predicted = {name: scores.argmax(axis=1) for name, scores in bench.scores.items()}
    home = {
        name: [int(by_photo[decoded.readable.index(photo)]) for photo in timed]
        for name, by_photo in predicted.items()
    }
    devices += [
        measure_remotely(device, subject, plan, timed, home, progress) for device in plan.devices
    ]
    photos = (
        Photo(_below(subject.paths[one], subject.data.root), subject.classes[one])
        for one in decoded.readable
    )
    return Results(
        edgebee=__version__,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        data=replace(
            subject.data,
            photos=tuple(photos),
            skipped=(*decoded.skipped, *unread),
            strangers=tuple(strangers),
        ),
        settings=Settings(plan.rounds, len(timed), plan.used_threads),
        reference=bench.reference,
        variants=variants,
        devices=tuple(devices),
        artifacts=str(subject.folder.resolve()),
        format_version=FORMAT_VERSION,
        neither=bench.record.neither if strangers else None,
    )


class _Bench:
    """This machine's part: probes that are running, and what they said."""

    def __init__(
        self, subject: Subject, plan: Plan, progress: Step, folder: Path, running: ExitStack
    ) -> None:
        self.failures: list[str] = []
        self.scores: dict[str, npt.NDArray[np.float64]] = {}
        self.record = read_training_record(subject.folder, or_none=True) or TrainingRecord()
        self._subject, self._plan, self._progress = subject, plan, progress
        self._folder, self._running = folder, running
        self._first = first_readable(subject.paths)
        self._models: list[_Model] = []
        self._pixels: dict[tuple[int, int], Path] = {}
        self._strangers: dict[tuple[int, int], Path] = {}
        self._stranger_scores: dict[str, npt.NDArray[np.float64]] = {}

    @property
    def reference(self) -> str | None:
        """The variant that accuracy is held against: Keras' traced call."""
        return next((one.name for one in self._models if one.name == MODEL_NAME), None)

    def start_models(self) -> None:
        """Start Keras and every `.tflite`, and hold them to the photos' labels.

        Raises:
            BenchmarkError: one cannot be used, or has other labels.
        """
        keras = self._subject.folder / MODEL_NAME
        if keras.is_file():
            self._start(keras, module=KERAS_MODULE)
        for file in self._subject.files:
            self._start(file)

    def _start(self, file: Path, **module: str) -> None:
        threads, first = self._plan.used_threads, str(self._first)
        self._progress(f"loading {file.name}")
        worker = start_probe(file.name, str(file), first=first, threads=threads, **module)
        self._running.enter_context(worker)
        subject = self._subject
        labels = tuple(worker.ready["labels"] or subject.labels or subject.data.labels)
        _check_labels(file, worker, labels, subject.data.labels)
        self._models.append(_Model(file, worker, labels))

    def decode(self) -> Decoded:
        """Decode every photo, once for all models of one size.

        Raises:
            BenchmarkError: no photo can be read.
        """
        self._progress("decoding the photos")
        for size in dict.fromkeys(model.size for model in self._models):
            decoded = decode_photos(self._subject.paths, size, self._folder)
            self._pixels[size] = decoded.pixels
        return decoded  # which photos can be read is a matter of the files, not of the size

    def decode_strangers(self) -> tuple[list[Stranger], tuple[str, ...]]:
        """Read and draw what is none of the classes, if a model knows `neither`.

        Returns:
            The pictures, and a message for each photo that could not be read.
        """
        decoded, others = None, self._subject.others
        for size in dict.fromkeys(model.size for model in self._models if model.knows_neither):
            decoded = decode_strangers(others, size, self._folder)
            self._strangers[size] = decoded.pixels
        if decoded is None:
            return [], ()
        root = self._subject.data.root
        photos = [Stranger(_below(others[one], root), "other photos") for one in decoded.readable]
        return photos + name_blank_frames(), decoded.skipped

    def score(self, photos: int) -> None:
        """Ask every model about every one of so many photos; what fails is left out and noted.

        Raises:
            WorkerError: all of them fail.
        """
        for model in list(self._models):
            self._progress(f"{model.name}: accuracy")
            try:
                self.scores[model.name] = self._ask_scores(model, self._pixels, photos)
                if model.knows_neither:
                    strangers = len(np.load(self._strangers[model.size], mmap_mode="r"))
                    asked = self._ask_scores(model, self._strangers, strangers)
                    self._stranger_scores[model.name] = asked
            except WorkerError as error:
                self._models.remove(model)
                if not self._models:
                    raise
                self.failures.append(str(error))

    def _ask_scores(
        self, model: _Model, pictures: dict[tuple[int, int], Path], photos: int
    ) -> npt.NDArray[np.float64]:
        """A model's scores for so many pictures, asked in parts that never take long."""
        rows: list[list[float]] = []
        for start in range(0, photos, SCORED_AT_ONCE):
            stop = min(start + SCORED_AT_ONCE, photos)
            pixels = str(pictures[model.size])
            rows += model.worker.ask("score", pixels=pixels, start=start, stop=stop)["scores"]
        scores = np.array(rows)
        if not np.isfinite(scores).all():  # Keras': the runner raises by itself
            raise WorkerError(
                f"{model.file}: gives scores that are NaN or infinite; train it again"
            )
        return scores

    def variants(
        self, readable: Sequence[int], strangers: Sequence[Stranger]
    ) -> tuple[Variant, ...]:
        """Each model with its accuracy on the photos at these places, Keras first."""
        truth = np.array([self._subject.classes[one] for one in readable])
        return tuple(self._variant(model, truth, strangers) for model in self._models)

    def _variant(
        self, model: _Model, truth: npt.NDArray[np.int64], strangers: Sequence[Stranger]
    ) -> Variant:
        scores, strange = self.scores[model.name], self._stranger_scores.get(model.name)
        labels, threshold = self._subject.data.labels, self._threshold(model)
        reference = self.scores.get(self.reference or "")
        sources = [one.source for one in strangers]
        return Variant(
            name=model.name,
            format="keras" if model.name == MODEL_NAME else _format(model.file),
            size_bytes=model.file.stat().st_size,
            sha256=hashlib.sha256(model.file.read_bytes()).hexdigest(),
            scores=tuple(tuple(row) for row in scores.tolist()),
            accuracy=measure_accuracy(
                scores,
                truth,
                labels,
                None if model.name == self.reference else reference,
                threshold=threshold,
            ),
            stranger_scores=() if strange is None else tuple(map(tuple, strange.tolist())),
            rejections=()
            if strange is None
            else measure_rejections(scores, strange, sources, labels, threshold=threshold),
        )

    def _threshold(self, model: _Model) -> float:
        """The model's own: a file's is inside it, Keras' in the record of its training."""
        if model.name != MODEL_NAME:
            return read_threshold(model.file)
        trained = self.record.validation
        return (trained.calibration.threshold if trained else None) or 0.0

    def time_here(self, timed: Sequence[int]) -> Device:
        """Time every model on this machine."""
        return measure_device(
            THIS_MACHINE,
            None,
            [Timing(model.name, model.worker) for model in self._models],
            [str(self._subject.paths[one]) for one in timed],
            rounds=self._plan.rounds,
            reference=self.reference or first_choice([m.name for m in self._models]),
            progress=self._progress,
        )


def _without_unscored(device: Device, bench: _Bench) -> Device:
    """This machine's column without models that failed at the last, and with word of it."""
    failures = [*([device.failure] if device.failure else []), *bench.failures]
    return replace(
        device,
        runs=tuple(run for run in device.runs if run.variant in bench.scores),
        failure="; ".join(dict.fromkeys(failures)) or None,
    )


def _format(file: Path) -> str:
    return file.stem.rsplit("_", 1)[-1]


def _below(path: Path, root: str) -> str:
    """A photo's name below the root, with `/`."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _check_labels(
    file: Path, worker: Worker, labels: Sequence[str], classes: Sequence[str]
) -> None:
    """Hold a model's labels to the classes of the photos.

    Raises:
        BenchmarkError: it has others.
    """
    if class_labels(labels) != tuple(classes):
        raise BenchmarkError(
            f"{file}: knows {', '.join(labels)}, but the photos are of {', '.join(classes)}; name "
            "its own photos with --data"
        )
    if worker.ready["outputs"] not in (None, len(labels)):
        raise BenchmarkError(
            f"{file}: gives {worker.ready['outputs']} scores, but the photos have {len(classes)} "
            "classes; name its own photos with --data"
        )
