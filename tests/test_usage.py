"""Help and typing errors: answered at once, without TensorFlow, and nothing is written."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HELP = [
    ["--help"],
    ["-h"],
    ["--version"],
    ["train", "--help"],
    ["convert", "--help"],
    ["benchmark", "--help"],
    ["classify", "--help"],
    ["inspect", "--help"],
    ["doctor", "--help"],
    ["demo", "--help"],
]

USAGE_ERRORS = [
    ["trian"],
    ["--bogus"],
    ["train", "--bogus"],
    ["train", "extra"],
    ["train", "--epochs"],
    ["train", "--epochs", "-1"],
    ["train", "--epochs", "three"],
    ["train", "--fine-tune-epochs", "-1"],
    ["train", "--epochs", "0", "--fine-tune-epochs", "0"],
    ["train", "--fine-tune-at", "-1"],
    ["train", "--image-size", "5"],
    ["train", "--batch-size", "0"],
    ["train", "--alpha", "0"],
    ["train", "--learning-rate", "-1"],
    ["train", "--learning-rate", "nan"],
    ["train", "--fine-tune-learning-rate", "0"],
    ["train", "--seed", "-1"],
    ["train", "--val-fraction", "2"],
    ["train", "--output", __file__],
    ["convert", "--quantize", "int4"],
    ["convert", "--quantize"],
    ["convert", "--samples", "0"],
    ["convert", "--seed", "-1"],
    ["convert", "/"],
    ["convert", "one.keras", "two.keras"],
    ["benchmark", "--threads", "0"],
    ["benchmark", __file__],
    ["classify"],
    ["classify", "--bogus", "photo.jpg"],
    ["classify", "--top-k", "0", "photo.jpg"],
    ["classify", "--threads", "0", "photo.jpg"],
    ["classify", "--threshold", "2", "photo.jpg"],
    ["inspect"],
    ["inspect", "/"],
    ["inspect", "one.tflite", "two.tflite"],
    ["doctor", "--for", "amiga"],
    ["doctor", "--threads", "0"],
    ["doctor", "/"],
    ["demo", "extra"],
    ["demo", "--output", __file__],
]

LIBRARIES = "import click, numpy, PIL.Image"
"""What a command may load before it knows that it has work to do."""
MOST_TIMES_LIBRARIES = 2.0
"""Of processor time. Commands take 0.5 to 1.3 times theirs, TensorFlow alone some 15 times."""

HEAVY = {"tensorflow", "keras", "matplotlib", "ai_edge_litert", "tflite_runtime", "scipy"}


def in_words(arguments):
    return " ".join(argument.replace(__file__, "FILE") for argument in arguments)


@dataclass(frozen=True)
class Answered:
    """A command line that did no work: what it said, what it loaded."""

    status: int
    out: str
    lines: list[str]
    modules: set[str]
    written: list[Path]


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Run each command line once as a process that reports every import, and remember it."""
    known = {}

    def run(arguments):
        if in_words(arguments) not in known:
            known[in_words(arguments)] = ask(arguments, tmp_path_factory.mktemp("ask"))
        return known[in_words(arguments)]

    return run


def cpu_seconds_of(arguments, cwd):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ask(arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edgebee", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    stderr = done.stderr.splitlines()
    imports = [line for line in stderr if line.startswith("import time:")]
    return Answered(
        status=done.returncode,
        out=done.stdout,
        lines=[line for line in stderr if line.strip() and line not in imports],
        modules={line.rsplit("|", 1)[-1].strip().split(".")[0] for line in imports},
        written=sorted(cwd.iterdir()),
    )


@pytest.mark.parametrize("arguments", HELP + USAGE_ERRORS, ids=in_words)
def test_answers_at_once_without_tensorflow(answered, arguments, tmp_path):
    first = answered(arguments)
    assert "click" in first.modules  # else nothing was looked at
    assert not first.modules & HEAVY
    # The best of five, each beside the bare imports: processors differ, and on a busy machine
    # caches are cold and the clock counts others' work.
    for _ in range(5):
        libraries = cpu_seconds_of(["-c", LIBRARIES], tmp_path)
        # Without the list of imports, whose writing takes time of its own.
        taken = cpu_seconds_of(["-m", "edgebee", *arguments], tmp_path)
        if taken < MOST_TIMES_LIBRARIES * libraries:
            return
    pytest.fail(f"{taken:.2f} s of processor time, and the libraries {libraries:.2f} s")


@pytest.mark.parametrize("arguments", HELP, ids=in_words)
def test_help_goes_to_stdout(answered, arguments):
    said = answered(arguments)
    assert (said.status, said.lines) == (0, [])
    assert said.out


@pytest.mark.parametrize("arguments", USAGE_ERRORS, ids=in_words)
def test_wrong_usage_is_status_2_and_writes_nothing(answered, arguments):
    said = answered(arguments)
    assert said.status == 2
    assert said.out == ""
    assert not [line for line in said.lines if line.startswith("Traceback")]
    assert [line for line in said.lines if "rror: " in line] == said.lines[-1:]
    assert said.written == []


def test_help_lists_the_commands_in_the_order_of_the_work(edgebee_process):
    help_ = edgebee_process("--help").out
    listed = [line.split()[0] for line in help_.partition("Commands:")[2].splitlines() if line]
    chain = [name for name in listed if name in {"train", "convert", "benchmark", "classify"}]
    assert chain in (
        ["train", "convert", "classify", "benchmark"],
        ["train", "convert", "benchmark", "classify"],
    )


TRAIN_DEFAULTS = {
    "--data": "hymenoptera", "--output": "artifacts", "--epochs": "10", "--fine-tune-epochs": "5",
    "--fine-tune-at": "100", "--image-size": "224", "--batch-size": "32", "--alpha": "1.0",
    "--val-fraction": "0.2", "--seed": "0", "--weights": "field",
}  # fmt: skip


def test_help_states_the_defaults_of_the_starting_recipe(edgebee_process):
    help_ = edgebee_process("train", "--help").out
    options = " " + " ".join(help_.partition("Options:")[2].split())
    for option, default in TRAIN_DEFAULTS.items():
        description = options.partition(f" {option} ")[2].split(" --", 1)[0]
        assert f"[default: {default}" in description, option
    assert " --learning-rate " in options
    assert " --fine-tune-learning-rate " in options


@pytest.mark.parametrize(("typed", "meant"), [("trian", "train"), ("benchmrk", "benchmark")])
def test_a_mistyped_command_is_recognised(edgebee_process, typed, meant):
    assert f"Did you mean '{meant}'?" in edgebee_process(typed).err
