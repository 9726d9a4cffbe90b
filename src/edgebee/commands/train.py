"""`edgebee train`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgebee.console import (
    GroupedCommand,
    ProgressBars,
    complete_photos,
    echo,
    log,
    log_next,
    show_log_records,
)

if TYPE_CHECKING:
    from edgebee.photos.dataset import Dataset
    from edgebee.train.recipe import Recipe
    from edgebee.train.training import Training

MOST_PROBLEMS_SHOWN = 8
BACKBONE_NAMES = ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0")
"""As in `edgebee.train.backbone`, which the help does not load."""

_GROUPS = {
    "Photos": ("data", "other", "val_fraction", "exclude"),
    "Recipe": (
        "backbone",
        "alpha",
        "weights",
        "image_size",
        "augmentations",
        "subject_crops",
        "neither",
        "epochs",
        "batch_size",
        "learning_rate",
        "dropout",
        "patience",
        "seed",
    ),
    "Fine-tuning": (
        "fine_tune_epochs",
        "fine_tune_at",
        "fine_tune_batch_size",
        "fine_tune_learning_rate",
        "feature_distillation",
    ),
    "Output": ("output", "resume"),
    "Where": ("ray",),
}
_option = partial(click.option, show_default=True)


@click.command(
    "train",
    cls=GroupedCommand,
    groups=_GROUPS,
    short_help="Train a classifier on photos in folders.",
)
@click.argument("photos", required=False, metavar="[PHOTOS]", shell_complete=complete_photos)
@_option("--data", default="hymenoptera", help="The same as PHOTOS.")
@_option(
    "--val-fraction",
    default=0.2,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the photos for validation when PHOTOS has no validation or test folder.",
)
@_option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out photos by name, as '*.gif', or a class (repeatable).",
)
@_option(
    "--other",
    type=click.Path(path_type=Path),
    metavar="DIR",
    show_default="a class folder neither or other, if there is one",
    help="Photos of what is none of the classes, 5 or more: they teach the model to say neither.",
)
@_option(
    "--neither/--no-neither",
    default=True,
    help="Learn a last label, neither, from the background of the photos.",
)
@_option("--image-size", default=224, help="Input size in pixels.")
@_option("--augmentations", default=8, help="Images made of each training photo.")
@_option(
    "--subject-crops/--no-subject-crops",
    default=None,
    show_default="chosen by cross-validation",
    help="Cut the subject out for every fourth of these images.",
)
@_option(
    "--backbone",
    default="mobilenet_v2",
    type=click.Choice(BACKBONE_NAMES),
    help="Feature extractor.",
)
@_option(
    "--alpha",
    default=1.0,
    help="Width: a factor on the backbone's channels, 0.35 to 1.4 for mobilenet_v2.",
)
@_option(
    "--weights",
    show_default="field for mobilenet_v2 of width 1.0, else imagenet",
    help="Weights to start from: field (ImageNet's, distilled to survive blur, dusk and the "
    "like), imagenet (downloaded for other widths and backbones), none (random), or a file.",
)
@_option("--epochs", default=10, help="Epochs of feature extraction.")
@_option("--batch-size", default=32, help="Images in a step of feature extraction.")
@_option(
    "--learning-rate",
    type=float,
    show_default="chosen by cross-validation",
    help="Learning rate of feature extraction.",
)
@_option("--dropout", default=0.2, help="Share of the features dropped before the head.")
@_option(
    "--patience",
    type=int,
    show_default="never",
    help="End a phase after this many epochs without a better validation loss (early stopping).",
)
@_option("--seed", default=0, help="Same seed, same model.")
@_option("--fine-tune-epochs", default=5, help="Epochs of fine-tuning; 0 leaves it out.")
@_option(
    "--fine-tune-at",
    type=int,
    show_default="100 for mobilenet_v2, 100 for mobilenet_v3_small, 162 for efficientnet_b0",
    help="Index of the first layer of the backbone that is fine-tuned.",
)
@_option("--fine-tune-batch-size", default=16, help="Images in a step of fine-tuning.")
@_option("--fine-tune-learning-rate", default=5e-5, help="Learning rate of fine-tuning.")
@_option(
    "--feature-distillation",
    default=20.0,
    help="Weight of the loss that keeps features of corrupted images near those of clean ones; "
    "0 turns it off.",
)
@_option(
    "--output",
    default="artifacts",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the model, its labels, its history and pictures.",
)
@_option(
    "--resume",
    is_flag=True,
    show_default=False,
    help="Continue an interrupted training in the output folder, with the same options.",
)
@_option(
    "--ray",
    metavar="HOST:PORT",
    show_default="on this machine, without Ray",
    help="Decode and augment photos, and run the frozen layers, on a Ray cluster: the address of "
    "its head node, or local. The model is the same.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    photos: str | None,
    data: str,
    output: Path,
    val_fraction: float,
    exclude: tuple[str, ...],
    other: Path | None,
    resume: bool,
    ray: str | None,
    **settings: Any,
) -> None:
    """Train a classifier on PHOTOS, a folder with a folder of photos for each class.

    PHOTOS may also have train/ and val/ with such folders in them, be in an object store, as
    s3://bucket/my_photos, or be hymenoptera (ants and bees, downloaded once) or sample (drawings,
    no network). The last label of the model is
    neither, for what is none of the classes; a folder of that name, or other, holds photos of it.

    \b
    Example:
        edgebee train my_photos
    """  # noqa: D301
    from edgebee.errors import TrainingError
    from edgebee.train.recipe import Recipe

    if photos is not None:
        if ctx.get_parameter_source("data") is ParameterSource.COMMANDLINE and photos != data:
            raise click.UsageError(f"{photos} and --data {data}: name the photos once")
        data = photos
    try:
        recipe = Recipe(**settings)
    except TrainingError as error:
        raise click.UsageError(str(error)) from error
    debug = bool(ctx.find_root().params.get("debug"))
    run(
        data,
        output,
        recipe,
        val_fraction=val_fraction,
        exclude=exclude,
        other=other,
        resume=resume,
        ray=ray,
        debug=debug,
    )
    model = [] if output == Path("artifacts") else [str(output / "model.keras")]
    log_next("convert", *model, "--quantize", "int8")


def run(
    data: str,
    output: Path,
    recipe: Recipe,
    *,
    val_fraction: float = 0.2,
    exclude: tuple[str, ...] = (),
    other: Path | None = None,
    resume: bool = False,
    ray: str | None = None,
    debug: bool = False,
) -> None:
    """Load the photos, check them, train and save.

    Raises:
        EdgebeeError: see its tree; no artifact is written then.
    """
    from edgebee.cluster import connect_if_given
    from edgebee.edge.classify import silence_decoder_warnings
    from edgebee.files import output_directory
    from edgebee.photos.dataset import load_dataset
    from edgebee.tensorflow_runtime import start_tensorflow

    silence_decoder_warnings()
    show_log_records()
    with ProgressBars() as bars:
        dataset = load_dataset(
            data,
            val_fraction=val_fraction,
            seed=recipe.seed,
            exclude=exclude,
            other=other,
            progress=bars,
        )
    kind = "drawings (not photos)" if dataset.drawn else "photos"
    labels = ", ".join(dataset.labels[:8]) + (", …" if len(dataset.labels) > 8 else "")
    with output_directory(output), connect_if_given(ray) as cluster, ProgressBars() as bars:
        log(
            f"{dataset.name}: {len(dataset.train)} training and {len(dataset.validation)} "
            f"validation {kind} of {labels}"
        )
        if not dataset.drawn:
            _print_problems(dataset, bars)
        start_tensorflow(debug=debug)
        from edgebee.train.checkpoint import can_resume
        from edgebee.train.training import train_classifier

        try:
            training = train_classifier(
                dataset,
                recipe,
                checkpoints=output,
                resume_from=output if resume else None,
                cluster=cluster,
                progress=bars,
            )
        except KeyboardInterrupt:
            bars.close()
            if can_resume(output, recipe, dataset):
                log("Interrupted. The same command with --resume continues after the last epoch.")
            raise
        model = training.save(output)
    validation = training.validation
    count = len(validation.paths)
    echo(f"{model}: {validation.correct} of {count} validation {kind} correct")
    if training.neither is not None or validation.calibration.threshold is not None:
        seen = f"{validation.correct_as_seen} of {count}"
        echo(f"as its user sees it, neither and unknown count as incorrect: {seen}")
    _print_neither(training)


def _print_neither(training: Training) -> None:
    """Print what the last label is worth, on what was held out."""
    record = training.neither
    if record is None or record.kept is None:
        return
    echo(f"neither: {100 * record.kept:.1f} % of the correct predictions are kept")
    if record.measurements:
        echo(
            f"{'strangers':28}  {'accepted':>9}  {'95 % interval':>16}  {'AUROC':>5}  {'FPR95':>7}"
        )
    for one in record.measurements:
        accepted = f"{round(one.accepted * one.count)}/{one.count}"
        low, high = (f"{100 * edge:.1f} %" for edge in one.interval)
        fpr95 = f"{100 * one.fpr95:.1f} %"
        between = f"{low} to {high}"
        echo(f"{one.source:28}  {accepted:>9}  {between:>16}  {one.auroc:5.3f}  {fpr95:>7}")


def _print_problems(dataset: Dataset, bars: ProgressBars) -> None:
    """Print the worst problems of the photos; unreadable ones are named when left out."""
    from edgebee.edge.classify import shell_line
    from edgebee.photos.checks import check_dataset

    result = check_dataset(dataset, progress=bars)
    problems = [problem for problem in result if problem.kind != "unreadable"]
    for problem in problems[:MOST_PROBLEMS_SHOWN]:
        log(str(problem))
    if len(problems) > MOST_PROBLEMS_SHOWN:
        check = shell_line("edgebee", "data", "check", dataset.source)
        log(f"… and {len(problems) - MOST_PROBLEMS_SHOWN} more: {check}")
    if result.inflates_accuracy:
        log(
            "These problems inflate the measured accuracy. Fix them, or exclude the photos "
            "with --exclude."
        )
