"""A real OpenSSH server on the loopback, with keys of its own, as a device to measure on."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 20


@dataclass(frozen=True)
class Sshd:
    """A running server.

    Attributes:
        folder: of its keys and settings.
        options: for `ssh -o`; with them, any host name leads here.
        port: it listens there.
        home: the home folder that its shells get, and where they put temporary files.
        process: the server itself.
    """

    folder: Path
    options: tuple[str, ...]
    port: int
    home: Path
    process: subprocess.Popen[bytes]

    def unplug(self) -> None:
        """Kill the server, every connection and all that runs behind them, at once."""
        for pid in [*_descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it ended with its parent
                continue
        self.process.wait()


def _descendants(pid: int) -> list[int]:
    """Every process below one, the deepest first."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                found += [*_descendants(int(child)), int(child)]
    return found


def find_sshd() -> str | None:
    """The server's program; `/usr/sbin` is not on everyone's path."""
    return shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_sshd(program: str, folder: Path) -> Iterator[Sshd]:
    """Start a server that lets this user in with a key made for it, and stop it at the end."""
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(command, check=True)
    home = folder / "home"
    home.mkdir()
    port = _free_port()
    settings = folder / "sshd_config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nPermitRootLogin yes\nSetEnv HOME={home} TMPDIR={home} "
        f"PATH={home}/bin:/usr/local/bin:/usr/bin:/bin\n"
    )
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    options = (
        "HostName=127.0.0.1", f"Port={port}", f"User={getpass.getuser()}",
        f"IdentityFile={folder}/user", "IdentitiesOnly=yes",
        f"UserKnownHostsFile={folder}/known_hosts", "StrictHostKeyChecking=yes",
    )  # fmt: skip
    if os.geteuid() == 0:  # where it would separate privileges
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", settings], stderr=log)
        server = Sshd(folder, options, port, home, process)
        try:
            _wait_until_it_listens(server, folder / "sshd.log")
            yield server
        finally:
            if process.poll() is None:
                server.unplug()


def _wait_until_it_listens(server: Sshd, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"sshd did not start: {log.read_text()}")
