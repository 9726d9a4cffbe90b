"""`edgebee train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebee.console import ProgressBars, echo, log, show_log_records

if TYPE_CHECKING:
    from edgebee.photos.dataset import Dataset
    from edgebee.train.recipe import Recipe

MOST_PROBLEMS_SHOWN = 8


@click.command("train", short_help="Photos in folders -> a Keras model.")
@click.option(
    "--data", default="hymenoptera", show_default=True,
    help="hymenoptera (ants and bees), sample (drawings, no network) or a folder: class "
    "folders alone, or train/ and val/ with class folders.",
)  # fmt: skip
@click.option(
    "--output", default="artifacts", show_default=True, help="Folder for the results.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
@click.option("--epochs", type=int, help="With the whole base frozen [default: 10].")
@click.option("--fine-tune-epochs", type=int, help="With its top released [default: 5].")
@click.option("--fine-tune-at", type=int, help="First released layer [default: 100].")
@click.option("--image-size", type=int, help="Pixels a side [default: 224].")
@click.option("--batch-size", type=int, help="Views a step, first phase [default: 32].")
@click.option("--fine-tune-batch-size", type=int, help="Views a step, second phase [default: 16].")
@click.option("--alpha", type=float, help="Width of MobileNetV2 [default: 1.0].")
@click.option(
    "--learning-rate", type=float,
    help="Of the first phase [default: chosen by training photos held out].",
)  # fmt: skip
@click.option("--fine-tune-learning-rate", type=float, help="Of the second phase [default: 5e-05].")
@click.option("--views", type=int, help="Pictures made of each training photo.")
@click.option("--dropout", type=float, help="Share of features dropped before the head.")
@click.option(
    "--anchor", type=float,
    help="How strongly fine-tuning is held to the undamaged photo's features.",
)  # fmt: skip
@click.option(
    "--patience", type=int,
    help="End a phase after so many epochs without a better validation loss [default: never].",
)  # fmt: skip
@click.option("--seed", type=int, help="Same seed, same model [default: 0].")
@click.option(
    "--weights",
    help="field (ImageNet's, hardened against blur, dusk and the like), imagenet, none or a "
    "weights file [default: field, and imagenet for widths other than 1.0].",
)
@click.option(
    "--val-fraction", default=0.2, show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Part kept for validation when the folder has no val/.",
)  # fmt: skip
@click.option(
    "--exclude", multiple=True, metavar="PATTERN",
    help="Leave out photos by name, such as '*.gif' (repeatable; see also .edgebeeignore).",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on where an interrupted training was.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    data: str,
    output: Path,
    val_fraction: float,
    exclude: tuple[str, ...],
    resume: bool,
    **settings: Any,
) -> None:
    """Train a two-phase MobileNetV2 on photos in class folders.

    \b
    Example:
        edgebee train --data my_photos
    """  # noqa: D301
    from edgebee.errors import TrainingError
    from edgebee.train.recipe import Recipe

    given = {name: value for name, value in settings.items() if value is not None}
    try:
        recipe = Recipe(**given)
    except TrainingError as error:
        raise click.UsageError(str(error)) from error
    debug = bool(ctx.find_root().params.get("debug"))
    run(
        data, output, recipe, val_fraction=val_fraction, exclude=exclude, resume=resume, debug=debug
    )
    model = "" if output == Path("artifacts") else f"{shlex.quote(str(output / 'model.keras'))} "
    log(f"Next: edgebee convert {model}--quantize int8")


def run(
    data: str,
    output: Path,
    recipe: Recipe,
    *,
    val_fraction: float = 0.2,
    exclude: tuple[str, ...] = (),
    resume: bool = False,
    debug: bool = False,
) -> None:
    """Load the photos, check them, train and save.

    Raises:
        EdgebeeError: see its tree; no artifact is written then.
    """
    from edgebee.edge.classify import silence_decoder_warnings
    from edgebee.files import output_directory
    from edgebee.photos.dataset import load_dataset
    from edgebee.tensorflow_runtime import start_tensorflow

    silence_decoder_warnings()
    show_log_records()
    if data == "sample":
        log("sample: drawings made on the spot, once")
    dataset = load_dataset(data, val_fraction=val_fraction, seed=recipe.seed, exclude=exclude)
    kind = "drawings (not photos)" if dataset.drawn else "photos"
    labels = ", ".join(dataset.labels[:8]) + (", …" if len(dataset.labels) > 8 else "")
    with output_directory(output), ProgressBars() as bars:
        log(
            f"{dataset.name}: {len(dataset.train)} training and {len(dataset.validation)} "
            f"validation {kind} of {labels}"
        )
        if not dataset.drawn:
            _print_problems(dataset, bars)
        start_tensorflow(debug=debug)
        from edgebee.train.checkpoint import has_checkpoint
        from edgebee.train.training import train_classifier

        try:
            training = train_classifier(
                dataset,
                recipe,
                checkpoints=output,
                resume_from=output if resume else None,
                progress=bars,
            )
        except KeyboardInterrupt:
            bars.close()
            if has_checkpoint(output):
                log("Interrupted. The same command with --resume continues after the last epoch.")
            raise
        model = training.save(output)
    validation = training.validation
    echo(f"{model}: {validation.correct} of {len(validation.paths)} validation {kind} correct")


def _print_problems(dataset: Dataset, bars: ProgressBars) -> None:
    """Print the worst problems of the photos; unreadable ones are named when left out."""
    from edgebee.photos.checks import check_dataset

    result = check_dataset(dataset, progress=bars)
    named_later = {"unreadable", "truncated"}
    problems = [
        problem
        for problem in result
        if problem.severity != "note" and problem.kind not in named_later
    ]
    for problem in problems[:MOST_PROBLEMS_SHOWN]:
        log(str(problem))
    if len(problems) > MOST_PROBLEMS_SHOWN:
        log(
            f"… and {len(problems) - MOST_PROBLEMS_SHOWN} more: "
            f"edgebee data check {shlex.quote(dataset.source)}"
        )
    if result.inflates_accuracy:
        log(
            "These problems inflate the measured accuracy. Fix them, or exclude the photos "
            "with --exclude."
        )
