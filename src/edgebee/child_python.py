"""Command lines of a Python that runs nothing from the working folder.

`python -m` and `python -c` put the folder that a user happens to stand in first on the path: its
`random.py` would be run in place of Python's. `python -P` prevents that, but only from 3.11 on.
"""

from __future__ import annotations

import sys

__all__ = ["code_command", "module_command"]

_SAFE = "import sys; sys.path[:] = filter(None, sys.path); "
"""`sys` is built in, so nothing is looked for before the empty entry, the folder, is gone."""
_RUN = (
    "del sys.argv[0]; import runpy; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def code_command(code: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command line that runs code like `python -c CODE ARGUMENTS`, from any folder."""
    return [python, "-c", _SAFE + code, *arguments]


def module_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command line that runs a module like `python -m MODULE ARGUMENTS`, from any folder.

    Args:
        module: its full name.
        arguments: for it.
        python: the interpreter.
    """
    return code_command(_RUN, module, *arguments, python=python)
