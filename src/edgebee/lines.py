"""What commands say: lines that stay lines, whatever names are in them.

Results go to standard output (`tell`), talk to standard error (`say`). JSON and tables for a
README are printed as they are.
"""

from __future__ import annotations

import click

__all__ = ["printable", "say", "tell"]


def printable(text: object) -> str:
    """As the runner's, which is loaded when something is said: `edgebee --help` needs no NumPy."""
    from edgebee.edge import classify

    return classify.printable(text)


def tell(line: str) -> None:
    """Print a line of a result."""
    click.echo(printable(line))


def say(line: str) -> None:
    """Print a line for the person in front of it."""
    click.echo(printable(line), err=True)
