"""`edgebee classify`: the runner, and what it does in the field."""

from __future__ import annotations

import click


@click.command(
    "classify",
    short_help="Say what is in photos.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, *, arguments: tuple[str, ...]) -> None:
    """Hand everything to the runner, so that both answer in the same words."""
    from edgebee.edge.station.classify_cli import main

    ctx.exit(main(arguments, prog="edgebee classify"))
