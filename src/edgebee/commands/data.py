"""`edgebee data`."""

from __future__ import annotations

import click

from edgebee.console import ProgressBars, complete_photos, echo, log, log_next


@click.group("data", short_help="Check a dataset for problems.")
def command() -> None:
    """Check a dataset for problems."""


@command.command("check", short_help="Find what would spoil a model.")
@click.argument("folder", metavar="DIR", shell_complete=complete_photos)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out photos by name, as 'ants/*.gif', or a class (repeatable).",
)
@click.pass_context
def check(ctx: click.Context, *, folder: str, exclude: tuple[str, ...]) -> None:
    """Find what would spoil a model in DIR (a folder, hymenoptera or sample).

    Checked are unreadable and nearly empty photos, placeholders, duplicates, photos in two classes
    or in both training and validation, and unequal classes.

    Exit status 1 when the measured accuracy would be inflated: by the same photo in training
    and validation, or in two classes.

    \b
    Example:
        edgebee data check my_photos
    """  # noqa: D301
    from edgebee.edge.classify import silence_decoder_warnings
    from edgebee.photos.checks import check_dataset
    from edgebee.photos.dataset import load_dataset
    from edgebee.photos.layout import list_some

    silence_decoder_warnings()
    with ProgressBars() as bars:
        dataset = load_dataset(folder, exclude=exclude, progress=bars)
        result = check_dataset(dataset, progress=bars)
    for half, photos in (("train", dataset.train), ("validation", dataset.validation)):
        counts = zip(photos.counts(len(dataset.labels)), dataset.labels, strict=True)
        echo(f"{half}: {len(photos)} photos ({list_some(f'{n} {label}' for n, label in counts)})")
    for line in (*map(str, result), result.totals):
        echo(line)
    if result.inflates_accuracy:
        log(
            "These problems inflate the measured accuracy. Fix them, or exclude the photos with "
            "--exclude."
        )
        ctx.exit(1)
    log_next("train", folder)
