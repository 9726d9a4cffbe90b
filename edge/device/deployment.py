"""Runner and model onto a Raspberry Pi: over ssh, with an environment of their own, tried out.

What arrives there is one folder: a Python environment with edgebee in it, the model, and a small
script, `classify`, that runs the one on the other. Deploying again replaces them. The workstation
may be any system with ssh; the target has to be Linux.
"""

from __future__ import annotations

import io
import logging
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebee.edge import classify
from edgebee.edge.device.environment import (
    WHEELS_FOLDER,
    download_wheels,
    make_environment,
    require_success,
)
from edgebee.edge.device.service import REMOVE, install_service
from edgebee.edge.device.ssh import Host
from edgebee.edge.device.target import Target, check_target, examine_target, requirements_for
from edgebee.edge.device.wheel import build_wheel
from edgebee.edge.station.options import parse_options

__all__ = ["Deployment", "deploy"]

_LOGGER = logging.getLogger("edgebee.device")
_SCRIPT_NAME, _CHECK_NAME = "classify", "edgebee check.png"
_PICTURE_SIDE_PX = 64


@dataclass(frozen=True)
class Deployment:
    """edgebee and a model on a machine.

    Attributes:
        login: of the machine, as ssh takes it.
        target: the machine.
        model: file name of the model there.
        checks: what trying it there printed: the doctor's rows and a classified picture.
        service: whether it runs as a systemd service.
    """

    login: str
    target: Target
    model: str
    checks: tuple[str, ...]
    service: bool

    def instructions(self) -> tuple[str, ...]:
        """How to use it, a line each."""
        runner = shlex.quote(f"{self.target.folder}/{_SCRIPT_NAME}")
        lines = [
            f"Ready. On {self.login}:",
            f"  {runner} photo.jpg",
            f"  {runner} --camera --every 10",
            f"  {runner} --watch photos --move-to sorted",
        ]
        if self.service:
            lines += [
                "The service runs, now and after every start of the machine:",
                "  journalctl -u edgebee -o cat -f          its predictions",
                "  sudo systemctl stop edgebee              stop it",
                f"  {REMOVE}",
                "                                           remove it",
            ]
        return (*lines, f"Remove all of it: rm -r {shlex.quote(self.target.folder)}")


def deploy(
    host: Host,
    model: Path,
    *,
    folder: str = "edgebee",
    service: Sequence[str] | None = None,
    offline: bool = False,
) -> Deployment:
    """Put edgebee and a model on a machine and try them there.

    Args:
        host: from `edgebee.edge.device.ssh.connect`.
        model: a `.tflite` file.
        folder: where there, from the home folder or the root.
        service: options of `edgebee classify` for a service that always runs; None for none.
        offline: whether the machine has no internet; what it needs is downloaded here.

    Raises:
        RemoteError: something did not work there.
        click.UsageError: `service` holds wrong options.
    """
    options = None if service is None else parse_options(service)
    target = examine_target(host, folder)
    camera = options is not None and options.camera is not None
    requirements = requirements_for(target, camera=camera)
    check_target(host, target, service=service is not None)
    system = f"{target.machine}, {target.bits}-bit Python {target.version}"
    _LOGGER.info("%s: %s", host.login, system)
    if offline:
        _LOGGER.info("downloading wheels for its Python")
        wheels = download_wheels(target, requirements)
        sent = host.send(wheels, f"{target.folder}/{WHEELS_FOLDER}", {})
        require_success(host, target, sent, "the wheels could not be copied")
    _LOGGER.info("copying edgebee and %s to %s", model.name, target.folder)
    wheel = _copy_files(host, target, model)
    _LOGGER.info("making the environment; that takes minutes on a small Pi")
    make_environment(host, target, requirements, wheel, offline=offline)
    _LOGGER.info("trying it there")
    checks = _try_out(host, target, model)
    for line in checks:
        _LOGGER.info("  %s", line)
    if service is not None:
        _LOGGER.info("installing the service")
        install_service(host, target, model.name, service)
    return Deployment(host.login, target, model.name, checks, service is not None)


def _copy_files(host: Host, target: Target, model: Path) -> str:
    """Copy what is not pip's; the file name of edgebee's wheel."""
    name, wheel = build_wheel()
    files = {name: wheel, model.name: model.read_bytes(), **_labels_beside(model)}
    files |= {_SCRIPT_NAME: _script(model.name), _CHECK_NAME: _picture()}
    sent = host.send(files, target.folder, {_SCRIPT_NAME: 0o755})
    require_success(host, target, sent, "the files could not be copied")
    return name


def _try_out(host: Host, target: Target, model: Path) -> tuple[str, ...]:
    """What the doctor reports, which runs the model's self-test, and a classified picture."""
    place = shlex.quote(target.folder)
    script = [
        "set -eu",
        f"cd {place}",
        f"venv/bin/edgebee doctor {shlex.quote(f'./{model.name}')}",
        f"./{_SCRIPT_NAME} {shlex.quote(_CHECK_NAME)}",
        f"rm -f {shlex.quote(_CHECK_NAME)}",
    ]
    done = host.run_script("\n".join(script))
    require_success(host, target, done, "it does not work there")
    return tuple(done.out.splitlines())


def _script(model_name: str) -> bytes:
    """Run edgebee on the model; another `-m`, given after this one, wins."""
    return os.fsencode(
        f"""#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/venv/bin/edgebee" classify -m "$here"/{shlex.quote(model_name)} "$@"
"""
    )


def _labels_beside(model: Path) -> dict[str, bytes]:
    beside = model.with_name(classify.LABELS_NAME)
    return {beside.name: beside.read_bytes()} if beside.exists() else {}


def _picture() -> bytes:
    """A picture to try the runner on."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (_PICTURE_SIDE_PX, _PICTURE_SIDE_PX), "gold").save(buffer, "PNG")
    return buffer.getvalue()
