"""`edgebee benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebee.console import GroupedCommand, ProgressBars, log, log_next, show_log_records

if TYPE_CHECKING:
    from edgebee.benchmarks.measure.plan import DeviceAddress, Plan
    from edgebee.benchmarks.measure.results import Results


def _parse_devices(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[DeviceAddress, ...]:
    """The addresses of `--device`."""
    if not values:  # --help loads nothing
        return ()
    from edgebee.benchmarks.measure.plan import DeviceAddress

    try:
        return tuple(DeviceAddress.parse(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


_GROUPS = {
    "Measuring": ("data", "threads", "rounds", "photos"),
    "Devices": ("devices", "ssh_options"),
    "Comparing with an earlier benchmark": ("baseline", "max_slowdown"),
    "Output": ("wide", "markdown"),
}


@click.command(
    "benchmark",
    cls=GroupedCommand,
    groups=_GROUPS,
    short_help="Measure accuracy and latency against Keras.",
)
@click.argument("folder", default="artifacts", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--data",
    show_default="those the model was trained on",
    help="Photos to measure on: hymenoptera, sample or a folder.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    show_default="all cores",
    help="Threads for the models; no more than there are cores are used.",
)
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rounds; in each, every model is timed once.",
)
@click.option(
    "--photos",
    default=24,
    show_default=True,
    type=click.IntRange(min=1),
    help="Photos timed in a round and copied to devices; accuracy always takes all.",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="[USER@]HOST[:FOLDER]",
    callback=_parse_devices,
    show_default="this machine alone",
    help="Measure there too (repeatable); `edgebee deploy` must have been there. FOLDER as with "
    "`deploy --to`.",
)
@click.option(
    "-o",
    "--ssh-option",
    "ssh_options",
    multiple=True,
    show_default="those of ~/.ssh/config",
    help="As for ssh -o (repeatable).",
)
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_default="none",
    help="An earlier benchmark.json of the same photos; exit 1 if a model is worse now: fewer "
    "correct than chance explains, or slower.",
)
@click.option(
    "--max-slowdown",
    default=1.5,
    show_default=True,
    type=click.FloatRange(min=1),
    help="With --baseline: how many times as long as then a model may take, against Keras in the "
    "same run.",
)
@click.option("--wide", is_flag=True, help="Print all columns, not only those that fit 80.")
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    folder: Path,
    data: str | None,
    threads: int | None,
    rounds: int,
    photos: int,
    devices: tuple[DeviceAddress, ...],
    ssh_options: tuple[str, ...],
    baseline: Path | None,
    max_slowdown: float,
    wide: bool,
    markdown: bool,
) -> None:
    """Measure model.keras and every .tflite in FOLDER on the same validation photos.

    \b
    Example:
        edgebee benchmark artifacts --device pi@raspberrypi
    """  # noqa: D301
    from edgebee.benchmarks.measure.baseline import find_regressions
    from edgebee.benchmarks.measure.plan import Plan
    from edgebee.benchmarks.measure.results import Results

    earlier = Results.read(baseline) if baseline else None  # before it is written anew
    plan = Plan(
        threads=threads, rounds=rounds, photos=photos, devices=devices, ssh_options=ssh_options
    )
    results = measure_folder(folder, plan, data=data, wide=wide, markdown=markdown)
    failed = any(device.failure for device in results.devices)
    if earlier:
        worse = find_regressions(results, earlier, max_slowdown=max_slowdown)
        for line in worse:
            log(f"regression: {line}")
        if not worse:
            log(f"no worse than {baseline}")
        failed |= bool(worse)
    if not failed:
        _say_next(folder, results)
    ctx.exit(1 if failed else 0)


def run(folder: Path, *, data: str | None = None) -> Path | None:
    """Measure shortly, print the tables and write the results: a part of the demo.

    Returns:
        The `.tflite` file to go on with, int8 if there is one; None when there is none at all.

    Raises:
        EdgebeeError: see its tree.
    """
    from edgebee.benchmarks.measure.plan import Plan

    plan = Plan(rounds=3, photos=8)
    return _next_file(folder, measure_folder(folder, plan, data=data))


def measure_folder(
    folder: Path, plan: Plan, *, data: str | None = None, wide: bool = False, markdown: bool = False
) -> Results:
    """Measure, write `benchmark.json` and `report.html`, print the tables.

    Raises:
        EdgebeeError: see its tree.
    """
    from edgebee.benchmarks.measure.measurement import benchmark
    from edgebee.benchmarks.report.tables import print_tables
    from edgebee.edge.classify import silence_decoder_warnings

    silence_decoder_warnings()
    show_log_records()
    with ProgressBars() as bars:
        results = benchmark(folder, data, plan, output=folder, progress=bars)
    if markdown:
        click.echo(results.to_markdown())
    else:
        print_tables(results, wide=wide)
    _say(results, folder)
    return results


def _say(results: Results, folder: Path) -> None:
    """The conditions, and everything that was not as it should be."""
    for device in results.devices:
        if device.noisy:
            log(
                f"warning: {device.name} was noisy: its rounds differ by more than a fifth, so "
                "these times are rough; ratios hold better"
            )
        if device.failure:
            log(f"error: {device.failure}; what was measured elsewhere is kept")
    for message in results.data.skipped:
        log(f"warning: {message}; left out")
    kind = "drawings (no result)" if results.data.drawn else "photos"
    threads = results.settings.threads
    log(
        f"{len(results.data.photos)} validation {kind} of {results.data.name}, {threads} thread"
        f"{'s' if threads > 1 else ''}; times of {results.settings.photos_a_round} in "
        f"{results.settings.rounds} rounds. Written: {folder / 'benchmark.json'}, "
        f"{folder / 'report.html'}"
    )


def _next_file(folder: Path, results: Results) -> Path | None:
    names = [variant.name for variant in results.variants if variant.format != "keras"]
    chosen = "model_int8.tflite" if "model_int8.tflite" in names else next(iter(names), None)
    return folder / chosen if chosen else None


def _say_next(folder: Path, results: Results) -> None:
    from edgebee.run import REPORT_NAME

    best = _next_file(folder, results)
    if best is None:
        log_next("convert", str(folder / "model.keras"), "--quantize", "all")
    else:
        log(f"Next: look at {folder / REPORT_NAME}")
        log_next("classify", "-m", str(best), "PHOTO")
        log_next("deploy", "-m", str(best), "pi@raspberrypi")
