"""The machine that edgebee is deployed to: what it is, and what pip has to install there.

The workstation may be any system; the machine has to be Linux.
"""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from dataclasses import dataclass

from edgebee.child_python import code_command
from edgebee.edge.device.platforms import NUMPY_1_ONLY, OLDEST_PYTHON, WHEELS
from edgebee.edge.device.ssh import Host, last_error
from edgebee.errors import RemoteError

__all__ = ["Target", "check_target", "examine_target", "requirements_for"]

NEEDED_BYTES = 450_000_000  # NumPy, Pillow, LiteRT and what it needs, and pip's work
NEEDED_AGAIN_BYTES = 60_000_000
VENV_MISSING = (
    "Python's virtual environments are missing; install them there: sudo apt install python3-venv"
)

# Run by the machine's own Python; prints what matters about it in one line.
_EXAMINE = """
import getpass, importlib.util as u, json, os, platform, shutil, struct
folder = os.path.join(os.path.expanduser("~"), sys.argv[1])
there = folder
while not os.path.isdir(there):
    there = os.path.dirname(there)
print(json.dumps({
    "python": sys.version_info[:2], "bits": struct.calcsize("P") * 8,
    "machine": platform.machine(), "system": sys.platform, "glibc": platform.libc_ver()[1],
    "folder": folder,
    "free": shutil.disk_usage(there).free, "writable": os.access(there, os.W_OK),
    "venv": bool(u.find_spec("ensurepip") and u.find_spec("venv")),
    "has_environment": os.path.exists(os.path.join(folder, "venv", "bin", "edgebee")),
    "picamera2": bool(u.find_spec("picamera2")), "cv2": bool(u.find_spec("cv2")),
    "user": getpass.getuser(), "home": os.path.expanduser("~"),
    "systemd": bool(shutil.which("systemctl")), "sudo": bool(shutil.which("sudo")),
}))
"""


@dataclass(frozen=True)
class Target:
    """A machine, by its own account."""

    python: tuple[int, int]
    bits: int
    """Of its Python, which may be 32 under a 64-bit kernel."""
    machine: str
    """Of the kernel, as `uname -m` says."""
    system: str
    glibc: str
    """Version; empty with another C library."""
    folder: str
    """Where edgebee goes, from the root."""
    free: int
    """Bytes."""
    writable: bool
    venv: bool
    has_environment: bool
    picamera2: bool
    cv2: bool
    user: str
    home: str
    systemd: bool
    sudo: bool

    @property
    def version(self) -> str:
        """Of its Python, as `3.11`."""
        return ".".join(map(str, self.python))

    @property
    def architecture(self) -> str:
        """Of its Python, as wheels name it."""
        return self.machine if self.bits == 64 else "armv7l"


def examine_target(host: Host, folder: str) -> Target:
    """Find out what a machine is.

    Args:
        host: logged in.
        folder: where edgebee is to go, from the home folder or the root.

    Raises:
        RemoteError: it has no Python 3 that works.
    """
    command = shlex.join(code_command(_EXAMINE, folder, python="python3"))
    done = host.run(command)
    try:
        facts = json.loads(done.out.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        if "not found" in done.err:
            remedy = "install it: sudo apt install python3 python3-venv"
            raise RemoteError(f"{host.login}: has no python3; {remedy}") from error
        reason = last_error(done)
        raise RemoteError(f"{host.login}: python3 does not work there: {reason}") from error
    return Target(**(facts | {"python": tuple(facts["python"])}))


def check_target(host: Host, target: Target, *, service: bool) -> None:
    """Refuse what would fail later, before anything is changed there.

    Raises:
        RemoteError: with the remedy.
    """
    if not target.writable:
        raise RemoteError(f"{host.login}: {target.folder} cannot be written; choose another: --to")
    if not target.venv:
        raise RemoteError(f"{host.login}: {VENV_MISSING}")
    needed = NEEDED_AGAIN_BYTES if target.has_environment else NEEDED_BYTES
    if target.free < needed:
        sizes = f"{target.free // 1_000_000} MB are free, {needed // 1_000_000} are needed"
        raise RemoteError(f"{host.login}: no space in {target.folder}: {sizes}; make room there")
    if service and not target.systemd:
        raise RemoteError(f"{host.login}: has no systemd, which --service needs")


def requirements_for(target: Target, *, camera: bool = False) -> list[str]:
    """What pip installs there: edgebee's own requirements, by the Python there, not the kernel.

    Args:
        target: the machine.
        camera: whether it reads a camera.

    Raises:
        RemoteError: it is no Linux, its Python is too old, or no TFLite runtime exists for it.
    """
    if target.system != "linux" or target.python < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        have = f"{target.system} with Python {target.version}"
        raise RemoteError(
            f"{have} is there; edgebee needs Linux with Python {oldest}: Raspberry Pi OS 12 or 13"
        )
    old_runtime = next(wheel for wheel in WHEELS if wheel.package in NUMPY_1_ONLY)
    arm = target.machine in {"armv7l", "armv8l", "aarch64"}
    if target.bits != 64 and not (arm and target.python <= old_runtime.pythons[1]):
        have = f"32-bit {target.machine} with Python {target.version}"
        raise RemoteError(f"no TFLite runtime exists for {have}; take the 64-bit Raspberry Pi OS")
    extra = "camera" if camera and not (target.picamera2 or target.cv2) else ""
    lines = importlib.metadata.requires("edgebee") or []
    pairs = [line.partition(";") for line in lines]
    return [
        requirement.strip()
        for requirement, _, marker in pairs
        if not marker or _applies(marker, extra, arm32=target.bits != 64)
    ]


def _applies(marker: str, extra: str, *, arm32: bool) -> bool:
    """Whether a marker of pyproject.toml holds: it names an extra, or is for 32-bit ARM or not.

    The device's pip would ask the kernel, which is 64-bit under some 32-bit systems.
    """
    if "extra ==" in marker:
        return bool(extra) and extra in marker
    return ("==" in marker) == arm32
