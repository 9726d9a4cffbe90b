"""Another machine, by the system's own `ssh`: your keys, your `~/.ssh/config`, one login.

Works from Linux, macOS and Windows; Windows' ssh cannot share a login, so each command logs in.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebee.errors import RemoteError

__all__ = ["CommandResult", "Host", "connect", "last_error"]

CONNECT_TIMEOUT_S = 20
_SILENCE_S = 30
"""A device that is unplugged is noticed after so long."""
_SSH_FAILED = 255
"""Exit status of ssh when the connection failed or broke (ssh(1))."""
_POLL_S = 0.05
_LONGEST_FOLDER = 70
"""Bytes; a socket's path may have 108 on Linux and 104 on macOS, and ssh adds some of its own."""
_BROKE_OFF = "the connection broke off; is it switched on and in this network?"
_REASONS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its key is not the one of last time; if it was set up again: ssh-keygen -R {name}",
    ),
    (
        "Host key verification failed",
        "its key is unknown here; log in once by hand to accept it: ssh {login}",
    ),
    ("Permission denied", "refused your key or password; send it your key: ssh-copy-id {login}"),
    ("Too many authentication failures", "refused your keys; name the right one with --identity"),
    ("Could not resolve hostname", "no such machine; check its name, or give its address"),
    ("Connection refused", "does not let ssh in; enable it there: sudo raspi-config, Interface"),
    ("not responding|Broken pipe|Connection reset|closed by remote host", _BROKE_OFF),
    (
        "Connection timed out|No route to host|Network is unreachable|Host is down",
        "cannot be reached; is it switched on and in this network?",
    ),
)
"""Regular expression for what ssh prints -> what it means, and the remedy."""


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

    def __repr__(self) -> str:
        return f"Host({self.login!r})"

    def run(self, command: str, stdin: bytes = b"") -> CommandResult:
        """Run a shell command there.

        Raises:
            RemoteError: the connection broke off.
        """
        done = subprocess.run(
            [*self._command, self.login, command], input=stdin, capture_output=True, check=False
        )
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        if done.returncode == _SSH_FAILED:
            raise _error(self.login, err)
        return CommandResult(done.returncode, out, err)

    def run_script(self, script: str) -> CommandResult:
        """Run a POSIX shell script there, whatever the login shell is.

        Raises:
            RemoteError: the connection broke off.
        """
        return self.run("sh -s", os.fsencode(script))

    def lines(self, command: str) -> Iterator[str]:
        """Run a shell command there; its lines of output as they come.

        Raises:
            RemoteError: the connection broke off, or the command failed.
        """
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*self._command, self.login, command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield line.decode(errors="replace").rstrip("\n")
                status = process.wait()
            finally:
                process.stdout.close()
                process.kill()
                process.wait()
            errors.seek(0)
            printed = errors.read().decode(errors="replace")
        if status == _SSH_FAILED:
            raise _error(self.login, printed)
        if status:
            reason = last_error(CommandResult(status, "", printed))
            raise RemoteError(f"{self.login}: {reason}")

    def send(
        self, files: Mapping[str, bytes], folder: str, modes: Mapping[str, int]
    ) -> CommandResult:
        """Unpack files into a folder there, each whole or not at all.

        They are put in a hidden folder beside, and then moved.

        Args:
            files: name -> content.
            folder: path there, from the root or the home folder.
            modes: name -> permissions; default 0644.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), modes.get(name, 0o644)
                member.mtime = int(time.time())
                tar.addfile(member, io.BytesIO(content))
        place, part = shlex.quote(folder), shlex.quote(f"{folder}/.part")
        moves = [f"mv -f {part}/{name} {place}/{name}" for name in map(shlex.quote, files)]
        steps = ["cd", f"rm -rf {part}", f"mkdir -p {part}", f"tar -xf - -C {part}", *moves]
        return self.run(" && ".join([*steps, f"rmdir {part}"]), archive.getvalue())


def last_error(done: CommandResult) -> str:
    """The line that most probably says why a command failed."""
    lines = [line.strip() for line in (done.err or done.out).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [f"exit status {done.status}"])[-1]


@contextlib.contextmanager
def connect(
    login: str,
    *,
    port: int | None = None,
    identity: Path | None = None,
    options: Sequence[str] = (),
) -> Iterator[Host]:
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
    command = _ssh_command(port, identity, options)
    if sys.platform == "win32":
        yield Host(login, command)
        return
    with tempfile.TemporaryDirectory(prefix="edgebee-", dir=_short_folder()) as folder:
        socket, printed = Path(folder, "ssh"), Path(folder, "printed")
        command += ["-S", str(socket).replace("%", "%%")]  # ssh expands %h and the like
        with printed.open("wb") as errors:
            master = subprocess.Popen(
                [*command, "-M", "-N", login],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            while not socket.exists():
                if master.poll() is not None:
                    raise _error(login, printed.read_text(errors="replace"))
                time.sleep(_POLL_S)
            yield Host(login, command)
        finally:
            master.terminate()
            master.wait()


def _ssh_command(port: int | None, identity: Path | None, options: Sequence[str]) -> list[str]:
    command = ["ssh"]
    # The first value of an option counts, so that the user's come before ours.
    for option in (
        *options,
        f"ConnectTimeout={CONNECT_TIMEOUT_S}",
        # Every second: the server of OpenSSH 9.2 at times sleeps over the end of a command, until
        # the next word from here.
        "ServerAliveInterval=1",
        f"ServerAliveCountMax={_SILENCE_S}",
    ):
        command += ["-o", option]
    command += ["-p", str(port)] if port else []
    command += ["-i", str(identity)] if identity else []
    return command


def _short_folder() -> str | None:
    """A folder in which a socket's path is short enough; None for the usual one."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(os.fsencode(usual)) > _LONGEST_FOLDER else None


def _error(login: str, printed: str) -> RemoteError:
    """What ssh printed, in our words."""
    name = login.rpartition("@")[2]
    for pattern, meaning in _REASONS:
        if re.search(pattern, printed):
            return RemoteError(f"{login}: {meaning.format(name=name, login=login)}")
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return RemoteError(f"{login}: {lines[-1] if lines else _BROKE_OFF}")
