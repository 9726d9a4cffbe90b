"""Another machine, by the system's own `ssh`: your keys, your `~/.ssh/config`, one login."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebee.edge.classify import EdgebeeError

__all__ = ["CommandResult", "Host", "RemoteError", "connect"]

CONNECT_TIMEOUT_S = 20
_POLL_S = 0.05
_REASONS = (  # what ssh says -> what it means, and the remedy
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its key is not the one of last time; if it was "
     "set up anew: ssh-keygen -R {name}"),
    ("Host key verification failed", "its key is unknown here; log in once by hand to accept it: "
     "ssh {login}"),
    ("Permission denied", "refused your key or password; send it your key: ssh-copy-id {login}"),
    ("Too many authentication failures", "refused your keys; name the right one with --identity"),
    ("Could not resolve hostname", "no such machine; check its name, or give its address"),
    ("Connection refused", "does not let ssh in; enable it there: sudo raspi-config, Interface"),
    ("Connection timed out|No route to host|Network is unreachable|Host is down",
     "cannot be reached; is it switched on and in this network?"),
)  # fmt: skip


class RemoteError(EdgebeeError):
    """A machine that cannot be reached, or something that did not work there."""


@dataclass(frozen=True)
class CommandResult:
    """A command that has come to its end there."""

    status: int
    out: str
    err: str


class Host:
    """A machine that we are logged in on; made by `connect`."""

    def __init__(self, login: str, command: Sequence[str]) -> None:
        self.login = login
        self._command = list(command)

    def run(self, command: str, stdin: bytes = b"") -> CommandResult:
        """Run a shell command there.

        Raises:
            RemoteError: the connection broke off.
        """
        done = subprocess.run(
            [*self._command, self.login, command], input=stdin, capture_output=True, check=False
        )
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        if done.returncode == 255:  # ssh's own status
            raise _error(self.login, err)
        return CommandResult(done.returncode, out, err)

    def send(
        self, files: Mapping[str, bytes], folder: str, modes: Mapping[str, int]
    ) -> CommandResult:
        """Unpack files into a folder there (already quoted for its shell), whole or not at all.

        They are put in a hidden folder beside, and then moved.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), modes.get(name, 0o644)
                member.mtime = int(time.time())
                tar.addfile(member, io.BytesIO(content))
        part = f"{folder}/.part"
        script = (
            f"mkdir -p {part} && tar -xf - -C {part} && mv -f {part}/* {folder}/ && rmdir {part}"
        )
        return self.run(script, archive.getvalue())


@contextlib.contextmanager
def connect(login: str, *, port: int | None = None, identity: Path | None = None,
            options: Sequence[str] = ()) -> Iterator[Host]:  # fmt: skip
    """Log in once; what is run within goes over that one connection.

    ssh asks at the terminal for what it needs: a passphrase, a password.

    Args:
        login: `user@host`, or a name from `~/.ssh/config`.
        port: where ssh listens there; default: as configured, or 22.
        identity: file of the private key.
        options: for `ssh -o`.

    Raises:
        RemoteError: ssh is missing, or could not log in.
    """
    if not shutil.which("ssh"):
        raise RemoteError("ssh is not installed here: sudo apt install openssh-client")
    with tempfile.TemporaryDirectory(prefix="edgebee-") as folder:
        socket, said = Path(folder, "ssh"), Path(folder, "said")
        base = ["ssh", "-S", str(socket), "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
        # Every second: the server of OpenSSH 9.2 at times sleeps over the end of a command, until
        # the next word from here.
        base += ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=60"]
        base += ["-p", str(port)] if port else []
        base += ["-i", str(identity)] if identity else []
        for option in options:
            base += ["-o", option]
        with said.open("wb") as errors:
            master = subprocess.Popen(
                [*base, "-M", "-N", login],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            while not socket.exists():
                if master.poll() is not None:
                    raise _error(login, said.read_text(errors="replace"))
                time.sleep(_POLL_S)
            yield Host(login, base)
        finally:
            master.terminate()
            master.wait()


def _error(login: str, said: str) -> RemoteError:
    """What ssh said, in our words."""
    name = login.rpartition("@")[2]
    for pattern, meaning in _REASONS:
        if re.search(pattern, said):
            return RemoteError(f"{login}: {meaning.format(name=name, login=login)}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return RemoteError(f"{login}: {lines[-1] if lines else 'the connection broke off'}")
