"""The command line as a person meets it: expected failures, a training, the whole demo."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgebee.edge.classify
from edgebee.console import ProgressBars, log, log_next
from edgebee.progress import Progress

# ------------------------------------------------------------------ expected failures


def write_photos(folder, count=4):
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (40, 30), (20 * number, 90, 30)).save(folder / f"{number}.jpg")


def missing_folder(folder):
    return ["train", "--data", folder / "nothing"], folder / "nothing"


def data_that_is_a_file(folder):
    (folder / "photos.zip").write_text("not a folder")
    return ["train", "--data", folder / "photos.zip"], folder / "photos.zip"


def empty_class(folder):
    write_photos(folder / "photos" / "ants")
    (folder / "photos" / "bees").mkdir()
    return ["train", "--data", folder / "photos"], "bees"


def empty_class_in_validation(folder):
    for half in ("train", "val"):
        write_photos(folder / "photos" / half / "ants")
        write_photos(folder / "photos" / half / "bees")
    for photo in (folder / "photos" / "val" / "bees").iterdir():
        photo.unlink()
    return ["train", "--data", folder / "photos"], "val/bees"


def one_class(folder):
    write_photos(folder / "photos" / "ants")
    return ["train", "--data", folder / "photos"], "one class only (ants)"


def no_classes(folder):
    write_photos(folder / "photos")
    return ["train", "--data", folder / "photos"], folder / "photos"


def output_below_a_file(folder):
    (folder / "taken").write_text("mine")
    return ["train", "--data", "sample", "--output", folder / "taken" / "x"], folder / "taken"


def output_in_proc(folder):
    return ["train", "--data", "sample", "--output", "/proc/edgebee"], "/proc/edgebee"


def demo_in_proc(folder):
    return ["demo", "--output", "/proc/edgebee"], "/proc/edgebee"


def nothing_to_convert(folder):
    return ["convert"], "edgebee train"


def not_a_model(folder):
    (folder / "model.keras").write_text("this is no model")
    return ["convert", folder / "model.keras"], folder / "model.keras"


def nothing_to_measure(folder):
    return ["benchmark", folder], "edgebee train"


FAILURES = [
    missing_folder,
    data_that_is_a_file,
    empty_class,
    empty_class_in_validation,
    one_class,
    no_classes,
    output_below_a_file,
    output_in_proc,
    demo_in_proc,
    nothing_to_convert,
    not_a_model,
    nothing_to_measure,
]


def everything_below(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
def test_an_expected_failure_is_one_line_and_leaves_nothing(
    edgebee, tmp_path, monkeypatch, failure
):
    arguments, named = failure(tmp_path)
    before = everything_below(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = edgebee(*arguments)
    assert done.status == 1
    assert done.out == ""
    assert "Traceback" not in done.err
    assert [line for line in done.errors if line.startswith("Error: ")] == done.errors[-1:]
    assert str(named) in done.errors[-1]
    assert everything_below(tmp_path) == before


def test_debug_shows_where_it_failed(edgebee_process, tmp_path):
    done = edgebee_process("--debug", "train", "--data", tmp_path / "nothing")
    assert done.status == 1
    assert "Traceback" in done.err
    assert done.errors[-1].startswith("edgebee.errors.DataError: ")


def test_a_class_without_a_readable_photo(edgebee, tensorflow_started, tmp_path):
    for label in ("ants", "bees"):
        write_photos(tmp_path / "photos" / label, count=5)
    for photo in (tmp_path / "photos" / "bees").iterdir():
        photo.write_bytes(photo.read_bytes()[:30])
    output = tmp_path / "output"
    done = edgebee(
        "train", "--data", tmp_path / "photos", "--output", output, "--image-size", "32",
        "--weights", "none", "--alpha", "0.35", "--augmentations", "1",
    )  # fmt: skip
    assert done.status == 1
    assert done.out == ""
    assert done.errors[-1].startswith("Error: ")
    assert "'bees'" in done.errors[-1]
    assert everything_below(output) == {}


# ------------------------------------------------------------------ training, as it is told


@pytest.fixture(scope="module")
def told(edgebee_process, tmp_path_factory):
    """A training on drawings with a truncated JPEG and a placeholder GIF among them."""
    from edgebee.photos.sample import draw_photo

    folder = tmp_path_factory.mktemp("told")
    for index, label in enumerate(("ants", "bees")):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(10):
            picture = draw_photo(label, np.random.default_rng([index, number]))
            picture.save(folder / "photos" / label / f"{label} {number}.jpg", quality=90)
    Image.new("L", (500, 374), 200).save(folder / "photos" / "ants" / "imageNotFound.gif")
    whole = (folder / "photos" / "bees" / "bees 0.jpg").read_bytes()
    (folder / "photos" / "bees" / "broken.jpg").write_bytes(whole[: len(whole) // 3])
    done = edgebee_process(
        "train", "photos", "--epochs", "2", "--fine-tune-epochs", "1", "--image-size", "32",
        "--alpha", "0.35", "--weights", "none", "--augmentations", "1", cwd=folder,
    )  # fmt: skip
    assert done.status == 0, done.err
    return done, folder


def test_a_corrupt_photo_is_left_out_with_one_warning(told):
    done, folder = told
    (warning,) = [line for line in done.errors if "broken.jpg" in line]
    assert warning.startswith("warning: ")
    data = json.loads((folder / "artifacts" / "history.json").read_text())["data"]
    (left_out,) = data["left_out"]
    assert left_out == "bees/broken.jpg"


def test_a_placeholder_is_pointed_at(told):
    done, _ = told
    (warning,) = [line for line in done.errors if "imageNotFound.gif" in line]
    assert warning.startswith("warning: ")


def test_phases_and_epochs_are_named(told):
    done, _ = told
    shown = [line for line in done.errors if line.startswith(("Phase", "Epoch"))]
    assert [line.split("  ")[0].split(",")[0] for line in shown] == [
        "Phase 1", "Epoch 1/3", "Epoch 2/3", "Phase 2", "Epoch 3/3",
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in shown if line.startswith("Epoch"))


def test_one_line_of_result_and_the_next_command(told):
    done, _ = told
    (result,) = done.out.splitlines()
    assert result.startswith("artifacts/model.keras: ")
    assert result.endswith(" validation photos correct")
    assert done.errors[-1] == "Next: edgebee convert --quantize int8"


def test_libraries_keep_quiet(told):
    done, _ = told
    chatter = ("oneDNN", "cuda", "XNNPACK", "absl", "WARNING:", "I0000", "W0000", "tf.function")
    assert not [line for line in done.errors if any(word in line for word in chatter)]


def test_artifacts_are_there_and_nothing_else(told):
    _, folder = told
    names = {path.name for path in (folder / "artifacts").iterdir()}
    assert {"model.keras", "labels.txt", "history.json", "training.png"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert {path.name for path in folder.iterdir()} == {"photos", "artifacts"}
    with Image.open(folder / "artifacts" / "training.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400


# ------------------------------------------------------------------ classify


def lone_runner(*arguments, cwd):
    script = Path(edgebee.edge.classify.__file__)
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def without_times(text):
    return [
        {key: value for key, value in json.loads(line).items() if key != "ms"}
        for line in text.splitlines()
    ]


def test_classify_is_the_lone_runner(edgebee_process, tmp_path):
    write_photos(tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_text("no photo")
    arguments = ("--json", "-t", "0.6", "photos", "nothing.jpg")
    ours = edgebee_process("classify", *arguments, cwd=tmp_path)
    lone = lone_runner(*arguments, cwd=tmp_path)
    assert ours.status == lone.returncode == 1
    assert len(without_times(ours.out)) == 6
    assert without_times(ours.out) == without_times(lone.stdout)
    assert ours.err == lone.stderr  # which model it took, and the errors


# ------------------------------------------------------------------ demo


def without_network():
    """The command that runs another with the network switched off, where that is allowed."""
    unshare = shutil.which("unshare")
    for command in ([unshare, "--net"], [unshare, "--map-root-user", "--net"]):
        if unshare:
            tried = subprocess.run([*command, "true"], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    pytest.skip("the network cannot be switched off for one process here")


@pytest.mark.slow
def test_demo_goes_the_whole_way_without_network(tmp_path):
    offline = without_network()
    ask = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    cut_off = subprocess.run(
        [*offline, sys.executable, "-c", ask], capture_output=True, text=True, check=False
    )
    assert "unreachable" in cut_off.stderr  # not even this machine can be reached
    environment = {name: value for name, value in os.environ.items() if name != "EDGEBEE_DATA"}
    done = subprocess.run(
        [*offline, sys.executable, "-m", "edgebee", "demo"],
        cwd=tmp_path,
        env=environment | {"EDGEBEE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    artifacts = tmp_path / "artifacts"
    promised = {
        "report.html",
        "model.keras",
        "labels.txt",
        "history.json",
        "training.png",
        "benchmark.json",
    } | {f"model_{format_}.tflite" for format_ in ("float32", "float16", "dynamic", "int8")}
    assert promised <= {path.name for path in artifacts.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "cache"}

    benchmark = json.loads((artifacts / "benchmark.json").read_text())
    assert benchmark["data"]["drawn"] is True
    counts = [variant["accuracy"] for variant in benchmark["variants"]]
    assert len(counts) == 5
    # The drawings are told apart far better than by chance, or the demo shows nothing.
    assert all(count["correct"] >= 0.8 * count["total"] for count in counts)

    answer = done.stdout.splitlines()[-1]
    assert answer.startswith(str(tmp_path / "cache"))
    assert ": bees 0." in answer
    talk = [line for line in done.stderr.splitlines() if line.strip()]
    assert "drawings" in talk[-1]
    assert "edgebee train " in talk[-1]
    for line in (*talk, *done.stdout.splitlines()):
        if " validation " in line and ("correct" in line or "models" in line):
            assert "drawings" in line


@pytest.mark.parametrize(
    ("system", "shown"),
    [("posix", "edgebee train 'my photos' '$x'"), ("nt", 'edgebee train "my photos" $x')],
)
def test_the_next_command_is_quoted_as_the_shell_takes_it(monkeypatch, capsys, system, shown):
    with monkeypatch.context() as there:
        there.setattr(os, "name", system)
        log_next("train", "my photos", "$x")
    assert capsys.readouterr().err == f"Next: {shown}\n"


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes_classify():
    script = """
eval "$(_EDGEBEE_COMPLETE=bash_source edgebee)"
compopt() { printf '%s ' "$2"; }  # what bash is told to complete by itself
complete_words() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _edgebee_completion edgebee "${COMP_WORDS[COMP_CWORD]}"; echo "${COMPREPLY[*]}"
}
complete_words edgebee cl
complete_words edgebee classify --an
complete_words edgebee classify -m mo
complete_words edgebee classify --watch ph
complete_words edgebee classify ph
complete_words edgebee classify --format ''
complete_words edgebee train my
"""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True, text=True, env=os.environ | {"PATH": path}, check=True,
    )  # fmt: skip
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "classify", "--annotate", "default", "dirnames", "default", "text json csv", "dirnames",
    ]  # fmt: skip


def test_progress_bars_are_taken_away(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with contextlib.suppress(KeyboardInterrupt), ProgressBars() as bars:
        for done in (1, 2, 2):
            bars(Progress("checking photos", done, 2, "photo"))
        bars(Progress("reading", 1, 3, "photo"))
        log("a remark")
        raise KeyboardInterrupt
    assert "/2 [" in shown.getvalue()
    assert re.search(r"\r *\ra remark\n", shown.getvalue())
    *_, last, end = shown.getvalue().split("\r")
    assert (last.strip(), end) == ("", "")
