"""Help and typing errors: answered at once, without TensorFlow, and nothing is written."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HELP = [
    ["--help"],
    ["-h"],
    ["--version"],
    ["-V"],
    ["help"],
    ["help", "train"],
    ["help", "data", "check"],
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
    ["help", "trian"],
    ["--bogus"],
    ["train", "--bogus"],
    ["train", "one", "two"],
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
    ["doctor", "--for"],
    ["doctor", "/"],
    ["demo", "extra"],
    ["demo", "--output", __file__],
]

HEAVY = {"tensorflow", "keras", "matplotlib", "ai_edge_litert", "tflite_runtime", "scipy"}
MOST_CPU_SECONDS = 1.0
"""Of a command line that does no work. The first loads click and takes some 0.1 s; TensorFlow alone
takes three. Processor time, since on a busy machine the clock counts others' work."""

RUN_ALL = """
import json, os, sys, time
from click.testing import CliRunner
from edgebee.cli import edgebee

for arguments in json.load(sys.stdin):
    started = time.process_time()
    done = CliRunner().invoke(edgebee, arguments, prog_name="edgebee")
    outcome = {
        "status": done.exit_code, "out": done.stdout, "err": done.stderr,
        "cpu_seconds": time.process_time() - started, "modules": sorted(sys.modules),
        "written": os.listdir(), "fault": repr(done.exception),
    }
    print(json.dumps(outcome))
"""
"""Runs command lines one after the other in one process."""


def in_words(arguments):
    return " ".join(argument.replace(__file__, "FILE") for argument in arguments)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What each command line does, all of them run once in one fresh process."""
    lines = HELP + USAGE_ERRORS
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps(lines),
        cwd=tmp_path_factory.mktemp("usage"),
        capture_output=True,
        text=True,
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(map(in_words, lines), found, strict=True))


@pytest.mark.parametrize("arguments", HELP + USAGE_ERRORS, ids=in_words)
def test_answers_at_once_without_tensorflow(outcomes, arguments):
    outcome = outcomes[in_words(arguments)]
    loaded = {module.split(".")[0] for module in outcome["modules"]}
    assert "click" in loaded
    assert not loaded & HEAVY
    assert outcome["cpu_seconds"] < MOST_CPU_SECONDS


@pytest.mark.parametrize("arguments", HELP, ids=in_words)
def test_help_goes_to_stdout(outcomes, arguments):
    outcome = outcomes[in_words(arguments)]
    assert (outcome["status"], outcome["err"]) == (0, "")
    assert outcome["out"]


@pytest.mark.parametrize("arguments", USAGE_ERRORS, ids=in_words)
def test_wrong_usage_is_status_2_and_writes_nothing(outcomes, arguments):
    outcome = outcomes[in_words(arguments)]
    lines = [line for line in outcome["err"].splitlines() if line.strip()]
    assert (outcome["status"], outcome["out"]) == (2, ""), outcome["fault"]
    assert [line for line in lines if "rror: " in line] == lines[-1:]
    assert outcome["written"] == []


def test_help_lists_the_commands_in_the_order_of_the_work(edgebee_process):
    help_ = edgebee_process("--help").out
    listed = [line.split()[0] for line in help_.partition("Commands:")[2].splitlines() if line]
    chain = [name for name in listed if name in {"train", "convert", "benchmark", "classify"}]
    assert chain in (
        ["train", "convert", "classify", "benchmark"],
        ["train", "convert", "benchmark", "classify"],
    )


TRAIN_DEFAULTS = {
    "--data": "hymenoptera",
    "--output": "artifacts",
    "--epochs": "10",
    "--fine-tune-epochs": "5",
    "--fine-tune-at": "(100 for mobilenet_v2,",
    "--image-size": "224",
    "--batch-size": "32",
    "--alpha": "1.0",
    "--val-fraction": "0.2",
    "--seed": "0",
}


def test_help_states_the_defaults_of_the_starting_recipe(outcomes):
    options = " " + " ".join(outcomes["train --help"]["out"].split())
    for option, default in TRAIN_DEFAULTS.items():
        description = options.partition(f" {option} ")[2].split(" --", 1)[0]
        assert f"[default: {default}" in description, option


@pytest.mark.parametrize(("typed", "meant"), [("trian", "train"), ("benchmrk", "benchmark")])
def test_a_mistyped_command_is_recognised(edgebee_process, typed, meant):
    assert f"Did you mean '{meant}'?" in edgebee_process(typed).err
