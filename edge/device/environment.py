"""A virtual environment on a target: made by its own Python, filled by pip with wheels.

A target without internet is sent the wheels, which pip downloads here for its Python and
architecture.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgebee.child_python import module_command
from edgebee.edge.device.ssh import CommandResult, Host, last_error
from edgebee.edge.device.target import VENV_MISSING, Target
from edgebee.errors import RemoteError

__all__ = ["download_wheels", "make_environment", "require_success"]

WHEELS_FOLDER = "wheels"
_PIWHEELS = "https://www.piwheels.org/simple"
"""NumPy and Pillow for 32-bit ARM, which PyPI has not; Raspberry Pi OS looks there by itself."""
_OLDEST_MANYLINUX = 5  # glibc 2.5, manylinux1
_NO_INTERNET = re.compile(
    r"Failed to establish a new connection|NewConnectionError|NameResolutionError|"
    r"ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|Cannot connect to proxy|"
    r"Network is unreachable|Temporary failure in name resolution"
)
_REASON = re.compile(r"\[Errno -?\d+\] [^'\")]+|SSLError\([^)]*|ProxyError\([^)]*|timed out")


def download_wheels(target: Target, requirements: Sequence[str]) -> dict[str, bytes]:
    """Fetch wheels for a target with this machine's pip.

    Args:
        target: the machine.
        requirements: as pip takes them; what they need is fetched too.

    Returns:
        File name -> content.

    Raises:
        RemoteError: there is no pip here, no internet, or no such wheel.
    """
    with tempfile.TemporaryDirectory(prefix="edgebee-wheels-") as folder:
        options = ["--only-binary=:all:", "--python-version", target.version]
        for tag in _platform_tags(target):
            options += ["--platform", tag]
        if target.bits == 32:
            options += ["--extra-index-url", _PIWHEELS]
        command = module_command(
            "pip", "--disable-pip-version-check", "--no-input", "--quiet", "download",
            *options, "--dest", folder, *requirements,
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            result = CommandResult(done.returncode, done.stdout, done.stderr)
            raise RemoteError(f"the wheels could not be downloaded here: {_pip_reason(result)}")
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _platform_tags(target: Target) -> list[str]:
    """The platforms whose wheels run there, the newest first."""
    minor = int((target.glibc or "2.17").split(".")[1])
    tags = [
        f"manylinux_2_{number}_{target.architecture}"
        for number in range(minor, _OLDEST_MANYLINUX - 1, -1)
    ]
    return [*tags, f"manylinux2014_{target.architecture}", f"linux_{target.architecture}"]


def make_environment(
    host: Host, target: Target, requirements: Sequence[str], wheel: str, *, offline: bool = False
) -> None:
    """Make or renew the environment, with edgebee in it.

    Args:
        host: logged in.
        target: the machine.
        requirements: for pip.
        wheel: file name of edgebee's own, which lies in the folder there.
        offline: install from `WHEELS_FOLDER` in the folder there, and remove that.

    Raises:
        RemoteError: with pip's reason.
    """
    # The Pi's own camera library comes from its system, not from PyPI.
    system_too = "--system-site-packages " if target.picamera2 else ""
    source = '--no-index --find-links "$folder/wheels" ' if offline else ""
    # From the root folder: a file in the home folder may be called like one of Python's modules.
    script = f"""\
set -eu
cd /
folder={shlex.quote(target.folder)}
python="$folder/venv/bin/python"
pip() {{ "$python" -m pip --disable-pip-version-check --no-input --quiet install "$@"; }}
# Of a Python that the system has no more, or half made.
if [ -e "$folder/venv" ] && ! "$python" -c "import pip, sys
sys.exit(sys.version_info[:2] != {target.python})" 2>/dev/null; then
    rm -rf "$folder/venv"
fi
python3 -m venv {system_too}"$folder/venv"
# Wheels alone: compiling NumPy would take a Pi a day.
pip {source}--only-binary=:all: {shlex.join(requirements)}
pip --no-index --no-deps --force-reinstall "$folder"/{shlex.quote(wheel)}
rm -rf "$folder"/{WHEELS_FOLDER}
"""
    done = host.run_script(script)
    require_success(host, target, done, "the environment could not be made")


def require_success(host: Host, target: Target, done: CommandResult, failed: str) -> None:
    """Raise RemoteError, with cause and remedy, where a command failed."""
    if not done.status:
        return
    if "No space left on device" in done.err:
        raise RemoteError(f"{host.login}: no space left in {target.folder}; make room there")
    if "ensurepip is not available" in done.out + done.err:
        raise RemoteError(f"{host.login}: {VENV_MISSING}")
    if _NO_INTERNET.search(done.err):
        raise RemoteError(
            f"{host.login}: {failed}: {_pip_reason(done)}; without internet there: "
            "edgebee deploy --offline"
        )
    raise RemoteError(f"{host.login}: {failed}: {_pip_reason(done)}")


def _pip_reason(done: CommandResult) -> str:
    """Why pip failed: its network's reason before its last line, that it found nothing."""
    if _NO_INTERNET.search(done.err):
        found = _REASON.search(done.err)
        return f"pip cannot reach its index ({found[0] if found else 'no connection'})"
    lines = [line.strip() for line in done.err.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return errors[0] if errors else last_error(done)
