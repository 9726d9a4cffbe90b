"""`edgebee archive`: classify millions of photos into Parquet files, and ask them questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import GroupedCommand, ProgressBars, ProgressLines, echo, log
from edgebee.edge.station.options import SHARE, SIZE

if TYPE_CHECKING:
    from edgebee.edge.archive.archive import Archive

_SUMMARY_NAME = "summary.html"


class _SourceOrCommand(GroupedCommand, click.Group):
    """`archive SOURCE` does the work; `archive query` is a command of its own."""

    allow_extra_args = False
    allow_interspersed_args = True

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """That of the command, where one is named; a folder called so is `./query`."""
        if args and args[0] in self.commands:
            name = f"{info_name} {args[0]}"
            return self.commands[args[0]].make_context(name, args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Those of a plain command."""
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Do the work."""
        return click.Command.invoke(self, ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options under their headings, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


class _Source(click.Argument):
    """Of `archive` alone: click would show it in the usage of its commands, too."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """None for `archive query`."""
        return super().get_usage_pieces(ctx) if self in ctx.command.params else []


@click.group(
    "archive",
    cls=_SourceOrCommand,
    short_help="Classify millions of photos into Parquet files.",
    no_args_is_help=False,
    subcommand_metavar="",
    groups={
        "Model": ("model", "threshold", "normalize", "size", "max_megapixels"),
        "Work": ("output", "threads", "ray", "part_size", "retry_errors", "summary"),
    },
)
@click.argument("source", cls=_Source, metavar="SOURCE")
@click.option(
    "-o",
    "--out",
    "--output",
    "output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the archive. What it holds already stays, and is not classified again.",
)
@click.option(
    "-m",
    "--model",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The .tflite file.  [default: the newest int8 model in ./artifacts, else the one that "
    "ships]",
)
@click.option(
    "-t",
    "--threshold",
    type=SHARE,
    metavar="SCORE",
    help="A photo whose best score among the classes is lower is labelled `unknown`.  [default: "
    "the model's own, or 0]",
)
@click.option(
    "--normalize",
    type=click.Choice(["0..255", "0..1", "-1..1"]),
    help="Range of the values that the model takes for pixels.  [default: as its metadata says, "
    "else 0..255]",
)
@click.option(
    "--size",
    type=SIZE,
    metavar="HEIGHTxWIDTH",
    help="Size of the photos for a model that takes any, as 224 or 240x320.  [default: the "
    "model's]",
)
@click.option(
    "--max-megapixels",
    type=click.IntRange(min=1),
    metavar="N",
    help="Refuse photos that would hold more pixels in memory.  [default: 25]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many photos to work on at a time, at most one per CPU.  [default: one per CPU]",
)
@click.option(
    "--ray",
    metavar="HOST:PORT",
    help="Classify on a Ray cluster: the address of its head node, or local. The results are the "
    "same.  [default: on this machine, without Ray]",
)
@click.option(
    "--part-size",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Photos in a part of a new archive; another keeps its own. A run that is killed loses "
    "one part of work at most.",
)
@click.option("--retry-errors", is_flag=True, help="Classify photos again whose row has an error.")
@click.option(
    "--summary",
    is_flag=True,
    help="Make a page of the results: counts over time, uncertain photos, a contact sheet of each "
    "label.",
)
@click.pass_context
def command(ctx: click.Context, /, *, output: Path, summary: bool, **params: Any) -> None:
    """Classify all photos of SOURCE into Parquet files, resumable at any moment.

    SOURCE is a folder, a text file with a path in each line, a Parquet file with a column path,
    or an object store, as s3://bucket/folder or gs://bucket/folder.

    Run again, it classifies what is missing, new or changed. A photo that cannot be read is a row
    with an error. Results of another model are kept beside.

    \b
    Examples:
        edgebee archive my_photos --out archive --summary
        edgebee archive s3://cameras/2026 --out archive -m bees.tflite
        edgebee archive query archive "SELECT label, count(*) FROM photos GROUP BY label"

    Exit status: 0 all classified, 1 a photo failed, 2 wrong usage, 130 Ctrl-C.
    """  # noqa: D301
    archive = _classify(output, **params)
    if archive.classified:
        rate = archive.classified / max(archive.seconds, 1e-9)
        log(f"{archive.classified:,} classified in {archive.seconds:,.0f} s, {rate:,.0f} a second")
    else:
        log("nothing to do: all photos are classified already")
    echo(f"{archive.folder}: {archive.photos:,} photos: {archive.spell_labels()}")
    if summary:
        from edgebee.benchmarks.report.archive_page import write_archive_page
        from edgebee.edge.archive.summary import summarize
        from edgebee.store import PhotoReader

        page, reader = archive.folder / _SUMMARY_NAME, PhotoReader(params["source"])
        with ProgressBars() as bars:
            write_archive_page(page, summarize(archive.folder), reader=reader, progress=bars)
        echo(f"{page}: the summary")
    ctx.exit(1 if archive.failed else 0)


def _classify(
    output: Path,
    *,
    source: str,
    model: Path | None,
    threads: int | None,
    ray: str | None,
    **params: Any,
) -> Archive:
    """Classify, with progress on standard error: a bar, or a line each minute."""
    from edgebee.cluster import connect_if_given
    from edgebee.edge import classify
    from edgebee.edge.archive.archive import classify_archive
    from edgebee.edge.station.sources import limit_pixels

    if ray is not None and threads is not None:
        raise click.UsageError("--threads: with --ray, each processor takes one photo at a time")
    max_megapixels = params.pop("max_megapixels")
    if max_megapixels:
        limit_pixels(max_megapixels)
    if model is None:
        model = classify.find_model()
        log(f"model: {model}")
    if stale := classify.find_newer_training(model):
        log(f"warning: {stale}")
    bars = ProgressBars() if sys.stderr.isatty() else ProgressLines()
    with bars as progress, connect_if_given(ray) as cluster:
        return classify_archive(
            source,
            output,
            model=model,
            workers=threads,
            cluster=cluster,
            progress=progress,
            **params,
        )


@command.command("query", short_help="Ask an archive questions in SQL.")
@click.argument("archive", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("sql", required=False)
@click.option(
    "-m",
    "--model",
    metavar="KEY",
    help="Which model's results `photos` stands for: its folder in the archive, or how that "
    "begins.  [default: the one that was used last]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "csv"]),
    default="text",
    show_default=True,
    help="Print results as text or csv.",
)
def query(*, archive: Path, sql: str | None, model: str | None, format_: str) -> None:
    """Run SQL on the archive in DIR, by DuckDB; without SQL, count the labels.

    The table photos has the rows of one model, all_models those of all, and manifest
    what was listed. The lines that open them in DuckDB itself are printed first, on
    standard error.

    \b
    Examples:
        edgebee archive query archive
        edgebee archive query archive "SELECT path, score FROM photos ORDER BY score LIMIT 20"
        edgebee archive query archive "FROM photos WHERE error IS NOT NULL" --format csv
    """  # noqa: D301
    from edgebee.edge.archive.query import COUNT_LABELS, open_archive

    tables = open_archive(archive, model=model)
    for line in tables.definitions:
        log(line)
    if format_ == "csv":
        for row in tables.csv(sql or COUNT_LABELS):
            echo(row)
    else:
        for line in tables.text(sql or COUNT_LABELS):
            echo(line)
