"""Timing the same models and photos on a device that `edgebee deploy` has set up.

The files are sent there, and `python -m edgebee.benchmarks.measure.device_run FOLDER` times them,
which needs the plain install only. It writes a JSON object a line, `{"progress": "…"}` and at last
`{"device": {…}}`, as in `benchmark.json`, or `{"error": "…"}`; then it removes the folder, also
when the connection breaks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.plan import DeviceAddress
from edgebee.benchmarks.measure.timing import measure_device
from edgebee.benchmarks.measure.workers import start_probe
from edgebee.edge.device.remote_python import check_deployed, module_line
from edgebee.edge.device.ssh import connect
from edgebee.errors import EdgebeeError, RemoteError

__all__ = ["main", "measure_remotely"]

JOB_NAME = "job.json"
_FOLDER = "benchmark"
"""Below the one that was deployed to."""


def measure_remotely(
    address: DeviceAddress,
    files: Sequence[Path],
    photos: Sequence[Path],
    *,
    rounds: int,
    home: Mapping[str, Sequence[int]],
    ssh_options: Sequence[str] = (),
    progress: Callable[[str], object] = lambda text: None,
) -> Device:
    """Time every `.tflite` on a device; what fails, the connection too, is in the result.

    Args:
        address: of the device.
        files: models.
        photos: that are timed.
        rounds: in which every model is timed once.
        home: this machine's predictions for them, by the file's name.
        ssh_options: as for `ssh -o`.
        progress: called with a few words before each step.
    """
    import msgspec

    sent = {file.name: file.read_bytes() for file in files}
    names = [f"photo-{number}{path.suffix}" for number, path in enumerate(photos)]
    sent |= {name: path.read_bytes() for name, path in zip(names, photos, strict=True)}
    job = {
        "name": address.login,
        "url": address.text,
        "models": [file.name for file in files],
        "photos": names,
        "rounds": rounds,
        "home": home,
    }
    sent[JOB_NAME] = json.dumps(job).encode()
    folder = f"{address.folder}/{_FOLDER}"
    try:
        with connect(address.login, options=ssh_options) as host:
            check_deployed(host, address.folder)
            progress(f"copying to {address.login}")
            copied = host.send(sent, folder, {})
            if copied.status:
                raise RemoteError(f"{address.login}: the files could not be copied: {copied.err}")
            result: dict[str, Any] = {}
            # To the end, when the folder is gone too; what a talkative shell adds is skipped.
            for line in host.lines(module_line(address.folder, __name__, folder)):
                message = json.loads(line) if line.startswith('{"') else {}
                if "progress" in message:
                    progress(f"{address.login}: {message['progress']}")
                else:
                    result |= message
            if "device" in result:
                return msgspec.convert(result["device"], Device)
            reason = result.get("error", "ended without a result; try again")
            raise RemoteError(f"{address.login}: {reason}")
    except RemoteError as error:
        return Device(address.login, address.text, failure=" ".join(str(error).split()))


def _measure_job(folder: Path) -> Device:
    """Time the models of a folder as its job says."""
    job = json.loads((folder / JOB_NAME).read_text("utf-8"))
    photos = [str(folder / name) for name in job["photos"]]
    with ExitStack() as running:
        workers = {}
        for name in job["models"]:
            _say("progress", name)
            worker = start_probe(name, str(folder / name), first=photos[0])
            workers[name] = running.enter_context(worker)
        return measure_device(
            job["name"],
            job["url"],
            workers,
            photos,
            rounds=job["rounds"],
            home=job["home"],
            progress=lambda text: _say("progress", text),
        )


def _say(kind: str, value: Any) -> None:
    print(json.dumps({kind: value}), flush=True)


def main(folder: Path) -> int:
    """The part on the device; returns the exit status."""
    # Ended by the system, it removes its folder too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    try:
        _say("device", asdict(_measure_job(folder)))
    except EdgebeeError as error:
        _say("error", str(error).replace(f"{folder}/", ""))
    except BrokenPipeError:  # nobody listens any more, to what is still in the buffer either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
