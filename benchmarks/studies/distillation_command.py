"""`python -m edgebee.benchmarks.studies distill`: makes the weights that a training starts from."""

from __future__ import annotations

from pathlib import Path

import click

from edgebee.benchmarks.studies.training_runs import DATA
from edgebee.console import log


@click.command("distill")
@DATA
@click.option(
    "--part",
    type=click.Choice(["train", "validation"]),
    default="train",
    show_default=True,
    help="Photos to learn from. Measure the result on others only.",
)
@click.option(
    "--more",
    "folders",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Pictures of anything to learn from besides. Repeatable.",
)
@click.option(
    "--epochs", type=click.IntRange(min=0), help="How often each photo is shown. [default: 16]"
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option(
    "--output",
    default="distilled.weights.h5",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file for `edgebee train --weights`.",
)
def distill(
    data: str, part: str, folders: tuple[Path, ...], epochs: int | None, seed: int, output: Path
) -> None:
    """Distill the ImageNet weights to survive blur, dusk and other corruptions, without labels.

    \b
    Example:
        python -m edgebee.benchmarks.studies distill --part validation --output distilled.weights.h5
        python -m edgebee.benchmarks.studies settings \\
            --try '--weights imagenet' --try '--weights distilled.weights.h5'
    """  # noqa: D301
    from tqdm import tqdm

    from edgebee.edge.classify import find_images
    from edgebee.files import atomic_write_all, output_directory
    from edgebee.photos.dataset import load_dataset
    from edgebee.tensorflow_runtime import start_tensorflow

    if not output.name.endswith(".weights.h5"):
        raise click.UsageError(f"--output {output}: the name must end in .weights.h5")
    for folder in folders:
        if not any(find_images([folder])):
            raise click.UsageError(f"--more {folder}: no pictures")
    photos = [*getattr(load_dataset(data), part).paths, *find_images(folders)]
    start_tensorflow()
    from edgebee.benchmarks.studies import distillation
    from edgebee.train.backbone import build_backbone

    epochs = distillation.EPOCHS if epochs is None else epochs
    backbone = build_backbone(224, 1.0, "imagenet")
    steps = epochs * -(-len(photos) // distillation.PHOTOS_A_STEP)
    with output_directory(output.absolute().parent):
        with tqdm(total=steps, desc=f"distillation on {len(photos)} photos", disable=None) as bar:

            def show(distance: float) -> None:
                bar.set_postfix_str(f"distance {distance:.2f}", refresh=False)
                bar.update()

            distillation.distill(backbone, photos, epochs=epochs, seed=seed, progress=show)
        atomic_write_all({output: lambda part: distillation.save_weights(backbone, part)})
    log(f"{output}: distilled on {len(photos)} photos, {epochs} epochs")
