"""The Python that `edgebee deploy` made on a device: is it this edgebee, and its modules run."""

from __future__ import annotations

import hashlib
import shlex

from edgebee.child_python import code_command, module_command
from edgebee.edge.device.ssh import Host, last_error
from edgebee.edge.device.wheel import build_wheel
from edgebee.errors import RemoteError

__all__ = ["check_deployed", "module_line"]

_DIGEST = (
    "import hashlib, pathlib; path = pathlib.Path(sys.argv[1]); "
    "print(hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else 'another')"
)
_SHELL_FOUND_NOTHING = (126, 127)


def module_line(folder: str, module: str, *arguments: str) -> str:
    """The shell's command that runs a module with the Python that was deployed.

    Args:
        folder: that was deployed to, from the home folder or the root.
        module: its full name.
        arguments: for it.
    """
    return "cd && exec " + shlex.join(module_command(module, *arguments, python=_python(folder)))


def _python(folder: str) -> str:
    return f"{folder}/venv/bin/python"


def check_deployed(host: Host, folder: str) -> None:
    """Check that the edgebee there is the one that runs here.

    Raises:
        RemoteError: nothing was deployed there, or another edgebee.
    """
    name, content = build_wheel()
    command = code_command(_DIGEST, f"{folder}/{name}", python=_python(folder))
    done = host.run(f"cd && exec {shlex.join(command)}")
    remedy = f"run: edgebee deploy {host.login}"
    if done.status in _SHELL_FOUND_NOTHING:
        raise RemoteError(f"{host.login}: edgebee is not in {folder} there; {remedy}")
    if done.status:
        raise RemoteError(f"{host.login}: {last_error(done)}; {remedy}")
    digest = done.out.split()[-1]
    if digest != hashlib.sha256(content).hexdigest():
        raise RemoteError(f"{host.login}: another edgebee is in {folder} there; {remedy}")
