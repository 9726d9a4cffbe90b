"""The command line as a tree, and `edgebee …` lines checked against it without running them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from edgebee.cli import edgebee

PLACEHOLDER = re.compile(r"[A-Z_]+|…|\.\.\.")
"""What stands for a word of the reader's: COMMAND, MODEL, …"""
PASSED_ON = "classify"
"""The command whose options `edgebee deploy --service` passes on."""


def walk(
    group: click.Group = edgebee, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below `group`, groups too, each with the words that name it."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*words, name))


def visible_options(command: click.Command) -> list[click.Option]:
    """The options that the help shows."""
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


@dataclass(frozen=True)
class Line:
    """A command line that a page shows."""

    page: Path
    number: int
    """Of the line in the page, from 1."""
    text: str

    def __str__(self) -> str:
        """As an editor opens it."""
        return f"{self.page.name}:{self.number}: {self.text}"


def shell_lines(page: Path) -> Iterator[Line]:
    """The lines of a page's ```sh blocks, continued lines joined."""
    inside, joined, begun = False, "", 0
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside and line.strip() == "```sh"
            continue
        if inside:
            begun = begun if joined else number
            joined += line.rstrip("\\")
            if not line.endswith("\\"):
                yield Line(page, begun, joined.strip())
                joined = ""


def inline_lines(page: Path) -> Iterator[Line]:
    """Code in running text that begins with `edgebee `."""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        for code in re.findall(r"`(edgebee [^`]+)`", line):
            yield Line(page, number, code)


def problem_with(text: str) -> str | None:
    """Why the real command line would refuse `text`; None where it would not.

    Files need not exist, and callbacks are not called. Words in capitals are the reader's.
    """
    words = shlex.split(text, comments=True)
    while "&&" in words:
        words = words[words.index("&&") + 1 :] if words[0] != "edgebee" else _before(words, "&&")
    if not words or words[0] != "edgebee":
        return None
    return _problem(edgebee, words[1:])


def _before(words: list[str], separator: str) -> list[str]:
    return words[: words.index(separator)]


def _problem(command: click.Command, words: list[str]) -> str | None:
    ctx = click.Context(command, info_name=command.name, **command.context_settings)
    if isinstance(command, click.Group) and not _does_work(command, words):
        while words and words[0].startswith("-"):
            if not any(words[0] in option.opts for option in _all_options(command, ctx)):
                return f"no option {words[0]}"
            words = words[1:]
        if not words or PLACEHOLDER.fullmatch(words[0]):
            return None
        found = command.get_command(ctx, words[0])
        return _problem(found, words[1:]) if found else f"no command {words[0]!r}"
    try:
        values, rest, _ = command.make_parser(ctx).parse_args(list(words))
        for option in visible_options(command):
            if option.name in values and not isinstance(option.type, click.Path):
                given, _ = option.consume_value(ctx, values)  # of `--serve` alone, its port
                if not (isinstance(given, str) and PLACEHOLDER.fullmatch(given)):
                    option.type_cast_value(ctx, given)
    except click.UsageError as error:
        return error.format_message()
    passed_on = values.get("arguments")
    if isinstance(passed_on, tuple) and passed_on and command.name != PASSED_ON:
        classify = edgebee.get_command(click.Context(edgebee), PASSED_ON)
        assert classify is not None
        return _problem(classify, list(passed_on))
    return f"too many arguments: {rest}" if rest else None


def _does_work(group: click.Group, words: list[str]) -> bool:
    """Whether a group is asked for work of its own, as `archive SOURCE`, not for a command."""
    takes = any(isinstance(param, click.Argument) for param in group.params)
    return takes and not (words and words[0] in group.list_commands(click.Context(group)))


def _all_options(command: click.Command, ctx: click.Context) -> list[click.Option]:
    return [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
