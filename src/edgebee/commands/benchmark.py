"""`edgebee benchmark`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import log

if TYPE_CHECKING:
    from edgebee.benchmarks.measure.plan import DeviceAddress, Plan, Subject
    from edgebee.benchmarks.measure.results import Results
    from edgebee.photos.dataset import Dataset

KERAS_NAME = "model.keras"
STALE_SECONDS = 10
"""A `.tflite` so much older than the Keras model beside it was made from an earlier one: copying
a folder takes less, training takes more."""


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


def _print_schema(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from edgebee.benchmarks.measure.results_file import json_schema

        click.echo(json.dumps(json_schema(), indent=2))
        ctx.exit()


@click.command("benchmark", short_help="What a .tflite file loses and gains against Keras.")
@click.argument("folder", default="artifacts", type=click.Path(file_okay=False, path_type=Path))
@click.option("--data", help="Photos to measure on; default: those the model was trained on.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads for the models; default: all cores."
)
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(min=1),
    help="Rounds; in each, every model is timed once.",
)  # fmt: skip
@click.option(
    "--photos", default=24, show_default=True, type=click.IntRange(min=1),
    help="Photos timed in a round and copied to devices; accuracy always takes all.",
)  # fmt: skip
@click.option(
    "--device", "devices", multiple=True, metavar="[USER@]HOST[:FOLDER]", callback=_parse_devices,
    help="Measure there too (repeatable); `edgebee deploy` must have been there. FOLDER as with "
    "`deploy --to`.",
)  # fmt: skip
@click.option(
    "-o", "--ssh-option", "ssh_options", multiple=True, help="As for ssh -o (repeatable)."
)  # fmt: skip
@click.option(
    "--baseline", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An earlier benchmark.json; exit 1 if this one is worse.",
)  # fmt: skip
@click.option(
    "--max-slowdown", default=1.2, show_default=True, type=click.FloatRange(min=0),
    help="With --baseline: times as long against the same run's reference, in every round.",
)  # fmt: skip
@click.option(
    "--max-drop", default=1.0, show_default=True, type=click.FloatRange(min=0),
    help="With --baseline: percentage points of right answers.",
)  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print the tables as Markdown.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema,
    help="Print the JSON Schema of benchmark.json.",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context, *, folder: Path, data: str | None, threads: int | None, rounds: int,
    photos: int, devices: tuple[DeviceAddress, ...], ssh_options: tuple[str, ...],
    baseline: Path | None, max_slowdown: float, max_drop: float, markdown: bool,
) -> None:  # fmt: skip
    """Measure model.keras and every .tflite in FOLDER on the same validation photos.

    \b
    Example:
        edgebee benchmark artifacts --device pi@raspberrypi
    """  # noqa: D301
    from edgebee.benchmarks.measure.baseline import Limits, regressions
    from edgebee.benchmarks.measure.plan import Plan
    from edgebee.benchmarks.measure.results_file import read_results

    earlier = read_results(baseline) if baseline else None  # before it is written anew
    plan = Plan(
        threads=_cores(threads),
        rounds=rounds,
        photos=photos,
        devices=devices,
        ssh_options=ssh_options,
    )
    results = measure_folder(folder, plan, data=data, markdown=markdown)
    worse = regressions(results, earlier, Limits(max_slowdown, max_drop)) if earlier else []
    for line in worse:
        log(f"regression: {line}")
    if earlier and not worse:
        log(f"no worse than {baseline}")
    failed = [device for device in results.devices if device.failure]
    if not (worse or failed):
        _say_next(folder, results)
    ctx.exit(1 if worse or failed else 0)


def run(folder: Path, *, data: str | None = None) -> Path | None:
    """Measure shortly, print the tables and write the results: a part of the demo.

    Returns:
        The `.tflite` file to go on with, int8 if there is one; None when there is none at all.

    Raises:
        EdgebeeError: see its tree.
    """
    from edgebee.benchmarks.measure.plan import Plan

    plan = Plan(threads=_cores(None), rounds=3, photos=8, predict=False, sweep=False)
    return _next_file(folder, measure_folder(folder, plan, data=data))


def measure_folder(
    folder: Path, plan: Plan, *, data: str | None = None, markdown: bool = False
) -> Results:
    """Measure, print the tables, write `benchmark.json` and `report.html`.

    Raises:
        EdgebeeError: see its tree.
    """
    from tqdm import tqdm

    from edgebee.benchmarks.measure.measurement import measure
    from edgebee.benchmarks.measure.results_file import to_json
    from edgebee.benchmarks.report.gallery import worth_a_look
    from edgebee.benchmarks.report.page import write_page
    from edgebee.benchmarks.report.tables import print_tables, to_markdown
    from edgebee.edge.classify import silence_decoder_warnings
    from edgebee.files import output_directory, write_checksums, write_text

    silence_decoder_warnings()
    subject = _subject(folder, data)
    with (
        output_directory(folder),
        tqdm(unit="step", disable=None, bar_format="{desc} {n} [{elapsed}]") as bar,
    ):

        def progress(text: str) -> None:
            bar.set_description_str(text)
            bar.update()

        results = measure(subject, plan, progress=progress)
        write_text(folder / "benchmark.json", to_json(results))
        # Loading it takes seconds; with every photo right there is nothing to ask it.
        asked = bool(worth_a_look(results)[0])
        write_page(folder, results, model=_load_keras(folder / KERAS_NAME) if asked else None)
        write_checksums(folder)
    if markdown:
        click.echo(to_markdown(results))
    else:
        print_tables(results)
    _say(results, folder)
    _warn_of_stale(folder / KERAS_NAME, list(subject.files))
    return results


def _load_keras(path: Path) -> Any:
    """The Keras model, which the page asks what it looked at; None when there is none."""
    if not path.is_file():
        return None
    from edgebee.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    from edgebee.convert.keras_model import load_keras

    return load_keras(path)


def _cores(threads: int | None) -> int:
    """The threads asked for, at most all cores: more are far slower, not faster."""
    from edgebee.edge.classify import available_cpus

    return min(threads or available_cpus(), available_cpus())


def _subject(folder: Path, data: str | None) -> Subject:
    """The models of the folder and the photos to measure on; nothing is loaded yet.

    Raises:
        BenchmarkError: there are no models.
        DataError: there are no photos, or of other classes.
        ConversionError: the Keras file is none.
        ModelError: a `.tflite` file is damaged.
    """
    from edgebee.benchmarks.measure.plan import Subject
    from edgebee.benchmarks.measure.results import Data
    from edgebee.convert.keras_file import check_keras_file
    from edgebee.edge.tflite.model_file import check_model_file
    from edgebee.errors import BenchmarkError
    from edgebee.run import load_training_photos

    keras = folder / KERAS_NAME
    files = sorted(folder.glob("*.tflite"), key=lambda path: path.stat().st_size, reverse=True)
    if not (files or keras.is_file()):
        raise BenchmarkError(
            f"{folder}: no {KERAS_NAME} and no .tflite there; make them with: edgebee train, "
            "then edgebee convert"
        )
    if keras.is_file():
        check_keras_file(keras)
    for file in files:
        check_model_file(file)
    dataset: Dataset = load_training_photos(folder, data)
    described = Data(
        dataset.name, dataset.source, str(dataset.root), dataset.drawn, dataset.labels, (), ()
    )
    photos = dataset.validation
    return Subject(folder, tuple(files), described, photos.paths, photos.classes)


def _say(results: Results, folder: Path) -> None:
    """The conditions, and everything that was not as it should be."""
    for message in results.data.skipped:
        log(f"warning: {message}; left out")
    for device in results.devices:
        if device.noisy:
            log(
                f"warning: {device.name} was disturbed: its rounds differ by more than a fifth, so "
                "these times are rough; ratios hold better"
            )
        if device.failure:
            log(f"error: {device.failure}; what was measured is kept")
    kind = "drawings (no result)" if results.data.drawn else "photos"
    threads = results.settings.threads
    log(
        f"{len(results.data.photos)} validation {kind} of {results.data.name}, {threads} thread"
        f"{'s' if threads > 1 else ''}; times of {results.settings.photos_a_round} in "
        f"{results.settings.rounds} rounds. Written: {folder / 'benchmark.json'}, "
        f"{folder / 'report.html'}"
    )


def _next_file(folder: Path, results: Results) -> Path | None:
    names = [variant.file for variant in results.variants if variant.format != "keras"]
    chosen = "model_int8.tflite" if "model_int8.tflite" in names else next(iter(names), None)
    return folder / chosen if chosen else None


def _say_next(folder: Path, results: Results) -> None:
    best = _next_file(folder, results)
    if best is None:
        log(f"Next: edgebee convert {folder / KERAS_NAME} --quantize all")
    else:
        log(f"Next: edgebee classify -m {best} PHOTO")


def _warn_of_stale(keras_path: Path, files: list[Path]) -> None:
    """Say which files were converted before the model was trained again."""
    if not keras_path.is_file():
        return
    trained = keras_path.stat().st_mtime
    stale = [file.name for file in files if trained - file.stat().st_mtime > STALE_SECONDS]
    if stale:
        log(
            f"warning: {', '.join(stale)}: older than {keras_path}, so of an earlier training; "
            "run edgebee convert again"
        )
