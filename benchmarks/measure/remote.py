"""The same models and photos on a device that `edgebee deploy` has set up."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import msgspec

from edgebee.benchmarks.measure.device_run import JOB_NAME, Job
from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.plan import DeviceAddress, Plan
from edgebee.benchmarks.measure.subject import Subject
from edgebee.edge.device.deployed import check_deployed, module_line
from edgebee.edge.device.ssh import Host, connect
from edgebee.errors import RemoteError

__all__ = ["measure_remotely", "pack_job"]

_MODULE = "edgebee.benchmarks.measure.device_run"


def measure_remotely(
    address: DeviceAddress,
    subject: Subject,
    plan: Plan,
    timed: Sequence[int],
    home: dict[str, list[int]],
    progress: Callable[[str], object],
) -> Device:
    """Time every `.tflite` on a device; what fails, the connection too, is in the result.

    Args:
        address: of the device.
        subject: models and photos.
        plan: how much.
        timed: places of the photos that are timed.
        home: this machine's predictions for them, by variant.
        progress: called with a few words before each step.
    """
    device = Device(address.login, address.text, None, None, (), noisy=False, failure=None)
    try:
        with connect(address.login, options=plan.ssh_options) as host:
            check_deployed(host, address.folder)
            progress(f"copying to {address.login}")
            with tempfile.TemporaryFile() as packed:
                pack_job(_job(address, subject, plan, timed, home), subject, timed, packed)
                for kind, value in _run(host, address.folder, packed):
                    if kind == "progress":
                        progress(f"{address.login}: {value}")
                    elif kind == "device":
                        device = msgspec.convert(value, Device)
    except RemoteError as error:
        failures = [*([device.failure] if device.failure else []), str(error)]
        return replace(device, failure="; ".join(dict.fromkeys(failures)))
    return device


def pack_job(job: Job, subject: Subject, timed: Sequence[int], packed: IO[bytes]) -> None:
    """Write a job with its models and photos as a tar archive, and go back to its start."""
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        described = json.dumps(asdict(job)).encode()
        member = tarfile.TarInfo(JOB_NAME)
        member.size = len(described)
        archive.addfile(member, BytesIO(described))
        paths = [*subject.files, *(subject.paths[one] for one in timed)]
        for name, path in zip((*job.models, *job.photos), paths, strict=True):
            _add_file(archive, name, path)
    packed.seek(0)


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file without its owner; links are followed."""
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(member, file)


def _job(
    address: DeviceAddress,
    subject: Subject,
    plan: Plan,
    timed: Sequence[int],
    home: dict[str, list[int]],
) -> Job:
    return Job(
        name=address.login,
        url=address.text,
        models=tuple(file.name for file in subject.files),
        photos=tuple(f"photo-{one}{subject.paths[one].suffix}" for one in timed),
        rounds=plan.rounds,
        home={file.name: home[file.name] for file in subject.files if file.name in home},
    )


def _run(host: Host, folder: str, packed: IO[bytes]) -> Any:
    """Run a job there; pairs of kind and value. Lines that a talkative shell adds are skipped."""
    for line in host.lines(module_line(folder, _MODULE), packed):
        if line.startswith('{"'):
            yield from json.loads(line).items()
