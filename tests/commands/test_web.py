"""`edgebee web`: a line for what was made, and a server until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import edgebee.edge
from edgebee.edge.web.litert_js import VARIABLE

MODEL = Path(edgebee.edge.__file__).resolve().parent / "models" / "hymenoptera_int8.tflite"


@pytest.fixture
def tarball(monkeypatch):
    """LiteRT.js, where the environment or the user's cache has it already."""
    from web_tarball import find_tarball  # beside tests/conftest.py

    found = find_tarball()
    monkeypatch.setenv(VARIABLE, str(found))
    return found


def test_it_makes_a_folder_and_one_file(edgebee, tarball, tmp_path):
    done = edgebee("web", MODEL, "--out", tmp_path / "site")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{tmp_path / 'site' / 'index.html'}: hymenoptera_int8; 12.")
    done = edgebee("web", MODEL, "--single-file", "--out", tmp_path / "bees", "--runtime", tarball)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{tmp_path / 'bees.html'}: hymenoptera_int8; 7.")
    assert (tmp_path / "bees.html").read_text("utf-8").startswith("<!doctype html>")


def test_it_serves_until_ctrl_c(tarball, tmp_path):
    command = ("web", MODEL, "--out", "site", "--serve", "0", "--no-open")
    with subprocess.Popen(
        [sys.executable, "-m", "edgebee", *map(str, command)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        serving.stdout.readline()
        with urllib.request.urlopen(serving.stdout.readline().strip()) as answer:
            assert b"ants or bees?" in answer.read()
        serving.send_signal(signal.SIGINT)
        _, said = serving.communicate(timeout=20)
    assert serving.returncode == 130
    assert said == "Ctrl-C ends it\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--single-file", "--serve"), "--serve is for a folder"),
        (("--no-open",), "--no-open is for --serve"),
        (("--serve", "70000"), "70000 is not in the range"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(edgebee, tmp_path, words, complaint):
    done = edgebee("web", MODEL, "--out", tmp_path / "site", *words)
    assert done.status == 2
    assert complaint in done.err
    assert not (tmp_path / "site").exists()


def test_an_unwritable_place_is_one_line(edgebee, tarball, tmp_path):
    (tmp_path / "site").write_text("a file")
    done = edgebee("web", MODEL, "--out", tmp_path / "site")
    assert done.status == 1
    (line,) = done.errors
    assert str(tmp_path / "site") in line
