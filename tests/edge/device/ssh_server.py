"""A real OpenSSH server on the loopback, with keys of its own, to deploy to."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from edgebee.edge.device import ssh

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
SOON_S = 20


class Server:
    """An OpenSSH server on a high port, that lets one key in."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "home"
        self.stubs = folder / "stubs"
        for made in (self.home, self.stubs):
            made.mkdir()
        for name in ("host", "user", "stranger"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            subprocess.run(command, check=True)
        (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = f"{self.stubs}:/usr/local/bin:/usr/bin:/bin"
        pip = {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
        variables = {"HOME": str(self.home), "PATH": path, **pip}
        (folder / "config").write_text(
            f"""
            ListenAddress 127.0.0.1
            Port {self.port}
            HostKey {folder}/host
            PidFile none
            AuthorizedKeysFile {folder}/authorized_keys
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            UsePAM no
            StrictModes no
            SetEnv {" ".join(f'{name}="{text}"' for name, text in variables.items())}
            """
        )
        known = f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}"
        (folder / "known_hosts").write_text(known)
        Path("/run/sshd").mkdir(exist_ok=True)
        # sshd starts itself anew for each connection, and wants its full path for that.
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "config"], stderr=(folder / "log").open("wb")
        )
        deadline = time.monotonic() + SOON_S
        while True:
            with socket.socket() as trying:
                if not trying.connect_ex(("127.0.0.1", self.port)):
                    break
            assert self.process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def arguments(self, key="user"):
        """What `edgebee deploy` is given to come here."""
        return [
            f"{getpass.getuser()}@127.0.0.1", "--port", str(self.port),
            "--identity", str(self.folder / key), "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
        ]  # fmt: skip

    def connect(self, key="user"):
        login, _, port, _, identity, _, *options = self.arguments(key)
        options = [option for option in options if option != "-o"]
        return ssh.connect(login, port=int(port), identity=Path(identity), options=options)

    def stub(self, name, script):
        """A program that comes before the real one, there."""
        (self.stubs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.stubs / name).chmod(0o755)
