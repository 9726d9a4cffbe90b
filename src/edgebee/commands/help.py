"""`edgebee help`."""

from __future__ import annotations

import click


@click.command("help", short_help="Show the help of a command.")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(ctx: click.Context, *, words: tuple[str, ...]) -> None:
    """Show the help of COMMAND, as `edgebee COMMAND --help` does.

    \b
    Example:
        edgebee help train
    """  # noqa: D301
    context = ctx.find_root()
    for word in words:
        group = context.command
        below = group.get_command(context, word) if isinstance(group, click.Group) else None
        if below is None:
            raise click.UsageError(f"No such command '{word}'.", context)
        context = click.Context(below, context, word)
    click.echo(context.get_help())
