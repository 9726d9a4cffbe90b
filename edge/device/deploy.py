"""Runner and model onto a Raspberry Pi: over ssh, with an environment of their own, tried out.

What arrives there is one folder: a Python environment with edgebee in it, the model, and a
small script, `classify`, that runs the one on the other. Doing it again replaces them.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgebee.edge import classify
from edgebee.edge.device.service import NAME, REMOVE, render_unit
from edgebee.edge.device.ssh import CommandResult, Host, last_error
from edgebee.edge.device.wheel import build_wheel
from edgebee.edge.station import options as classify_options
from edgebee.edge.station.options import ClassifyOptions
from edgebee.errors import RemoteError

__all__ = ["Device", "deploy", "need_sudo", "packages_for", "parse_options", "probe"]

NEEDED_BYTES = 450_000_000  # NumPy, Pillow, LiteRT and what it needs, and pip's work
NEEDED_AGAIN_BYTES = 60_000_000
OLDEST_PYTHON = (3, 10)
_PICTURE_SIDE_PX = 64

# Run by the device's own Python; says what matters about it in one line.
_PROBE = """
import getpass, importlib.util as u, json, os, platform, shutil, struct, sys
folder = os.path.join(os.path.expanduser("~"), sys.argv[1])
there = folder
while not os.path.isdir(there):
    there = os.path.dirname(there)
print(json.dumps({
    "python": sys.version_info[:2], "bits": struct.calcsize("P") * 8,
    "machine": platform.machine(), "system": sys.platform, "folder": folder,
    "free": shutil.disk_usage(there).free, "writable": os.access(there, os.W_OK),
    "venv": bool(u.find_spec("ensurepip") and u.find_spec("venv")),
    "has_environment": os.path.exists(os.path.join(folder, "venv", "bin", "edgebee")),
    "picamera2": bool(u.find_spec("picamera2")), "cv2": bool(u.find_spec("cv2")),
    "user": getpass.getuser(), "home": os.path.expanduser("~"),
    "systemd": bool(shutil.which("systemctl")), "sudo": bool(shutil.which("sudo")),
}))
"""

_VERSIONS = (
    "import importlib.metadata as m; names = {one.metadata['Name'] for one in m.distributions()}; "
    "wanted = ('numpy', 'pillow', 'ai-edge-litert', 'tflite-runtime'); "
    "print(', '.join(f'{name} {m.version(name)}' for name in wanted if name in names))"
)


@dataclass(frozen=True)
class Device:
    """What the machine says of itself."""

    python: tuple[int, int]
    bits: int  # of its Python, which may be 32 under a 64-bit kernel
    machine: str
    system: str
    folder: str  # where edgebee goes, from the root
    free: int  # bytes
    writable: bool
    venv: bool
    has_environment: bool
    picamera2: bool
    cv2: bool
    user: str
    home: str
    systemd: bool
    sudo: bool


def probe(host: Host, folder: str) -> Device:
    """Ask a machine what it is.

    Raises:
        RemoteError: it has no Python 3.
    """
    done = host.run(f"python3 - {shlex.quote(folder)}", _PROBE.encode())
    try:
        said = json.loads(done.out.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        if "not found" in done.err:
            remedy = "install it: sudo apt install python3 python3-venv"
            raise RemoteError(f"{host.login}: has no python3; {remedy}") from error
        raise RemoteError(
            f"{host.login}: python3 does not work there: {last_error(done)}"
        ) from error
    return Device(**(said | {"python": tuple(said["python"])}))


def packages_for(device: Device, *, camera: str | None = None) -> list[str]:
    """What pip installs there; as pyproject.toml has it, by the Python there is and not the kernel.

    Raises:
        RemoteError: there is no TFLite runtime for it.
    """
    version = ".".join(map(str, device.python))
    if device.system != "linux" or device.python < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        have = f"{device.system} with Python {version}"
        raise RemoteError(
            f"{have} is there; edgebee needs Linux with Python {oldest}: Raspberry Pi OS 12 or 13"
        )
    packages = ["click>=8.2", "pillow>=9.4"]
    if device.bits == 64:
        packages += ["numpy>=1.23", "ai-edge-litert>=1.1.1"]
    elif device.machine in {"armv7l", "armv8l", "aarch64"} and device.python <= (3, 11):
        packages += ["numpy>=1.23,<2", "tflite-runtime>=2.14"]
    else:
        have = f"32-bit {device.machine} with Python {version}"
        raise RemoteError(f"no TFLite runtime exists for {have}; take the 64-bit Raspberry Pi OS")
    if camera is not None and not (device.picamera2 or device.cv2):
        packages.append("opencv-python-headless>=4.8")
    return packages


def parse_options(options: Sequence[str]) -> ClassifyOptions:
    """Options of `edgebee classify`; click.UsageError for wrong ones."""
    return classify_options.parse_options(options)


def deploy(
    host: Host,
    model: Path,
    *,
    folder: str,
    options: Sequence[str] | None,
    say: Callable[[str], object],
) -> str:
    """Put edgebee and a model on a machine, try them there, and say how to use them.

    Args:
        host: where to.
        model: a `.tflite` file.
        folder: where there, from the home folder.
        options: of `edgebee classify`, for a service that always runs; None for no service.
        say: takes a line on what is being done.

    Returns:
        How to use it, in a few lines.

    Raises:
        RemoteError: something did not work there.
    """
    asked = None if options is None else parse_options(options)
    device = probe(host, folder)
    packages = packages_for(device, camera=asked.camera if asked else None)
    _check(host, device, service=asked is not None)
    say(f"{host.login}: {device.machine}, {device.bits}-bit Python {_dotted(device.python)}")
    wheel_name, wheel = build_wheel()
    say(f"copying edgebee and {model.name} to {device.folder}")
    files = {wheel_name: wheel, model.name: model.read_bytes(), **_labels_beside(model)}
    files |= {"classify": _script(model.name), "check.png": _picture()}
    sent = host.send(files, device.folder, {"classify": 0o755})
    _need(host, device, sent, "the files could not be copied")
    say("making the environment; that takes minutes on a small Pi")
    _make_environment(host, device, packages, wheel_name)
    say("trying it there")
    for line in _try_out(host, device, model):
        say(f"  {line}")
    if asked:
        say("installing the service")
        _install_service(host, device, model, asked, options or ())
    return _usage(host, device, service=asked is not None)


def _check(host: Host, device: Device, *, service: bool) -> None:
    """Refuse what would fail later, before anything is changed there."""
    if not device.writable:
        raise RemoteError(f"{host.login}: {device.folder} cannot be written; choose another: --to")
    if not device.venv:
        remedy = "install them there: sudo apt install python3-venv"
        raise RemoteError(f"{host.login}: Python's virtual environments are missing; {remedy}")
    needed = NEEDED_AGAIN_BYTES if device.has_environment else NEEDED_BYTES
    if device.free < needed:
        sizes = f"{device.free // 1_000_000} MB are free, {needed // 1_000_000} are needed"
        raise RemoteError(f"{host.login}: no space in {device.folder}: {sizes}; make room there")
    if service and not device.systemd:
        raise RemoteError(f"{host.login}: has no systemd, which --service needs")


def _make_environment(host: Host, device: Device, packages: Sequence[str], wheel_name: str) -> None:
    # The Pi's own camera library comes from its system, not from PyPI.
    system_too = "--system-site-packages " if device.picamera2 else ""
    python = '"$folder/venv/bin/python"'
    pip = f"{python} -m pip --disable-pip-version-check --no-input --quiet install"
    script = f"""
        set -eu
        folder={shlex.quote(device.folder)}
        if [ -e "$folder/venv" ] && ! {python} -c "import pip, sys
        sys.exit(sys.version_info[:2] != {device.python})" 2>/dev/null; then
            rm -rf "$folder/venv"  # of a Python that the system has no more, or half made
        fi
        python3 -m venv {system_too}"$folder/venv"
        # Wheels alone: compiling NumPy would take a Pi a day.
        {pip} --only-binary=:all: {shlex.join(packages)}
        {pip} --no-deps --force-reinstall "$folder"/{shlex.quote(wheel_name)}
    """
    done = _shell(host, script)
    _need(host, device, done, "the environment could not be made")


def _try_out(host: Host, device: Device, model: Path) -> list[str]:
    """Versions, what the doctor says, an answer, the self-test; returns what there is to see."""
    script = f"""
        set -eu
        cd {shlex.quote(device.folder)}
        venv/bin/python -c {shlex.quote(_VERSIONS)}
        venv/bin/edgebee doctor {shlex.quote(model.name)}
        ./classify check.png
        {"./classify --selftest" if classify.read_manifest(model).get("golden") else "true"}
        rm -f check.png
    """
    done = _shell(host, script)
    _need(host, device, done, "it does not work there")
    return done.out.splitlines()


def _install_service(
    host: Host, device: Device, model: Path, asked: ClassifyOptions, options: Sequence[str]
) -> None:
    home = PurePosixPath(device.home)

    def there(path: Path | None) -> PurePosixPath | None:
        return home / path.as_posix() if path else None

    named = (asked.watch, asked.move_to, asked.annotate, asked.save_dir)
    folders = [path for path in map(there, named) if path]
    if asked.state:
        folders.append(home / asked.state.parent.as_posix())
    # Reading is enough for a folder that nothing is moved out of.
    writes = folders[1:] if asked.watch and not asked.move_to else folders
    program = f"{device.folder}/venv/bin/edgebee"
    unit = render_unit(
        [program, "classify", "-m", f"{device.folder}/{model.name}", "--json", *options],
        user=device.user,
        home=home,
        watch=there(asked.watch),
        camera=asked.camera,
        writes=writes,
    )
    place = shlex.quote(device.folder)
    _need(
        host,
        device,
        host.send({NAME: unit.encode()}, device.folder, {}),
        "the unit cannot be written",
    )
    steps = [
        f"install -m 644 {place}/{NAME} /etc/systemd/system/{NAME}",
        "systemctl daemon-reload",
        f"systemctl enable --quiet {NAME}",
        f"systemctl restart {NAME}",
    ]
    sudo = "sudo -n " if device.sudo else ""
    script = "\n".join([
        "set -eu", f"mkdir -p {shlex.join(map(str, folders))}", *(sudo + step for step in steps),
        "sleep 2", f"systemctl is-active --quiet {NAME} || "
        f"{{ {sudo}systemctl status --no-pager --lines=3 {NAME} >&2; exit 1; }}",
    ])  # fmt: skip
    done = _shell(host, script)
    need_sudo(host, done, steps)
    _need(host, device, done, "the service does not run")


def need_sudo(host: Host, done: CommandResult, steps: Sequence[str]) -> None:
    """Raise RemoteError, with what to do by hand, where sudo asks for a password."""
    if done.status and re.search("a (password|terminal) is required", done.err):
        by_hand = " && ".join(f"sudo {step}" for step in steps)
        raise RemoteError(f"{host.login}: sudo asks for a password there; run there: {by_hand}")


def _shell(host: Host, script: str) -> CommandResult:
    """Run a POSIX shell script there, whatever the login shell is."""
    lines = (line[8:] if line.startswith(" " * 8) else line for line in script.split("\n"))
    return host.run("sh -s", "\n".join(lines).encode())


def _need(host: Host, device: Device, done: CommandResult, failed: str) -> None:
    if not done.status:
        return
    if "No space left on device" in done.err:
        raise RemoteError(f"{host.login}: no space left in {device.folder}; make room there")
    if "ensurepip is not available" in done.out + done.err:
        remedy = "install them there: sudo apt install python3-venv"
        raise RemoteError(f"{host.login}: Python's virtual environments are missing; {remedy}")
    raise RemoteError(f"{host.login}: {failed}: {last_error(done)}")


def _script(model_name: str) -> bytes:
    """Run edgebee on the model; another `-m`, given after this one, wins."""
    return f"""#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/venv/bin/edgebee" classify -m "$here"/{shlex.quote(model_name)} "$@"
""".encode()


def _labels_beside(model: Path) -> dict[str, bytes]:
    beside = model.with_name(classify.LABELS_NAME)
    return {beside.name: beside.read_bytes()} if beside.exists() else {}


def _picture() -> bytes:
    """A picture to try the runner on."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (_PICTURE_SIDE_PX, _PICTURE_SIDE_PX), "gold").save(buffer, "PNG")
    return buffer.getvalue()


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _usage(host: Host, device: Device, *, service: bool) -> str:
    runner = shlex.quote(f"{device.folder}/classify")
    lines = [
        f"Ready. On {host.login}:",
        f"  {runner} photo.jpg",
        f"  {runner} --camera --every 10",
        f"  {runner} --watch photos --move-to sorted",
    ]
    if service:
        lines += [
            "The service runs, now and after every start of the machine:",
            "  journalctl -u edgebee -o cat -f          its answers",
            "  sudo systemctl stop edgebee              stop it",
            f"  {REMOVE}",
            "                                           remove it",
        ]
    lines.append(f"Remove all of it: rm -r {shlex.quote(device.folder)}")
    return "\n".join(lines)
