"""The command line's front door: loads a command's module only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from typing import Any

import click

from edgebee.console import escape_control_chars, log, show_log_records
from edgebee.interrupt import INTERRUPTED

__all__ = ["edgebee", "run"]

COMMANDS = (
    "train",
    "convert",
    "classify",
    "deploy",
    "benchmark",
    "web",
    "archive",
    "inspect",
    "doctor",
    "data",
    "demo",
    "help",
)
"""In the order of the work. Each is a module of `edgebee.commands` with a `command`."""


TRAIN_PACKAGES = frozenset(
    {
        "filelock",
        "flatbuffers",
        "jinja2",
        "keras",
        "matplotlib",
        "msgspec",
        "platformdirs",
        "pooch",
        "rich",
        "tensorflow",
        "tqdm",
    }
)
"""What the extra `train` brings; the plain install is the Pi's."""
ARCHIVE_PACKAGES = frozenset({"duckdb", "pyarrow"})
"""What the extra `archive` brings besides some of those."""


_WORDS = "edgebee.words"
"""Where a context keeps the command line from the command's name on."""


class LazyGroup(click.Group):
    """A group whose commands are modules, and whose expected failures are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `edgebee.commands.<name>`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgebee.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        ctx.meta[_WORDS] = list(args)
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            message = f"{error.format_message()} Did you mean '{near[0]}'?"
            raise click.UsageError(message, ctx) from error

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; what the system refuses ends it with one line, too."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            given = args[0] if args else extra.get("args") or sys.argv[1:]
            if "--debug" in given:
                raise
            _print_refusal(error)
            sys.exit(1)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """As click's; a wrong option of `edgebee` itself shows the usage too."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.ctx = error.ctx or click.Context(self, parent, info_name)
            raise _in_one_line(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Turn an expected failure into one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            # Of an option without its value click says no usage: it has lost the command.
            error.ctx = error.ctx or _context_of(ctx.meta.get(_WORDS, []), ctx)
            raise _in_one_line(error) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # before the next clause, which loads NumPy
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except _expected_errors() as error:
            if ctx.params["debug"]:
                raise
            raise click.ClickException(escape_control_chars(error)) from error
        except ModuleNotFoundError as error:
            if ctx.params["debug"] or error.name not in TRAIN_PACKAGES | ARCHIVE_PACKAGES:
                raise
            extra = "archive" if error.name in ARCHIVE_PACKAGES else "train"
            raise click.ClickException(
                f"{error.name} is not installed: pip install 'edgebee[{extra}]'; the plain install "
                "is for classify, inspect and doctor"
            ) from error


def _in_one_line(error: click.UsageError) -> click.UsageError:
    """The error, with what was typed spelled out where a terminal would not show it."""
    if error.message.isprintable() or isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    return click.UsageError(escape_control_chars(error.format_message()), error.ctx)


def _context_of(words: list[str], context: click.Context) -> click.Context:
    """The context of the command that the words of a command line lead to."""
    for word in words:
        command = context.command
        below = command.get_command(context, word) if isinstance(command, click.Group) else None
        if below is None:
            break
        context = click.Context(below, context, word)
    return context


def _print_refusal(error: OSError) -> None:
    """Print in one line what the system refused: to open a file, or to take what was printed."""
    # Files are written by `edgebee.files`, which names them. What has no name is standard output.
    where = "standard output" if error.filename is None else str(error.filename)
    try:
        sys.stdout.flush()
    except OSError:  # Python would try again at its end, and fail aloud
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    log(f"Error: {where}: {error.strerror or error}")


def _expected_errors() -> tuple[type[Exception], ...]:
    """Our errors. Evaluated only when something failed: they load NumPy."""
    from edgebee.errors import EdgebeeError

    return (EdgebeeError,)


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from edgebee import __version__

        click.echo(f"edgebee {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own messages.")
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
def edgebee(debug: bool) -> None:
    """From photos in folders to the right answer on a Raspberry Pi.

    \b
    edgebee demo                        try the whole way, without network or photos
    edgebee train my_photos             photos -> artifacts/model.keras
    edgebee convert --quantize int8     -> artifacts/model_int8.tflite
    edgebee benchmark                   accuracy and speed of each file
    edgebee classify photo.jpg          an answer
    """  # noqa: D301 - \b keeps click from rewrapping the example
    show_log_records()


def run() -> None:
    """Run the command line on this process's arguments."""
    # Started with it closed, remarks would go to standard output, or into a file that is written.
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that its encoding has no letters for
        sys.stdout.reconfigure(errors="backslashreplace")
    edgebee(prog_name="edgebee")
