"""What the command line prints: results, remarks and progress bars.

Results go to standard output (`echo`), everything else to standard error (`log`). Library code
calls neither: it returns results, logs remarks through `logging.getLogger("edgebee")`, which
`show_log_records` prints here, and reports progress to a callback, which `ProgressBars` draws.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from edgebee.progress import Progress

__all__ = [
    "GroupedCommand",
    "ProgressBars",
    "complete_photos",
    "echo",
    "escape_control_chars",
    "log",
    "log_next",
    "show_log_records",
]


def escape_control_chars(text: object) -> str:
    """As the runner's, which is loaded when something is printed: `--help` needs no NumPy."""
    from edgebee.edge import classify

    return classify.escape_control_chars(text)


def echo(line: str) -> None:
    """Print a line of a result."""
    with _without_bars():
        click.echo(escape_control_chars(line))


def log(line: str) -> None:
    """Print a line for the person in front of it."""
    with _without_bars():
        click.echo(escape_control_chars(line), err=True)


def _without_bars() -> AbstractContextManager[object]:
    """Progress bars are taken away, and drawn again below what is printed meanwhile."""
    tqdm = sys.modules.get("tqdm")  # no bar was drawn without it
    return tqdm.tqdm.external_write_mode(sys.stderr) if tqdm else nullcontext()


def log_next(*words: str) -> None:
    """Print the command to go on with, quoted as the system's shell takes it."""
    from edgebee.edge import classify

    log(f"Next: {classify.shell_line('edgebee', *words)}")


def complete_photos(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What the Tab key offers for photos to train on: folders."""
    return [CompletionItem(incomplete, type="dir")]


class _ConsoleHandler(logging.Handler):
    """Prints remarks as lines: `warning: …`, and information as it is."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        text = record.getMessage()
        log(f"warning: {text}" if record.levelno >= logging.WARNING else text)


def show_log_records() -> None:
    """From now on, remarks of the library are printed. Called by the command line alone."""
    logger = logging.getLogger("edgebee")
    if not any(isinstance(handler, _ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(_ConsoleHandler())
        logger.setLevel(logging.INFO)
        logger.propagate = False


class GroupedCommand(click.Command):
    """A command whose `--help` lists its options under headings.

    Args:
        groups: heading -> names of parameters; what is in none comes last, under "Options".
    """

    def __init__(self, *args: Any, groups: Mapping[str, Sequence[str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section for each heading."""
        records = {
            param.name: param.get_help_record(ctx)
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
        }
        grouped = {name for names in self.groups.values() for name in names}
        rest = [name for name in records if name not in grouped]
        for heading, names in {**self.groups, "Options": rest}.items():
            rows = [record for name in names if (record := records[name]) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class ProgressBars:
    """A progress callback that draws one tqdm bar for each task, on a terminal only."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: str | None = None

    def __call__(self, progress: Progress) -> None:
        """Draw how far the work is; a new task closes the bar of the one before."""
        from tqdm import tqdm

        if progress.task != self._task:
            self.close()
            self._task = progress.task
            self._bar = tqdm(
                total=progress.total,
                desc=progress.task,
                unit=progress.unit,
                disable=None,
                leave=False,
            )
        if progress.total != self._bar.total:
            self._bar.total = progress.total
        if progress.note:
            self._bar.set_postfix_str(progress.note, refresh=False)
        self._bar.update(progress.done - self._bar.n)
        if progress.done == progress.total:
            self.close()

    def close(self) -> None:
        """Finish the bar that is being drawn."""
        if self._bar is not None:
            self._bar.close()
        self._bar = self._task = None

    def __enter__(self) -> ProgressBars:
        """For a `with` block, which closes the last bar."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the last bar."""
        self.close()
