"""Every command with every kind of wrong argument: status 2 and usage, or 1 and one line.

The commands and their options are found by walking the command tree, so that a new command
is attacked from its first day on. Nothing here gets as far as TensorFlow: there is no cache
to draw a sample in, and the hymenoptera photos that EDGEBEE_DATA names are not whole.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from edgebee.cli import edgebee as group

SECONDS = 30
"""After which a command counts as hanging; all of this fails in well under one."""

NO_NUMBERS = ("three", "", "1e999x", "0x10", "1,5", "²", "--")
ODD_VALUES = (
    "", " ", ".", "/", "-", "--", "-1", "/dev/null", "/proc/nothing/x", "~nobody-here/x", "a" * 300,
    "x/" * 3000, "nul\udc80", "line\nbreak", "\x1b[31mred", "file.txt", "file.txt/below", "empty",
    "loop", "no-such-thing", "$(touch ran)", "; touch ran", "../..", "*", "[", "{}", "'\"",
    "-oProxyCommand=touch ran", "http://127.0.0.1:9/x", "C:\\x",
)  # fmt: skip
"""Names that are no files, or of files and folders that hold nothing of use."""


def walk(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command, groups included."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, (*words, name))


COMMANDS = list(walk(group))


def found(words: tuple[str, ...]) -> click.Command:
    command: click.Command = group
    for word in words:
        assert isinstance(command, click.Group)
        below = command.get_command(click.Context(command), word)
        assert below is not None
        command = below
    return command


@dataclass(frozen=True)
class Ended:
    """A command line that has come to its end."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run a command line in this process, in a folder where there is nothing to work on."""
    here = tmp_path / "with" / "nothing"  # nor in ../.., where other tests keep their photos
    (here / "empty").mkdir(parents=True)
    (here / "file.txt").write_text("neither photo nor model")
    (here / "loop").symlink_to("loop")
    (here / "photos" / "hymenoptera_data").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("EDGEBEE_DATA", str(here / "photos"))
    monkeypatch.setenv("EDGEBEE_CACHE", "/proc/nothing")
    monkeypatch.setenv("HOME", str(here / "empty"))
    monkeypatch.setenv("COLUMNS", "200")

    def too_long(number, frame):
        raise AssertionError(f"no end after {SECONDS} s")

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(SECONDS)
        try:
            with pytest.raises(SystemExit) as exit_:
                group(list(arguments), prog_name="edgebee")
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        captured = capfd.readouterr()
        assert isinstance(exit_.value.code, int), "sys.exit with a message"
        return Ended(exit_.value.code, captured.out, captured.err)

    return run


def options(words: tuple[str, ...], run) -> dict[str, bool]:
    """Long options of a command, by its help, and whether they take a value."""
    text = run(*words, "--help").out
    taken: dict[str, bool] = {}
    for line in text.splitlines():
        match = re.match(r"\s+(?:-\w(?:[ ,]+[A-Z_]+)?, )?(--[a-z][\w-]*)(.*)", line)
        if match:
            value = re.match(r"[ =](?:\[?[A-Z{<\[])", match[2])
            taken[match[1]] = bool(value)
    return taken


def in_words(words: tuple[str, ...]) -> str:
    return " ".join(words) or "edgebee itself"


def assert_usage(ended: Ended) -> None:
    assert ended.status == 2, ended
    assert ended.out == ""
    assert ended.err.lower().startswith("usage: edgebee")
    assert re.search(r"^\S*( \S+)*: error: |^Error: ", ended.err, re.M | re.I)
    assert "Traceback" not in ended.err


def assert_said(ended: Ended) -> None:
    """Wrong usage, or work that failed in one line."""
    assert "Traceback" not in ended.err
    if ended.status == 2:
        assert ended.err.lower().startswith("usage: edgebee"), ended
        return
    assert ended.status == 1, ended
    errors = [line for line in ended.err.splitlines() if line.lower().startswith("error: ")]
    assert errors, ended
    assert len(errors) == len(set(errors)), ended  # one for each argument that failed
    assert ended.err.splitlines()[-1] == errors[-1]
    assert all(error.isprintable() for error in errors), ended
    assert not Path("ran").exists(), "an argument was run by a shell"


# ---------------------------------------------------------------------------- usage


def test_the_walk_finds_the_commands():
    assert {("train",), ("convert",), ("classify",), ("benchmark",), ("data", "check")} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_an_unknown_option_is_wrong_usage(words, run):
    assert_usage(run(*words, "--no-such-option"))
    assert_usage(run(*words, "--no-such-option=7"))


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_an_option_without_its_value_is_wrong_usage(words, run):
    for option, takes_value in options(words, run).items():
        if option == "--camera":
            continue  # alone it means the first one
        if takes_value:
            assert_usage(run(*words, option))
        elif option not in ("--help", "--version"):
            assert_usage(run(*words, f"{option}=7"))


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_a_number_that_is_none_is_wrong_usage(words, run):
    numbers = (click.types.IntParamType, click.types.FloatParamType, click.Choice)
    for parameter in found(words).params:
        if isinstance(parameter, click.Option) and isinstance(parameter.type, numbers):
            for value in NO_NUMBERS:
                assert_usage(run(*words, parameter.opts[-1], value))


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_a_number_out_of_its_range_is_wrong_usage(words, run):
    for parameter in found(words).params:
        kind = parameter.type
        if isinstance(kind, (click.IntRange, click.FloatRange)):
            low = [] if kind.min is None else [kind.min - 1]
            high = [] if kind.max is None else [kind.max + 1]
            for value in (*low, *high):
                assert_usage(run(*words, f"{parameter.opts[-1]}={value}"))


@pytest.mark.parametrize(
    "words", [one for one in COMMANDS if isinstance(found(one), click.Group)], ids=in_words
)
def test_a_group_without_a_command_or_with_an_unknown_one(words, run):
    assert run(*words).status == 2
    assert_usage(run(*words, "no-such-command"))
    assert_usage(run(*words, ""))


@pytest.mark.parametrize(
    "words",
    [
        one
        for one in COMMANDS
        if not isinstance(found(one), click.Group)
        and all(parameter.nargs == 1 for parameter in found(one).params)
    ],
    ids=in_words,
)
def test_an_argument_too_many_is_wrong_usage(words, run):
    assert_usage(run(*words, "one", "two", "three"))


# ---------------------------------------------------------------------------- work


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_an_odd_value_of_an_option_is_said_in_a_line(words, run):
    if isinstance(found(words), click.Group):
        return
    for option, takes_value in options(words, run).items():
        for value in ODD_VALUES if takes_value else ():
            if words == ("classify",) and (not value.isprintable() or value == "--"):
                continue  # see the last test but one
            # With a photo that is not there: what takes photos has nothing to answer.
            takes_photos = found(words).params and words == ("classify",)
            rest = ("missing.jpg",) if takes_photos else ()
            assert_said(run(*words, f"{option}={value}", *rest))


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_an_odd_argument_is_said_in_a_line(words, run):
    if isinstance(found(words), click.Group) or words == ("study", "size"):
        return  # which hands its arguments to a training, of 20,000 generated photos
    for value in ODD_VALUES:
        # Not standard input, the end of options, or folders that hold half a machine.
        if value not in ("-", "--", "/", "../..") and (value.isprintable() or len(words) > 1):
            assert_said(run(*words, "--", value))


ODD_NAMES = {
    "no-such\udc80.jpg": "no-such\\udc80.jpg",
    "new\nline.jpg": "new\\nline.jpg",
    "\x1b[2J.jpg": "\\x1b[2J.jpg",
    "a\u202egpj.exe": "a\\u202egpj.exe",  # which a terminal would show as aexe.jpg
    "two\u2028lines": "two\\u2028lines",
}
"""Names, and how they are shown."""


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("words", [("classify",), ("data", "check"), ("inspect",)], ids=in_words)
def test_odd_names_do_not_reach_the_terminal_raw(words, name, run):
    ended = run(*words, name)
    assert ended.status == 1
    *model, line = ended.err.splitlines()  # `classify` says which model it took
    assert not model or model[0].startswith("model: ")
    assert line.isprintable()
    assert ODD_NAMES[name] in line


@pytest.mark.parametrize("words", COMMANDS, ids=in_words)
def test_an_odd_option_does_not_reach_the_terminal_raw(words, run):
    ended = run(*words, "--\x1b[2J\n=1")
    assert_usage(ended)
    assert "\x1b" not in ended.err
    assert "\\x1b[2J\\n" in ended.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["data", "check", "set"]])
def test_a_standard_output_that_is_full_is_said_in_a_line(arguments, tmp_path):
    for label in ("ants", "bees"):
        for number in range(2):
            path = tmp_path / "set" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no photo")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgebee", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "Error: standard output: No space left on device\n"
