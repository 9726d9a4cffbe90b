"""`python -m edgebee.benchmarks.studies speed`: the runner against the least it can cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgebee.benchmarks.studies.runner_speed import Comparison

WANTED = {
    ("12 megapixels", "floor"): 1.1,
    ("12 megapixels", "usual way"): 1 / 6,
    ("VGA", "floor"): 1.3,
    ("cold start", "bare start"): 1.25,
    ("cold start as a module", "bare start"): 1.25,
    ("a folder", "one core"): 1 / 1.8,
}
"""The most that ours may take, as a multiple of the other; the folder's holds for two cores."""

MEMORY_MB, GROWTH_MB = 80, 5
"""The most that the runner may occupy, and may grow by after its first predictions."""


@click.command("speed")
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(min=3))
@click.option(
    "--predictions",
    default=10_000,
    show_default=True,
    type=click.IntRange(min=100),
    help="How many to watch the memory over.",
)
@click.pass_context
def speed(ctx: click.Context, rounds: int, predictions: int) -> None:
    """Compare the runner with the floor, the usual way, a bare start and one core.

    With the model that `edgebee classify` takes. All ways are timed interleaved in this run;
    exit status 1 when a ratio is missed.

    \b
    Example:
        python -m edgebee.benchmarks.studies speed --predictions 100000
    """  # noqa: D301
    from edgebee.benchmarks.studies import runner_speed
    from edgebee.edge.classify import find_model

    model = find_model()
    click.echo("| what | ours, ms | against | ms | ratio | wanted | met |")
    click.echo("| --- | ---: | --- | ---: | ---: | ---: | --- |")
    met = []
    with tempfile.TemporaryDirectory(prefix="edgebee-speed-") as temporary:
        folder = Path(temporary)
        large = runner_speed.camera_photo(folder / "large.jpg", 4000, 3000)
        small = runner_speed.camera_photo(folder / "small.jpg", 640, 480)
        usual = _untrained(folder / "float32.tflite")
        steps: tuple[Callable[[], list[Comparison]], ...] = (
            lambda: runner_speed.compare_photo("12 megapixels", large, model, usual, rounds),
            lambda: runner_speed.compare_photo("VGA", small, model, usual, 10 * rounds),
            lambda: runner_speed.compare_cold_start(small, model, rounds),
            lambda: [runner_speed.compare_folder([small] * 200, model, max(rounds // 6, 3))],
        )
        for step in steps:  # printed as they come
            met += [_print_comparison(comparison) for comparison in step()]
        memory = runner_speed.measure_memory(large, model, predictions)
    growth = memory.late_mb - memory.early_mb
    click.echo(
        f"{memory.predictions} predictions: at most {memory.peak_mb:.0f} MB (wanted: {MEMORY_MB}), "
        f"{growth:+.1f} MB after the first tenth (wanted: below {GROWTH_MB}), "
        f"{memory.early_files} open files then and {memory.late_files} at the end"
    )
    flat = growth < GROWTH_MB and memory.late_files <= memory.early_files
    met.append(memory.peak_mb <= MEMORY_MB and flat)
    ctx.exit(0 if all(met) else 1)


def _print_comparison(one: Comparison) -> bool:
    """One row; returns whether the ratio is met, or has no limit."""
    wanted = WANTED.get((one.name, one.other))
    met = wanted is None or one.ratio <= wanted
    cells = ["", ""] if wanted is None else [_as_ratio(wanted), "yes" if met else "no"]
    click.echo(
        f"| {one.name} | {one.ours_ms:.1f} | {one.other} | {one.other_ms:.1f} | "
        f"{_as_ratio(one.ratio)} | {cells[0]} | {cells[1]} |"
    )
    return met


def _as_ratio(ratio: float) -> str:
    """Times as long, or as fast."""
    return f"{ratio:.2f} of it" if ratio > 0.9 else f"{1 / ratio:.2f} times faster"


def _untrained(path: Path) -> Path:
    """The network of the usual way, float32: what it has learned does not change its speed."""
    from edgebee.tensorflow_runtime import start_tensorflow

    click.echo("making a float32 model of the same size…", err=True)
    start_tensorflow()
    import tensorflow as tf

    from edgebee.convert.quantize import trace

    network = tf.keras.applications.MobileNetV2((224, 224, 3), weights=None, classes=2)
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([trace(network)]).convert())
    return path
