"""`edgebee demo`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo", short_help="Everything in a minute or two, without network or photos.")
@click.option(
    "--output",
    default="artifacts",
    show_default=True,
    help="Folder for the results.",
    type=click.Path(file_okay=False, path_type=Path),
)
@click.pass_context
def command(ctx: click.Context, *, output: Path) -> None:
    """Train, convert, benchmark and classify, on drawings of ants and bees.

    The drawings show that everything works, not how good a model is.
    """
    from edgebee.commands import benchmark, convert, train
    from edgebee.edge.classify import main as classify
    from edgebee.photos.dataset import load_dataset
    from edgebee.train.recipe import Recipe

    debug = bool(ctx.find_root().params.get("debug"))

    def step(number: int, title: str) -> None:
        click.secho(f"\n[{number}/4] {title}", bold=True, err=True)

    step(1, "edgebee train --data sample")
    train.run("sample", output, Recipe(), debug=debug)
    step(2, "edgebee convert --quantize all")
    ctx.invoke(convert.command, model=output / "model.keras", formats=("all",))
    step(3, "edgebee benchmark")
    benchmark.run(output)
    step(4, "edgebee classify")
    photo = load_dataset("sample").validation.paths[-1]
    int8 = output / "model_int8.tflite"
    status = classify(["-m", str(int8), str(photo)], prog="edgebee classify")
    click.echo(
        "\nThese were drawings: they show that everything works, not how good a model is. "
        "Next, your own photos: edgebee train FOLDER_OF_CLASS_FOLDERS",
        err=True,
    )
    ctx.exit(status)
