"""How much the seed of a training matters: each result, mean, spread and interval."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import click

from edgebee.benchmarks.studies.training_runs import DATA, run_edgebee, trained

__all__ = ["describe_counts", "seeds", "student_t_975"]


@click.command("seeds")
@DATA
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(min=2))
def seeds(data: str, seeds: int) -> None:
    """Train and convert to int8 with several seeds; print each, mean, spread and interval.

    Correct is what has the correct class as its best one, neither left out.
    """
    from edgebee.edge.classify import Classifier
    from edgebee.photos.dataset import load_dataset
    from edgebee.run import ValidationRecord, class_labels

    photos = load_dataset(data).validation
    click.echo("| seed | float | int8 | calibration error before → after | seconds |")
    click.echo("| ---: | ---: | ---: | ---: | ---: |")
    floats, integers = [], []
    for seed in range(seeds):
        with trained(data, ["--seed", str(seed)]) as (folder, record):
            run_edgebee("convert", str(folder / "model.keras"))
            classify = Classifier(folder / "model_int8.tflite", threshold=0)
            classes = class_labels(classify.labels)
            scores = [classify(path).scores for path in photos.paths]
            answers = [classes.index(max(classes, key=one.__getitem__)) for one in scores]
        validation = record.validation or ValidationRecord()
        floats.append(validation.correct)
        integers.append(sum(a == b for a, b in zip(answers, photos.classes, strict=True)))
        before = validation.calibration.expected_error_before
        after = validation.calibration.expected_error_after
        click.echo(
            f"| {seed} | {floats[-1]} | {integers[-1]} | {before:.3f} → {after:.3f} | "
            f"{sum(record.seconds.values()):.0f} |"
        )
    for name, counts in (("float", floats), ("int8", integers)):
        click.echo(f"{name}: {describe_counts(counts, len(photos))}")


def describe_counts(counts: Sequence[int], total: int) -> str:
    """Mean, spread and 95 % interval of the mean (Student's t) of correct predictions.

    The interval is that of the seeds: how sure the mean is for these photos. What other
    photos would give is far less sure; one photo is `100 / total` points.
    """
    mean, spread = statistics.mean(counts), statistics.stdev(counts)
    half = student_t_975(len(counts) - 1) * spread / len(counts) ** 0.5
    return (
        f"mean {mean:.1f} of {total} ({mean / total:.1%}), standard deviation {spread:.2f}, "
        f"95 % interval of the mean {mean - half:.1f} to {mean + half:.1f}"
    )


def student_t_975(degrees: int) -> float:
    """97.5 % point of Student's t (any statistics table); 1.96 beyond 10 degrees and rising."""
    table = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
    return table[degrees - 1] if degrees <= len(table) else 2.228
