"""What the command line prints: results, remarks and progress bars.

Results go to standard output (`echo`), everything else to standard error (`log`). Library code
calls neither: it returns results, logs remarks through `logging.getLogger("edgebee")`, which
`show_log_records` prints here, and reports progress to a callback, which `ProgressBars` draws.
"""

from __future__ import annotations

import logging
import sys
import time
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
    "ProgressLines",
    "complete_photos",
    "echo",
    "escape_control_chars",
    "log",
    "log_next",
    "show_log_records",
    "spell_progress",
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


class ProgressLines:
    """A progress callback that prints a line now and then, for work of hours without a terminal.

    Args:
        every_s: the least time between two lines, seconds.
    """

    def __init__(self, every_s: float = 60.0) -> None:
        self.every_s = every_s
        self._task = ""
        self._started = self._printed = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print how far the work is, if it is time."""
        now = time.monotonic()
        if progress.task != self._task:
            self._task, self._started, self._printed = progress.task, now, now
        if now - self._printed >= self.every_s:
            self._printed = now
            log(spell_progress(progress, now - self._started))

    def __enter__(self) -> ProgressLines:
        """For a `with` block, as `ProgressBars`."""
        return self

    def __exit__(self, *error: object) -> None:
        """There is nothing to finish."""


def spell_progress(progress: Progress, seconds: float) -> str:
    """`classifying photos: 1,200 of 9,000, 118 a second, 1 min 6 s left; 700 ants, 500 bees`."""
    rate = progress.done / seconds if seconds else 0.0
    total = "" if progress.total is None else f" of {progress.total:,.0f}"
    line = f"{progress.task}: {progress.done:,.0f}{total}, {rate:,.0f} a second"
    if progress.total is not None and rate:
        line += f", {_spell_seconds((progress.total - progress.done) / rate)} left"
    return f"{line}; {progress.note}" if progress.note else line


def _spell_seconds(seconds: float) -> str:
    """The two largest units: `1 h 17 min`, `1 min 6 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
