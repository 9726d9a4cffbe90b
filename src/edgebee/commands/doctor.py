"""`edgebee doctor`: will a model run, here or on another machine?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebee.console import log

if TYPE_CHECKING:
    from edgebee.edge.device.problems import Problem

PLACES = (
    "pi-os-11", "pi-os-11-32bit", "pi-os-12", "pi-os-12-32bit", "pi-os-13", "pi-os-13-32bit",
    "pi-zero", "debian-12-pc", "debian-13-pc", "ubuntu-22.04", "ubuntu-24.04",
)  # fmt: skip
"""As in `edgebee.edge.device.platforms`, which loads NumPy."""


@click.command("doctor", short_help="Will a model run, here or on a Pi?")
@click.argument("model", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--for", "place", type=click.Choice(PLACES), metavar="MACHINE",
    help=f"Answer for another machine: {', '.join(PLACES)}.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="Threads that it is to run on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context, *, model: Path | None, place: str | None, threads: int | None, as_json: bool
) -> None:
    """Say whether MODEL will run, and if not, what to type.

    SystemInfo, it is really run: loaded and made to answer in a process of its own, with its golden
    samples if it carries some. Without MODEL, the one that `edgebee classify` takes. With --for,
    the answer for a machine that is not here comes from the file and a table of facts.
    Exit status 1: it will not run.

    \b
    Example:
        edgebee doctor artifacts/model_int8.tflite --for pi-os-12-32bit
    """  # noqa: D301
    from edgebee.edge.classify import find_model
    from edgebee.edge.device.doctor import examine_here, look_around
    from edgebee.edge.device.platforms import MACHINES, examine_machine
    from edgebee.edge.tflite.model_file import read_model_file

    if place and threads:
        raise click.UsageError("--threads is for this machine; leave out --threads or --for")
    file = read_model_file(model or find_model())
    if place:
        failed = _report(examine_machine(MACHINES[place], file), as_json)
    else:
        failed = _report(examine_here(look_around(), file, threads), as_json)
    where = MACHINES[place].title if place else "here"
    verdict = "will not run" if failed else "will run"
    log(f"{file.path} {verdict}: {where}")
    ctx.exit(1 if failed else 0)


def _report(findings: Iterable[Problem], as_json: bool) -> bool:
    """Print findings, as they come or as one JSON list; return whether one of them failed."""
    from edgebee.edge.device.problems import FAILED, render

    made = []
    for finding in findings:
        made.append(finding)
        if not as_json:
            click.echo(render([finding]))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in made], indent=2))
    return any(finding.status == FAILED for finding in made)
