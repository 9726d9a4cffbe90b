"""Where probes run: on this machine, or on a device that is reached by ssh.

A device needs Python with NumPy, Pillow and a TFLite runtime, as for `classify.py`, and an
OpenSSH server. Everything else is copied into a folder of its own there, which is taken away
afterwards.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import edgebee.benchmarks.measure
import edgebee.edge
from edgebee.benchmarks.measure.workers import ANSWER_SECONDS, Closing, Worker, WorkerError
from edgebee.errors import BenchmarkError

__all__ = ["Place", "Ssh", "SshUrl", "SystemInfo"]

_CONNECT_SECONDS = 15
_COPY_SECONDS = 600.0
_ALIVE = ("ServerAliveInterval=5", "ServerAliveCountMax=3")
"""A device that is unplugged is noticed after fifteen seconds."""

_PYTHONS = (
    "$HOME/edgebee/venv/bin/python",
    "$HOME/bee/bin/python",
    "$HOME/edgebee-env/bin/python",
    "python3",
)
"""Where `edgebee deploy` and the README put the runtime; the first that has all is taken."""

_REMOTE_FOLDER = re.compile(r"/\S*/edgebee-benchmark\.\w+")


class Place(Protocol):
    """Where probes run and what the files are called there."""

    def path(self, file: Path) -> str:
        """What a file of this machine is called there."""

    def start(self, name: str, arguments: Sequence[str]) -> Worker:
        """Start `probe.py` with these arguments.

        Raises:
            WorkerError: it does not get ready.
        """


def _scripts() -> list[Path]:
    """The lone scripts: the runner, the probe and what it needs."""
    benchmarks, edge = (
        Path(room.__path__[0]) for room in (edgebee.benchmarks.measure, edgebee.edge)
    )
    return [edge / "classify.py", *(benchmarks / f"{n}.py" for n in ("probe", "machine", "peers"))]


class SystemInfo(Closing):
    """This machine, with the scripts in a folder as they would lie on a device.

    Args:
        python: another Python, which has a peer installed.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._folder = tempfile.TemporaryDirectory(prefix="edgebee-benchmark-")
        self.folder = Path(self._folder.name)
        for script in _scripts():
            shutil.copy(script, self.folder)

    def close(self) -> None:
        """Take the folder away."""
        self._folder.cleanup()

    def path(self, file: Path) -> str:
        """The file as it is."""
        return str(file)

    def start(self, name: str, arguments: Sequence[str], python: str | None = None) -> Worker:
        """Start the probe from its folder, with another Python if one is named."""
        probe = self.folder / "probe.py"
        return Worker([python or self._python, str(probe), *arguments], name)

    def start_module(self, name: str, module: str, arguments: Sequence[str]) -> Worker:
        """Start a module of edgebee's that is a probe."""
        safe = {"PYTHONSAFEPATH": "1"}  # the working folder may hold a json.py
        return Worker([self._python, "-m", module, *arguments], name, environment=safe)


@dataclass(frozen=True)
class SshUrl:
    """`ssh://[user@]host[:port][/path/of/python]`."""

    text: str
    host: str
    """With the user before it, as ssh takes it."""
    port: int | None
    python: str | None
    """Path of the Python there; None looks in the usual places."""

    @classmethod
    def parse(cls, text: str) -> SshUrl:
        """Read a URL.

        Raises:
            ValueError: it is none of this kind.
        """
        parts = urlsplit(text)
        if parts.scheme != "ssh" or not parts.hostname or parts.password or parts.query:
            raise ValueError(f"{text!r} is not ssh://user@host, with :port and /path/of/python")
        host = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
        if host.startswith("-"):  # ssh would take it for an option
            raise ValueError(f"{text!r} has no host name")
        return cls(text, host, parts.port, parts.path if len(parts.path) > 1 else None)


class Ssh(Closing):
    """A device behind OpenSSH.

    Args:
        url: where it is.
        files: of this machine, to be copied: name there -> file.
        options: as for `ssh -o`.
        answer_seconds: longest silence of a probe.

    Raises:
        BenchmarkError: it cannot be reached, or lacks something.
    """

    def __init__(
        self,
        url: SshUrl,
        files: Mapping[str, Path],
        *,
        options: Sequence[str] = (),
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.url = url
        self._answer_seconds = answer_seconds
        self._names = {path.resolve(): name for name, path in files.items()}
        # The first value of an option counts, so that the user's go before ours.
        chosen = (*options, "BatchMode=yes", f"ConnectTimeout={_CONNECT_SECONDS}", *_ALIVE)
        port = ["-p", str(url.port)] if url.port else []
        self._ssh = ["ssh", *port, *(f"-o{option}" for option in chosen), url.host, "--"]
        self._python = self._find_python()
        self._folder = self._copy(files)

    def close(self) -> None:
        """Take the folder there away."""
        command = [*self._ssh, shlex.join(["rm", "-rf", "--", self._folder])]
        # When the device is gone there is nobody to tidy up, and that has been said.
        subprocess.run(command, capture_output=True, check=False, timeout=_COPY_SECONDS)

    def path(self, file: Path) -> str:
        """The name in the folder there."""
        return self._names[file.resolve()]

    def start(self, name: str, arguments: Sequence[str]) -> Worker:
        """Start the probe there; the end of the connection is the end of its input."""
        line = f"cd {shlex.quote(self._folder)} && exec {self._python} probe.py "
        command = [*self._ssh, line + shlex.join(arguments)]
        return Worker(command, f"{self.url.host}: {name}", answer_seconds=self._answer_seconds)

    def _run(self, line: str, content: bytes = b"") -> str:
        """Run a line in the device's shell; what it prints.

        Raises:
            BenchmarkError: it fails.
        """
        try:
            done = subprocess.run(
                [*self._ssh, line],
                input=content,
                capture_output=True,
                check=False,
                timeout=_COPY_SECONDS,
            )
        except FileNotFoundError as error:
            raise BenchmarkError("ssh is not installed: apt install openssh-client") from error
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(
                f"{self.url.text}: no answer for {_COPY_SECONDS:.0f} s; look after the device"
            ) from error
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            remedy = f"try: ssh {self.url.host}" + (f" -p {self.url.port}" if self.url.port else "")
            raise WorkerError(
                f"{self.url.text}: {lines[-1].strip()}; {remedy}", lost=done.returncode == 255
            )
        return done.stdout.decode(errors="replace").strip()

    def _find_python(self) -> str:
        """A Python there that has NumPy, Pillow and a runtime, quoted for the shell."""
        if self.url.python:
            return shlex.quote(self.url.python)
        needed = (
            "import numpy, PIL, importlib.util as u, sys; sys.exit(not "
            "(u.find_spec('ai_edge_litert') or u.find_spec('tflite_runtime')))"
        )
        tests = "; ".join(
            f'if "{python}" -c {shlex.quote(needed)} 2>/dev/null; then echo "{python}"; exit; fi'
            for python in _PYTHONS
        )
        found = self._run(tests)
        if not found:
            raise BenchmarkError(
                f"{self.url.text}: no Python there has NumPy, Pillow and a TFLite runtime; on the "
                "device: python3 -m venv ~/bee && ~/bee/bin/pip install numpy pillow ai-edge-litert"
            )
        return shlex.quote(found)

    def _copy(self, files: Mapping[str, Path]) -> str:
        """Copy the scripts and files in one stream; the folder there."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, path in {**{s.name: s for s in _scripts()}, **files}.items():
                archive.add(path.resolve(), name)
        folder = self._run(
            'd=$(mktemp -d "${TMPDIR:-/tmp}/edgebee-benchmark.XXXXXX") && tar xf - -C "$d" '
            '--no-same-owner && echo "$d"',
            packed.getvalue(),
        )
        if not _REMOTE_FOLDER.fullmatch(folder):  # it will be handed to rm
            raise BenchmarkError(
                f"{self.url.text}: its shell prints {folder[:60]!r} at the start; a shell must be "
                "silent when it is not used by hand"
            )
        return folder
