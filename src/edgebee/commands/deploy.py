"""`edgebee deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from edgebee.console import GroupedCommand, echo, log


@click.command(
    "deploy",
    cls=GroupedCommand,
    groups={
        "What is deployed": ("model", "folder", "offline", "service"),
        "Connection": ("port", "identity", "ssh_option"),
    },
    short_help="Put the classifier and a model on a Raspberry Pi.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("host", metavar="[USER@]HOST")
@click.option(
    "-m",
    "--model",
    type=click.Path(path_type=Path),
    help="The .tflite file.  [default: the newest int8 model in ./artifacts, else the one that "
    "ships]",
)
@click.option(
    "--to",
    "folder",
    default="edgebee",
    show_default=True,
    help="Folder on the device, below its home folder.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="For a Pi without internet: download here what it needs, and send it along.",
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of ssh on the device.  [default: as configured, or 22]",
)
@click.option(
    "-i",
    "--identity",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of the private key.  [default: as configured]",
)
@click.option(
    "-o", "--ssh-option", multiple=True, help="Option of ssh, as ConnectTimeout=5 (repeatable)."
)
@click.option("--service", is_flag=True, help="Install and start it as a systemd service.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CLASSIFY OPTIONS]")
def command(
    *,
    host: str,
    model: Path | None,
    folder: str,
    offline: bool,
    port: int | None,
    identity: Path | None,
    ssh_option: tuple[str, ...],
    service: bool,
    arguments: tuple[str, ...],
) -> None:
    """Put the classifier and a model on a Raspberry Pi or other Linux machine, and try them there.

    It connects by ssh; your keys and ~/.ssh/config apply. With --service, what follows are
    options of `edgebee classify`; folders are those of the Pi, from the home folder.

    \b
    Example:
        edgebee deploy pi@raspberrypi
        edgebee deploy pi@raspberrypi --service --watch photos --move-to sorted
        edgebee deploy pi@raspberrypi --service --camera --every 10 --save-dir seen
    """  # noqa: D301
    if host.startswith("-"):
        raise click.UsageError(f"the host comes first, then {host}")
    if arguments and not service:
        raise click.UsageError(f"{arguments[0]} goes with --service")
    if service and not {"--watch", "--camera"} & {one.split("=")[0] for one in arguments}:
        raise click.UsageError("--service needs --watch DIR or --camera")

    from edgebee.edge.classify import ModelError, find_model, find_newer_training, read_labels
    from edgebee.edge.device.deployment import deploy
    from edgebee.edge.device.ssh import connect
    from edgebee.edge.station.options import parse_options
    from edgebee.edge.tflite.model_file import read_model_file

    # Errors here are found before anything is done there.
    if service:
        parse_options(arguments)
    model = model or find_model()
    read_labels(model)
    if any(-1 in one.shape[1:3] for one in read_model_file(model).inputs):
        raise ModelError(
            f"{model}: takes photos of any size; convert it with the height and width that it was "
            "trained on"
        )
    if stale := find_newer_training(model):
        log(f"warning: {stale}")

    with connect(host, port=port, identity=identity, options=ssh_option) as there:
        options = arguments if service else None
        done = deploy(there, model, folder=folder, service=options, offline=offline)
    for line in done.instructions():
        echo(line)
