"""A real OpenSSH server on the loopback, with keys of its own, as a device to deploy to."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from edgebee.edge.device import ssh

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
SOON_S = 20

needs_sshd = pytest.mark.skipif(
    not (SSHD and shutil.which("ssh")), reason="needs openssh-server and openssh-client"
)


class Server:
    """A running server on a high port, that lets one key in.

    Attributes:
        folder: of its keys, settings and log.
        home: the home folder that its shells get, and where they put temporary files.
        stubs: a folder of programs that come before the real ones, there.
        options: for `ssh -o`; with them, any host name leads here.
    """

    def __init__(self, folder: Path, pip: Mapping[str, str]) -> None:
        self.folder, self.home, self._pip = folder, folder / "home", pip
        self.stubs = folder / "stubs"
        for made in (self.home, self.stubs):
            made.mkdir()
        for name in ("host", "user", "stranger"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            subprocess.run(command, check=True)
        (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        (folder / "config").write_text(self._settings())
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}\n")
        self.options = (
            "HostName=127.0.0.1",
            f"Port={self.port}",
            f"User={getpass.getuser()}",
            f"IdentityFile={folder}/user",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={folder}/known_hosts",
            "BatchMode=yes",
        )
        if os.geteuid() == 0:  # where it would separate privileges
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = self._start()

    def _settings(self) -> str:
        path = f"{self.stubs}:/usr/local/bin:/usr/bin:/bin"
        variables = {"HOME": self.home, "TMPDIR": self.home, "PATH": path, **self._pip}
        return f"""
            ListenAddress 127.0.0.1
            Port {self.port}
            HostKey {self.folder}/host
            PidFile none
            AuthorizedKeysFile {self.folder}/authorized_keys
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin yes
            UsePAM no
            StrictModes no
            SetEnv {" ".join(f'{name}="{text}"' for name, text in variables.items())}
            """

    def _start(self) -> subprocess.Popen[bytes]:
        log = self.folder / "log"
        # sshd starts itself anew for each connection, and needs its full path for that.
        process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", self.folder / "config"], stderr=log.open("wb")
        )
        until = time.monotonic() + SOON_S
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return process
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.05)

    def arguments(self, key: str = "user") -> list[str]:
        """What `edgebee deploy` is given to come here."""
        return [
            f"{getpass.getuser()}@127.0.0.1", "--port", str(self.port),
            "--identity", str(self.folder / key), "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
        ]  # fmt: skip

    def connect(self) -> AbstractContextManager[ssh.Host]:
        """Log in here."""
        return ssh.connect("bee", options=self.options)

    def stub(self, name: str, script: str) -> None:
        """A program that comes before the real one, there."""
        (self.stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.stubs / name).chmod(0o755)

    def unplug(self) -> None:
        """Kill the server, every connection and all that runs behind them, at once."""
        for pid in [*_descendants(self.process.pid), self.process.pid]:
            with suppress(ProcessLookupError):  # it ended with its parent
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _descendants(pid: int) -> list[int]:
    """Every process below one, the deepest first."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                found += [*_descendants(int(child)), int(child)]
    return found


@contextmanager
def running_server(folder: Path, pip: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that is stopped at the end; the test is skipped where there is none.

    Args:
        folder: for its files.
        pip: pip's variables there; default: as here.
    """
    if not (SSHD and shutil.which("ssh")):
        pytest.skip("needs openssh-server and openssh-client")
    here = {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
    server = Server(folder, here if pip is None else pip)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.unplug()
