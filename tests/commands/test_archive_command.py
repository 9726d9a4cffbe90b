"""`edgebee archive`: lines out, exit statuses, refusals in one line; `archive query`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("duckdb", reason="needs edgebee[archive]")

from edgebee.console import ProgressLines, spell_progress
from edgebee.progress import Progress

TINY_MODEL = Path(__file__).resolve().parents[1] / "edge" / "dark_light_neither.tflite"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (40, 30), (40 * number,) * 3).save(folder / f"{number}.jpg")
    return folder


def test_it_classifies_and_then_has_nothing_to_do(edgebee, photos, tmp_path):
    arguments = ("archive", photos, "--out", tmp_path / "archive", "-m", TINY_MODEL)
    done = edgebee(*arguments)
    assert done.status == 0
    (folder,) = (path for path in (tmp_path / "archive").iterdir() if path.is_dir())
    assert done.out.startswith(f"{folder}: 6 photos: ")
    assert done.errors[-1].startswith("6 classified in ")
    again = edgebee(*arguments, "--summary")
    assert (again.status, again.errors) == (0, ["nothing to do: all photos are classified already"])
    assert again.out.splitlines()[1] == f"{folder / 'summary.html'}: the summary"
    assert (folder / "summary.html").stat().st_size > 10_000


def test_a_photo_that_cannot_be_read_is_status_1(edgebee, photos, tmp_path):
    (photos / "bad.jpg").write_bytes(b"")
    done = edgebee("archive", photos, "-o", tmp_path / "archive", "-m", TINY_MODEL)
    assert done.status == 1
    assert done.out.rstrip().endswith(", 1 error")


def test_queries(edgebee, photos, tmp_path):
    edgebee("archive", photos, "--out", tmp_path / "archive", "-m", TINY_MODEL)
    done = edgebee("archive", "query", tmp_path / "archive")
    assert done.status == 0
    assert done.out.split()[:2] == ["label", "photos"]
    assert done.errors[0].startswith("CREATE VIEW photos AS FROM read_parquet('")
    sql = "SELECT count(*) AS n FROM photos"
    assert edgebee("archive", "query", tmp_path / "archive", sql, "--format", "csv").out == "n\n6\n"
    refused = edgebee("archive", "query", tmp_path / "archive", "SELEC")
    assert refused.status == 1
    assert refused.errors[-1].startswith("Error: SQL: Parser Error")
    assert edgebee("archive", "query", photos).status == 1


def test_the_usage_of_each_is_its_own(edgebee):
    assert edgebee("help", "archive").out.startswith("Usage: edgebee archive [OPTIONS] SOURCE\n")
    usage = "Usage: edgebee archive query [OPTIONS] DIR [SQL]\n"
    assert edgebee("archive", "query", "--help").out.startswith(usage)
    assert edgebee("help", "archive", "query").out.startswith(usage)


def test_a_folder_called_query_is_named_with_its_path(edgebee, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos.rename("query")
    assert edgebee("archive", "./query", "--out", "archive", "-m", TINY_MODEL).status == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("photos",), "Missing option '-o' / '--out'"),
        (("--out", "x"), "Missing argument 'SOURCE'"),
        (("photos", "more", "--out", "x"), "unexpected extra argument (more)"),
        (("photos", "--out", "x", "--threshold", "nan"), "not between 0 and 1"),
        (("query",), "Missing argument 'DIR'"),
    ],
)
def test_wrong_usage(edgebee, words, complaint):
    done = edgebee("archive", *words)
    assert done.status == 2
    assert complaint in done.err


@pytest.mark.slow
@pytest.mark.parametrize("package", ["pyarrow", "duckdb"])
def test_without_the_extra_a_line_says_how_to_install_it(
    edgebee_process, photos, tmp_path, package
):
    stand_in = tmp_path / "path" / package / "__init__.py"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(f"raise ModuleNotFoundError('no {package}', name='{package}')")
    words = ("query", tmp_path) if package == "duckdb" else (photos, "--out", tmp_path / "a")
    done = edgebee_process("archive", *words, PYTHONPATH=str(stand_in.parents[1]))
    assert done.status == 1
    assert done.errors[-1].startswith(
        f"Error: {package} is not installed: pip install 'edgebee[archive]'"
    )


@pytest.mark.slow
def test_ctrl_c_ends_it_silently_and_it_goes_on(photos, tmp_path, edgebee_process):
    for number in range(6, 3000):
        (photos / f"{number}.jpg").hardlink_to(photos / f"{number % 6}.jpg")
    words = (
        "archive",
        photos,
        "--out",
        tmp_path / "archive",
        "--part-size",
        "50",
        "-m",
        TINY_MODEL,
    )
    with subprocess.Popen(
        [sys.executable, "-m", "edgebee", *map(str, words)], stderr=subprocess.PIPE, text=True
    ) as running:
        while not list(tmp_path.glob("archive/*/part-000002.parquet")):
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert said == ""
    done = edgebee_process(*words)
    assert done.status == 0
    assert "photos of 3,000 are there already" in done.err
    assert ": 3,000 photos: " in done.out


def test_without_a_terminal_a_line_says_how_far_it_is(capsys):
    lines = ProgressLines(every_s=0.0)
    lines(Progress("classifying photos", 10, 20, note="7 bees, 3 ants"))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("classifying photos: 10 of 20, ")
    assert line.endswith("; 7 bees, 3 ants")
    quiet = ProgressLines()
    quiet(Progress("classifying photos", 10, 20))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("progress", "seconds", "line"),
    [
        (Progress("x", 1_200, 9_000), 12.0, "x: 1,200 of 9,000, 100 a second, 1 min 18 s left"),
        (Progress("x", 10, 1_000_000), 0.1, "x: 10 of 1,000,000, 100 a second, 2 h 46 min left"),
        (Progress("x", 500, None), 10.0, "x: 500, 50 a second"),
        (Progress("x", 0, 50), 10.0, "x: 0 of 50, 0 a second"),
        (Progress("x", 40, 50, note="n"), 8.0, "x: 40 of 50, 5 a second, 2 s left; n"),
    ],
)
def test_rate_and_time_left(progress, seconds, line):
    assert spell_progress(progress, seconds) == line
