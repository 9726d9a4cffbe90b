"""`edgebee data`."""

from __future__ import annotations

import click

from edgebee.console import log


@click.group("data", short_help="Look at photos before they are believed.")
def command() -> None:
    """Look at photos before they are believed."""


@command.command("check")
@click.argument("folder", metavar="DIR")
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave out photos by name (repeatable)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, *, folder: str, exclude: tuple[str, ...], as_json: bool) -> None:
    """Look for what would spoil a model in DIR (a folder, hymenoptera or sample).

    Exit status 1 when something would corrupt the result: the same photo in training and
    validation, or under two labels.

    \b
    Example:
        edgebee data check my_photos
    """  # noqa: D301
    import json

    from tqdm import tqdm

    from edgebee.edge.classify import silence_decoder_warnings
    from edgebee.photos.checks import audit_dataset, render_text, to_json
    from edgebee.photos.dataset import load_dataset

    silence_decoder_warnings()
    dataset = load_dataset(folder, exclude=exclude)
    count = len(dataset.train) + len(dataset.validation)
    with tqdm(total=count, desc="looking at the photos", unit="photo", disable=None) as bar:
        audit = audit_dataset(dataset, progress=bar.update)
    if as_json:
        click.echo(json.dumps(to_json(audit), indent=2))
    else:
        click.echo(render_text(audit))
    if audit.corrupts:
        log("Mend this, or leave photos out with --exclude or .edgebeeignore")
        ctx.exit(1)
    log(f"Next: edgebee train --data {folder}")
