"""`edgebee web`: a page that runs a model in a browser, with a camera or on photos."""

from __future__ import annotations

from pathlib import Path

import click

from edgebee.console import ProgressBars, echo, log

_DEFAULT_PORT = 8000


@click.command("web", short_help="Make a web page that runs a model in a browser.")
@click.argument(
    "models",
    nargs=-1,
    required=True,
    metavar="MODEL...",
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--out",
    "--output",
    "output",
    type=click.Path(path_type=Path),
    default="site",
    show_default=True,
    help="Folder to make; with --single-file, the HTML file.",
)
@click.option(
    "--single-file",
    is_flag=True,
    help="Make one HTML file with everything in it, for mail and for opening without a server.",
)
@click.option(
    "--serve",
    "port",
    is_flag=False,
    flag_value=_DEFAULT_PORT,
    type=click.IntRange(0, 65535),
    metavar="[PORT]",
    help="Serve the folder to this machine alone and open it, until Ctrl-C; without a number on "
    f"port {_DEFAULT_PORT}, 0 takes a free one.",
)
@click.option("--no-open", is_flag=True, help="With --serve, open no browser.")
@click.option(
    "--runtime",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TARBALL",
    help="LiteRT.js as a file, where it cannot be downloaded.  [default: what EDGEBEE_LITERT_JS "
    "names, else downloaded once]",
)
def command(
    *,
    models: tuple[Path, ...],
    output: Path,
    single_file: bool,
    port: int | None,
    no_open: bool,
    runtime: Path | None,
) -> None:
    """Make a web page that runs each MODEL, a .tflite file, in a browser.

    A live camera or chosen photos; nothing leaves the device. The folder can be put on any web
    server (https:// for the camera), and once a browser has opened it, it works without network.
    The page runs the model's golden samples when it opens.

    \b
    Examples:
        edgebee web artifacts/model_int8.tflite --out site --serve
        edgebee web artifacts/model_int8.tflite --single-file --out bees.html
    """  # noqa: D301
    from edgebee.edge.web.page import build_page, build_single_file

    if single_file and port is not None:
        raise click.UsageError("--serve is for a folder; a single file is opened as it is")
    if no_open and port is None:
        raise click.UsageError("--no-open is for --serve")
    if single_file and output.suffix not in (".html", ".htm"):
        output = output.with_name(f"{output.name}.html")
    build = build_single_file if single_file else build_page
    page = build(models, output, runtime=runtime, progress=ProgressBars())
    echo(f"{page.path}: {', '.join(page.models)}; {page.size_bytes / 1e6:.1f} MB")
    if port is not None:
        _serve(page.path.parent, port, open_it=not no_open)


def _serve(folder: Path, port: int, *, open_it: bool) -> None:
    """Serve a folder until Ctrl-C."""
    import webbrowser

    from edgebee.edge.web.server import HOST, make_server

    with make_server(folder, port) as server:
        address = f"http://{HOST}:{server.server_address[1]}/"
        echo(address)
        log("Ctrl-C ends it")
        if open_it:
            webbrowser.open(address)
        server.serve_forever()
