"""The part of a benchmark that runs on a device: the same files and photos, timed there.

    python -m edgebee.benchmarks.measure.device_run < JOB > LINES

A job is a tar archive: `job.json`, then models and photos, as `remote.pack_job` makes it. It is
unpacked into a temporary folder, which is removed at the end, also when the connection breaks.
Each line that is written is a JSON object: `{"progress": "…"}`, or `{"device": {…}}` with what has
been measured so far, as in `benchmark.json`. Needs the plain install only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.timing import Timing, first_choice, measure_device
from edgebee.benchmarks.measure.workers import WorkerError, start_probe

__all__ = ["JOB_NAME", "Job", "main", "measure_job", "unpack_job"]

JOB_NAME = "job.json"


@dataclass(frozen=True)
class Job:
    """What a device is to measure.

    Attributes:
        name: of the device.
        url: as it was given with `--device`.
        models: names of `.tflite` files.
        photos: names of photos.
        rounds: in which every model is timed once.
        home: predictions for these photos by model on the benchmark's own machine.
    """

    name: str
    url: str
    models: tuple[str, ...]
    photos: tuple[str, ...]
    rounds: int
    home: dict[str, list[int]]


def unpack_job(stream: IO[bytes], folder: Path) -> Job:
    """Write a job's files into a folder; names with folders in them are not followed."""
    described: dict[str, Any] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            if member.name == JOB_NAME:
                described = json.load(content)
                continue
            with (folder / Path(member.name).name).open("wb") as file:
                shutil.copyfileobj(content, file)
    return Job(**described)


def measure_job(job: Job, folder: Path, emit: Callable[[str, Any], None]) -> None:
    """Time the models of a job.

    Args:
        job: what to measure.
        folder: with its files.
        emit: takes `progress` with a few words, and `device` with what has been measured so far.
    """
    photos = [str(folder / name) for name in job.photos]
    failures: list[str] = []

    def keep(device: Device) -> None:
        failed = [*failures, *([device.failure] if device.failure else [])]
        emit("device", asdict(replace(device, failure="; ".join(dict.fromkeys(failed)) or None)))

    with ExitStack() as running:
        timings = []
        for name in job.models:
            emit("progress", name)
            try:
                worker = start_probe(name, str(folder / name), first=photos[0], threads=None)
            except WorkerError as error:
                failures.append(str(error).replace(f"{folder}/", ""))
            else:
                timings.append(Timing(name, running.enter_context(worker)))
        device = measure_device(
            job.name,
            job.url,
            timings,
            photos,
            rounds=job.rounds,
            reference=first_choice([timing.variant for timing in timings]),
            home=job.home,
            progress=lambda text: emit("progress", text),
            keep=keep,
        )
        keep(device)


def main() -> int:
    """Read a job, measure it, write lines; returns the exit status."""

    def emit(kind: str, value: Any) -> None:
        print(json.dumps({kind: value}), flush=True)

    # Ended by the system, it removes its folder too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    try:
        with tempfile.TemporaryDirectory(prefix="edgebee-benchmark-") as folder:
            measure_job(unpack_job(sys.stdin.buffer, Path(folder)), Path(folder), emit)
    except BrokenPipeError:  # nobody listens any more, to what is still in the buffer either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
