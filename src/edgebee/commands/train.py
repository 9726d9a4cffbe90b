"""`edgebee train`."""

from __future__ import annotations

from pathlib import Path

import click

from edgebee.errors import TrainingError


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
@click.option("--epochs", default=10, show_default=True, help="With the whole base frozen.")
@click.option("--fine-tune-epochs", default=5, show_default=True, help="With its top released.")
@click.option("--fine-tune-at", default=100, show_default=True, help="First released layer.")
@click.option("--image-size", default=224, show_default=True, help="Pixels a side.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--alpha", default=1.0, show_default=True, help="Width of MobileNetV2.")
@click.option("--learning-rate", type=float, help="Of the first phase.")
@click.option("--fine-tune-learning-rate", type=float, help="Of the second phase.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same model.")
@click.option(
    "--weights", default="imagenet", show_default=True, help="imagenet, none or a weights file."
)
@click.option(
    "--val-fraction", default=0.2, show_default=True,
    help="Part kept for validation when the folder has no val/.",
)  # fmt: skip
@click.option(
    "--exclude", multiple=True, metavar="PATTERN",
    help="Leave out photos by name, such as '*.gif' (repeatable; see also .edgebeeignore).",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    data: str,
    output: Path,
    learning_rate: float | None,
    fine_tune_learning_rate: float | None,
    val_fraction: float,
    exclude: tuple[str, ...],
    **settings: object,
) -> None:
    """Train a two-phase MobileNetV2 on photos in class folders.

    \b
    Example:
        edgebee train --data my_photos
    """  # noqa: D301
    from edgebee.train.recipe import Recipe

    rates = {"learning_rate": learning_rate, "fine_tune_learning_rate": fine_tune_learning_rate}
    settings |= {name: rate for name, rate in rates.items() if rate is not None}
    try:
        recipe = Recipe(**settings)  # type: ignore[arg-type]
    except TrainingError as error:
        raise click.UsageError(str(error)) from error
    run(data, output, recipe, val_fraction=val_fraction, exclude=exclude, debug=_debug(ctx))
    click.echo(f"Next: edgebee convert {_model_argument(output)}--quantize int8", err=True)


def run(
    data: str,
    output: Path,
    recipe: object,
    *,
    val_fraction: float = 0.2,
    exclude: tuple[str, ...] = (),
    debug: bool = False,
) -> None:
    """Load the photos, train and write the artifacts.

    Raises:
        EdgebeeError: see its tree; nothing is written then.
    """
    from edgebee.artifacts import prepare_folder
    from edgebee.tensorflow_runtime import start_tensorflow
    from edgebee.train.dataset import load_dataset

    seed: int = recipe.seed  # type: ignore[attr-defined]
    dataset = load_dataset(data, val_fraction=val_fraction, seed=seed, exclude=exclude)
    prepare_folder(output)
    kind = "drawings, not photos" if dataset.drawn else "photos"
    click.echo(
        f"{dataset.name}: {len(dataset.train)} training and {len(dataset.validation)} validation "
        f"{kind} of {', '.join(dataset.labels[:8])}{', …' if len(dataset.labels) > 8 else ''}",
        err=True,
    )
    start_tensorflow(debug=debug)
    from edgebee.train.training import train, write_training

    training = train(dataset, recipe, output, say=lambda line: click.echo(line, err=True))  # type: ignore[arg-type]
    split = {"val_fraction": val_fraction, "seed": seed, "exclude": list(exclude)}
    write_training(training, output, split)
    click.echo(
        f"{output / 'model.keras'}: {training.correct} of {training.total} validation {kind} right"
    )


def _debug(ctx: click.Context) -> bool:
    """Whether the whole command line was given `--debug`."""
    return bool(ctx.find_root().params.get("debug"))


def _model_argument(output: Path) -> str:
    """How the next command has to name the model; the default needs no naming."""
    return "" if output == Path("artifacts") else f"{output / 'model.keras'} "
