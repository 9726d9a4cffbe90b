"""`edgebee doctor`: will a model run here?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from edgebee.console import echo
from edgebee.edge.station.options import SIZE


@click.command("doctor", short_help="Check whether a model will run on this machine.")
@click.argument("model", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--size",
    type=SIZE,
    help="Size of the photos for a model that takes any, as 224 or 240x320.  "
    "[default: the model's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.pass_context
def command(
    ctx: click.Context, *, model: Path | None, size: tuple[int, int] | None, as_json: bool
) -> None:
    """Check whether MODEL will run here. Each problem is printed with what fixes it.

    The model is really run: loaded and invoked in a process of its own, with its golden samples if
    it has some. Without MODEL, the one that `edgebee classify` takes is checked.

    Exit status 1: it will not run.

    \b
    Example:
        edgebee doctor artifacts/model_int8.tflite
    """  # noqa: D301
    from edgebee.edge.classify import find_model
    from edgebee.edge.device.doctor import examine_system
    from edgebee.edge.device.problems import FAILED, render
    from edgebee.edge.device.system_info import read_system_info
    from edgebee.edge.tflite.model_file import read_model_file

    file = read_model_file(model or find_model())
    done = []
    for check in examine_system(read_system_info(), file, size):
        done.append(check)
        if not as_json:  # each as soon as it is made
            for line in render([check]).splitlines():
                echo(line)
    failed = any(check.status == FAILED for check in done)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in done], indent=2))
    else:
        echo(f"{file.path} {'will not run' if failed else 'will run'} here")
    ctx.exit(1 if failed else 0)
