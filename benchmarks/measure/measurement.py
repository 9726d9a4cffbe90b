"""A whole benchmark: the same photos through every model, here and on devices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgebee import __version__
from edgebee.benchmarks.measure.device_run import measure_remotely
from edgebee.benchmarks.measure.plan import Plan
from edgebee.benchmarks.measure.results import FORMAT_VERSION, Photo, Results, Settings
from edgebee.benchmarks.measure.scoring import ScoredModel, name_below, score_models
from edgebee.benchmarks.measure.subject import (
    Subject,
    find_subject,
    first_readable,
    spread_evenly,
    warn_of_stale_models,
)
from edgebee.benchmarks.measure.timing import measure_device
from edgebee.benchmarks.measure.workers import Worker, start_probe
from edgebee.errors import BenchmarkError
from edgebee.files import output_directory
from edgebee.photos.dataset import Dataset
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.run import (
    BENCHMARK_NAME,
    MODEL_NAME,
    REPORT_NAME,
    class_labels,
    read_training_record,
    write_checksums,
)

logger = logging.getLogger("edgebee.benchmarks")

__all__ = ["THIS_MACHINE", "benchmark", "measure"]

THIS_MACHINE = "this machine"

KERAS_MODULE = "edgebee.benchmarks.measure.keras_engine"

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
            cannot be used. What fails on a device is in the results.
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
            results.write(Path(output, BENCHMARK_NAME))
            step("report")
            results.write_report(Path(output, REPORT_NAME))
            write_checksums(Path(output))
    progress(Progress("benchmark", total, total, unit="step"))
    warn_of_stale_models(subject)
    if subject.others and not results.data.strangers:
        logger.warning(
            "%s: no model there knows neither, so the %d photos of none of the classes are not "
            "measured; train again to learn it",
            subject.folder,
            len(subject.others),
        )
    return results


def _count_steps(subject: Subject, plan: Plan) -> int:
    """How often `measure` reports a step where nothing fails."""
    here = len(subject.files) * (plan.rounds + 2)  # started, asked for scores, timed in rounds
    there = len(_for_devices(subject)) * (plan.rounds + 1) + 1  # started, timed; copying
    return here + there * len(plan.devices)


def _for_devices(subject: Subject) -> list[Path]:
    return [file for file in subject.files if file.name != MODEL_NAME]


def measure(subject: Subject, plan: Plan, *, progress: Step = lambda text: None) -> Results:
    """Measure accuracy and times here, then times on each device.

    Args:
        subject: models and photos.
        plan: how much.
        progress: called with a few words before each step.

    Raises:
        BenchmarkError: models and photos do not belong together, or a model fails on this
            machine. What fails on a device is in the results.
    """
    with ExitStack() as running:
        models = _start(subject, plan, progress, running)
        scored = score_models(models, subject, progress)
        places = spread_evenly(len(scored.readable), plan.photos)
        paths = [subject.paths[scored.readable[place]] for place in places]
        here = measure_device(
            THIS_MACHINE,
            None,
            {model.name: model.worker for model in models},
            list(map(str, paths)),
            rounds=plan.rounds,
            progress=progress,
        )
    home = {
        variant.name: [int(np.argmax(variant.scores[n])) for n in places]
        for variant in scored.variants
    }
    there = [
        measure_remotely(
            address,
            _for_devices(subject),
            paths,
            rounds=plan.rounds,
            home=home,
            ssh_options=plan.ssh_options,
            progress=progress,
        )
        for address in plan.devices
    ]
    photos = tuple(
        Photo(name_below(subject.paths[one], subject.data.root), subject.classes[one])
        for one in scored.readable
    )
    record = read_training_record(subject.folder, or_none=True)
    return Results(
        edgebee=__version__,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        data=replace(
            subject.data, photos=photos, skipped=scored.skipped, strangers=scored.strangers
        ),
        settings=Settings(plan.rounds, len(places), plan.used_threads),
        reference=MODEL_NAME if scored.variants[0].name == MODEL_NAME else None,
        variants=scored.variants,
        devices=(here, *there),
        artifacts=str(subject.folder.resolve()),
        format_version=FORMAT_VERSION,
        neither=record.neither if record and scored.strangers else None,
    )


def _start(subject: Subject, plan: Plan, progress: Step, running: ExitStack) -> list[ScoredModel]:
    """Start a probe for every model, and hold each to the photos' labels."""
    first = str(first_readable(subject))
    models = []
    for file in subject.files:
        progress(f"loading {file.name}")
        module = {"module": KERAS_MODULE} if file.name == MODEL_NAME else {}
        worker = running.enter_context(
            start_probe(file.name, str(file), first=first, threads=plan.used_threads, **module)
        )
        labels = tuple(worker.ready["labels"] or subject.labels or subject.data.labels)
        _check_labels(file, worker, labels, subject.data.labels)
        models.append(ScoredModel(file, worker, labels))
    return models


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
