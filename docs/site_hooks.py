"""What `mkdocs build` needs beyond its configuration.

The page of commands is the help of each command, as a terminal shows it.

The API reference is read from source files, in the layout that is installed: `train/`, `convert/`,
`edge/` and `benchmarks/` lie beside `src/edgebee/` in the repository, and below it once installed.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("train", "convert", "edge", "benchmarks")
COMMANDS_MARK = "<!-- the commands -->"
HELP_COLUMNS = 80


@event_priority(100)  # before mkdocstrings reads its paths
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let mkdocstrings read a copy of the sources in the installed layout."""
    layout = Path(tempfile.mkdtemp(prefix="edgebee-docs-"))
    atexit.register(shutil.rmtree, layout, ignore_errors=True)
    only_source = shutil.ignore_patterns("*.tflite", "*.h5", "__pycache__")
    shutil.copytree(ROOT / "src" / "edgebee", layout / "edgebee", ignore=only_source)
    for room in ROOMS:
        shutil.copytree(ROOT / room, layout / "edgebee" / room, ignore=only_source)
    plugin: Any = config.plugins["mkdocstrings"]
    plugin.config.handlers["python"]["paths"] = [str(layout)]
    return config


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Put the help of every command in the place of the mark."""
    if COMMANDS_MARK not in markdown:
        return markdown
    from edgebee.cli import edgebee

    return markdown.replace(COMMANDS_MARK, "\n".join(_help_sections(edgebee, None, "edgebee")))


def _help_sections(command: click.Command, parent: click.Context | None, name: str) -> list[str]:
    ctx = click.Context(
        command,
        parent,
        name,
        max_content_width=HELP_COLUMNS,
        terminal_width=HELP_COLUMNS,
        **command.context_settings,
    )
    sections = [f"## {ctx.command_path}", "", "```text", command.get_help(ctx), "```", ""]
    if isinstance(command, click.Group):
        for below in command.list_commands(ctx):
            found = command.get_command(ctx, below)
            if found is not None:
                sections += _help_sections(found, ctx, below)
    return sections
