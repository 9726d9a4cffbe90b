"""The command line: the runner's file and a model, alone in a folder, run as a person runs them."""

import ast
import csv
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import classify
import numpy as np
import pytest
from PIL import Image

MODEL_NAME = "hymenoptera_int8.tflite"
TEXT_LINE = re.compile(r"(?P<path>.+): (?P<said>.+ \d\.\d{3}\)?)  \d+\.\d ms")


@pytest.fixture(scope="module")
def lone(tmp_path_factory, runner, model):
    """A folder with the two files that are copied to a Pi."""
    folder = tmp_path_factory.mktemp("lone")
    shutil.copy(runner, folder)
    shutil.copy(model, folder)
    return folder


def start(lone, *arguments, python=(sys.executable,), **options):
    command = [*python, "classify.py", "-m", MODEL_NAME, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # As on a Pi: output to a pipe or file is buffered, and Python's own settings are its defaults.
    changed = {"PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS"}
    environment = {name: value for name, value in os.environ.items() if name not in changed}
    return subprocess.Popen(command, cwd=lone, **({"env": environment} | streams | options))


def run(lone, *arguments, **options):
    """Exit status, lines of standard output, lines of standard error."""
    process = start(lone, *arguments, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, (out or "").splitlines(), err.splitlines()


@pytest.fixture
def album(tmp_path, landscape):
    """Two good photos, one of them a folder below, with a broken one between them."""
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    image = Image.fromarray(landscape).reduce(4)
    image.save(folder / "a good one.jpg")
    image.rotate(180).save(folder / "sub" / "c.png")
    content = (folder / "a good one.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(content[: len(content) // 2])
    (folder / "notes.txt").write_text("no photo, and not asked for one by one")
    return folder


@pytest.fixture
def many(tmp_path, photo):
    """More photos than anybody waits for."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number:04}.jpg").hardlink_to(photo)
    return folder


# ---------------------------------------------------------------- answers


def test_a_photo_gives_one_line_of_text(lone, photo, model):
    status, out, err = run(lone, photo)
    assert (status, err) == (0, [])
    (line,) = out
    said = TEXT_LINE.fullmatch(line)
    assert said["path"] == str(photo)
    answer = classify.Classifier(model)(photo)
    assert said["said"] == f"{answer.label} {answer.score:.3f}"


def test_without_m_it_says_which_model_it_took_and_what_that_can_tell_apart(lone, photo, model):
    done = subprocess.run(
        [sys.executable, "classify.py", photo], cwd=lone, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == 1
    labels = ", ".join(classify.read_manifest(model)["labels"])
    assert done.stderr == f"model: {lone / MODEL_NAME} ({labels})\n"


def test_many_photos_are_counted_by_label_at_the_end(lone, tmp_path, photo):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(11):
        (folder / f"{number}.jpg").hardlink_to(photo)
    (folder / "broken.jpg").touch()
    status, out, err = run(lone, folder)
    (label,) = {TEXT_LINE.fullmatch(line)["said"].split()[0] for line in out}
    assert (status, len(out)) == (1, 11)
    assert err[-1] == f"12 photos: 11 {label}, 1 unreadable"
    assert len(run(lone, "--json", folder)[2]) == 1  # only the error: programs count themselves


def test_json_lines_of_a_folder_answer_every_good_photo_and_report_the_broken_one(lone, album):
    status, out, err = run(lone, "--json", album)
    assert status == 1
    first, broken, last = map(json.loads, out)
    good = [str(album / "a good one.jpg"), str(album / "sub" / "c.png")]
    assert [first["path"], last["path"]] == good
    for record in (first, last):
        assert list(record) == ["path", "label", "score", "scores", "taken", "ms"]
        assert (
            record["score"] == record["scores"][record["label"]] == max(record["scores"].values())
        )
        assert len(record["scores"]) > 1
        assert set(record["ms"]) == {"decode", "invoke"}
        assert min(record["ms"].values()) > 0
    assert list(broken) == ["path", "error"]
    assert broken["path"] == str(album / "b.jpg")
    assert broken["error"].startswith(broken["path"])
    assert err == [f"error: {broken['error']}"]


def test_text_answers_every_good_photo_and_reports_the_broken_one_apart(lone, album, class_picture):
    class_picture.save(album / "a good one.jpg")
    class_picture.save(album / "sub" / "c.png")
    status, out, err = run(lone, album, album / "missing.jpg", "-k", "2", "-t", "1")
    assert status == 1
    assert [TEXT_LINE.fullmatch(line)["path"] for line in out] == [
        str(album / "a good one.jpg"),
        str(album / "sub" / "c.png"),
    ]
    # Neither class has all that both have, so all is unknown; the two best are listed all the same.
    assert all(re.search(r": unknown \(\S+ \d\.\d{3}, \S+ \d\.\d{3}\)  ", line) for line in out)
    assert [line.split(": ")[1] for line in err] == [
        str(album / n) for n in ("b.jpg", "missing.jpg")
    ]


def test_odd_files_are_answered_without_remarks(lone, tmp_path, landscape):
    # Pillow warns of both: a palette with transparency, and EXIF that is cut off.
    small = Image.fromarray(landscape).reduce(4)
    small.convert("P").save(tmp_path / "palette.png", transparency=bytes(range(256)))
    tag = b"\x00\x01" + b"\x01\x0e\x00\x02" + b"\x00\x00\x00\xff" + b"\x00\x00\x01\x00"
    exif = b"Exif\x00\x00" + b"MM\x00*\x00\x00\x00\x08" + tag  # 255 letters, where there are none
    small.save(tmp_path / "exif.jpg", exif=exif)
    status, out, err = run(lone, tmp_path)
    assert (status, len(out), err) == (0, 2, [])


def test_file_names_in_no_encoding_come_back_as_they_were(lone, tmp_path, photo):
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    os.rename(photo, name)  # noqa: PTH104 - pathlib takes no bytes
    status, out, err = run(lone, "--json", tmp_path)
    assert (status, err) == (0, [])
    assert os.fsencode(json.loads(out[0])["path"]) == name
    status, out, err = run(lone, tmp_path)
    assert (status, len(out), err) == (0, 1, [])
    assert r"/caf\udce9.jpg: " in out[0]


ODD = "\x1b[2J\n\t\u202e\u2028\udce9.jpg"
SHOWN = r"\x1b[2J\n\t\u202e\u2028\udce9.jpg"
"""A name that would clear a terminal, break lines and turn letters round; and how it is shown."""


@pytest.mark.parametrize(
    "encoding",
    [
        "ascii",
        pytest.param("utf-8", marks=pytest.mark.slow),
        pytest.param("utf-16", marks=pytest.mark.slow),
    ],
)
def test_one_answer_stays_one_line_whatever_a_photo_is_called(lone, photo, encoding):
    photo.rename(photo.with_name(ODD))
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = {}
    for format_ in ("text", "json", "csv"):
        process = start(lone, "--format", format_, photo.parent, text=False, env=environment)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, b"")
        done[format_] = out.decode("utf-8" if format_ == "csv" else encoding).removesuffix("\n")
    assert TEXT_LINE.fullmatch(done["text"])["path"] == f"{photo.parent}/{SHOWN}"
    assert json.loads(done["json"])["path"] == f"{photo.parent}/{ODD}"
    _, row = csv.reader(io.StringIO(done["csv"], newline=""), strict=True)
    spelled = ODD.encode("utf-8", "backslashreplace").decode()  # CSV has no escapes
    assert row[0] == f"{photo.parent}/{spelled}"


def test_one_complaint_stays_one_line_whatever_a_photo_is_called(lone):
    status, out, err = run(lone, f"no-such-{ODD}")
    assert (status, out) == (1, [])
    assert err[0].startswith(f"error: no-such-{SHOWN}: unreadable (")
    assert (len(err), err[0].isprintable()) == (1, True)


def test_libraries_say_nothing_of_damaged_photos(lone, tmp_path, landscape):
    # libtiff has a line for every row that it cannot make out, written by native code.
    good = tmp_path / "good.tif"
    Image.fromarray(landscape).reduce(8).convert("1").save(good, compression="group4")
    content = good.read_bytes()
    (tmp_path / "bad.tif").write_bytes(content[:40] + b"\1" * 600 + content[640:])
    Image.fromarray(landscape).reduce(8).save(good, compression="tiff_lzw")
    content = good.read_bytes()
    (tmp_path / "worse.tif").write_bytes(content[:40] + b"\xff" * 600 + content[640:])
    # Pillow logs an error of its own for a TIFF that claims 68 samples a pixel.
    Image.fromarray(landscape).reduce(8).save(good)
    tag = struct.pack("<HHI", 277, 3, 1)
    samples = tag + struct.pack("<H", 3)
    assert samples in good.read_bytes()
    claimed = good.read_bytes().replace(samples, tag + struct.pack("<H", 68))
    (tmp_path / "worst.tif").write_bytes(claimed)
    for asked in ([tmp_path], ["--threads", "2", tmp_path]):
        _, out, err = run(lone, *asked)
        assert len(out) + len(err) == 4
        assert all(line.startswith("error: ") and "unreadable" in line for line in err)


# ---------------------------------------------------------------- failures


def test_models_that_cannot_be_used_are_one_line_each(lone, photo, tmp_path, model):
    broken, text = tmp_path / "broken.tflite", tmp_path / "text.tflite"
    broken.write_bytes(model.read_bytes()[:1_000_000])
    text.write_text("this is not a model")
    for path in (tmp_path / "missing.tflite", broken, text):
        status, out, err = run(lone, "-m", path, photo)
        assert (status, out, len(err)) == (1, [], 1)
        assert err[0].startswith(f"error: {path}: ")


@pytest.mark.parametrize("program", [["classify.py"], ["-m", "edgebee", "classify"]], ids=str)
def test_with_standard_error_closed_results_are_results(lone, album, program):
    if "edgebee" in program:
        pytest.importorskip("edgebee", reason="the runner is alone here")
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, *program, "--json", album]
    done = subprocess.run(command, cwd=lone, stdout=subprocess.PIPE, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in one for one in told] == [False, True, False]
    assert done.returncode == 1  # for the broken one


def test_a_folder_without_photos_is_a_failure(lone, tmp_path):
    status, out, err = run(lone, "--json", tmp_path)
    assert (status, out, err) == (1, [], [f"error: no photos in {tmp_path}"])


def test_wrong_usage_is_told_with_status_2(lone):
    status, out, err = run(lone)
    assert (status, out) == (2, [])
    assert err[0].startswith("usage: classify.py")


@pytest.mark.parametrize(
    "wrong",
    [
        ["-k", "0"],
        ["-k", "two"],
        ["--threads", "0"],
        ["--threads", "-1"],
        ["-t", "-0.1"],
        ["-t", "1.1"],
        ["-t", "nan"],
        ["--jsno"],
    ],
    ids=" ".join,
)
def test_wrong_options_end_before_any_model_is_loaded(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        classify.main(["-m", "missing.tflite", *wrong, "photo.jpg"], prog="edgebee classify")
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: edgebee classify")


# ---------------------------------------------------------------- how it ends


def test_a_reader_that_has_seen_enough_ends_it_quietly(lone, many):
    process = start(lone, many)
    assert TEXT_LINE.fullmatch(process.stdout.readline().rstrip())
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_a_reader_that_was_never_there_ends_it_quietly(lone, album):
    reading, writing = os.pipe()
    os.close(reading)
    for photos, told in ([album / "a good one.jpg"], 0), ([album / "b.jpg"], 1):
        status, _, err = run(lone, "--json", *photos, stdout=writing)
        assert (status, len(err)) == (0, told)  # what is wrong with b.jpg, and nothing else
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(lone, photo):
    with Path("/dev/full").open("w") as full:
        status, _, err = run(lone, photo, stdout=full)
    assert (status, err) == (1, ["error: standard output: No space left on device"])


def test_ctrl_c_ends_it_with_what_was_answered(lone, many):
    process = start(lone, "--json", many)
    lines = [process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    lines += rest.splitlines(keepends=True)
    assert all(line.endswith("}\n") and json.loads(line)["label"] for line in lines)
    assert len(lines) < 3000


RUNTIME = "litert" if importlib.util.find_spec("ai_edge_litert") else "tflite_runtime"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="sees what is loaded, on Linux")
@pytest.mark.parametrize("library", ["numpy", "PIL", RUNTIME])
def test_ctrl_c_ends_it_silently_while_it_imports(lone, many, library):
    process = start(lone, many)
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 30  # loading takes a second or two, more on a busy machine
    while library not in maps.read_text() and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


# ---------------------------------------------------------------- what it needs


UNIX_ONLY = """
import importlib, os, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios", "pty", "tty"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "readv", "mkfifo", "getuid", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
"""


def test_it_runs_without_what_windows_lacks(lone, photo):
    script = UNIX_ONLY + "import classify; sys.exit(classify.main(sys.argv[2:]))"
    status, out, err = run(lone, photo, photo, python=(sys.executable, "-c", script))
    assert (status, len(out), err) == (0, 2, [])


def test_the_station_loads_without_what_windows_lacks(lone, photo, tmp_path):
    pytest.importorskip("edgebee", reason="the runner is alone here")
    modules = ("options", "sources", "sinks", "annotation", "named_photos", "photo_store",
               "watch_store", "watching", "camera", "frame_source")  # fmt: skip
    script = (
        f"{UNIX_ONLY}\nfor name in {modules}:\n"
        "    importlib.import_module(f'edgebee.edge.station.{name}')\n"
        "from edgebee.commands.classify import command\n"
        "command.main(sys.argv[2:], prog_name='edgebee classify')"
    )
    sorted_ = tmp_path / "sorted"
    arguments = (photo, "--move-to", sorted_)
    status, out, err = run(lone, *arguments, python=(sys.executable, "-c", script))
    assert (status, len(out), err) == (0, 1, [])
    assert len(list(sorted_.rglob("*.jpg"))) == 1
    status, out, err = run(lone, "--camera", python=(sys.executable, "-c", script))
    assert (status, out, len(err)) == (1, [], 1)
    assert err[0].startswith("error: --camera needs Linux or macOS")


def test_the_file_imports_only_what_a_pi_has(runner):
    source = runner.read_text()
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module)
    foreign = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert foreign == {"numpy", "PIL"}


def test_an_answer_loads_neither_tensorflow_nor_the_rest_of_edgebee(lone, photo):
    script = (
        "import sys, classify\n"
        "assert classify.main(sys.argv[2:]) == 0\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    status, out, err = run(lone, photo, python=(sys.executable, "-c", script))
    assert (status, len(out)) == (0, 1)
    loaded = set(err[-1].split())
    assert {"numpy", "PIL"} < loaded
    assert not loaded & {"tensorflow", "keras", "matplotlib", "edgebee", "click"}


def test_without_a_runtime_the_remedy_is_one_line(lone, photo, tmp_path):
    # NumPy and Pillow of this environment and nothing else: no site-packages (-S).
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("numpy", "numpy.libs", "PIL", "pillow.libs"):
        for module in (np, Image):
            installed = Path(module.__file__).parents[1] / name
            if installed.exists() and not (packages / name).exists():
                (packages / name).symlink_to(installed)
    environment = {"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
    status, out, err = run(lone, photo, python=(sys.executable, "-S"), env=environment)
    assert (status, out, len(err)) == (1, [], 1)
    assert re.search(r"no TFLite runtime is installed \(.+\); pip install ai-edge-litert", err[0])


@pytest.mark.slow
def test_tflite_runtime_with_numpy_2_is_refused_before_it_crashes(lone, photo):
    python = os.environ.get("EDGEBEE_TEST_TFLITE_NUMPY2")
    if not python:
        pytest.skip("EDGEBEE_TEST_TFLITE_NUMPY2 names no python with tflite-runtime and NumPy 2")
    status, out, err = run(lone, photo, python=(python,))
    assert (status, out, len(err)) == (1, [], 1)
    assert "pip install 'numpy<2'" in err[0]


# ---------------------------------------------------------------- CSV


def test_csv_has_a_heading_and_a_row_for_every_photo_and_every_failure(lone, album, model):
    status, out, err = run(lone, "--format", "csv", album, album / "missing.jpg")
    assert (status, len(err)) == (1, 2)
    rows = list(csv.DictReader(out, strict=True))
    assert out[0] == f'{classify.CSV_HEADER},"score_ants","score_bees","score_neither"'
    assert [Path(row["path"]).name for row in rows] == [
        "a good one.jpg", "b.jpg", "c.png", "missing.jpg",
    ]  # fmt: skip
    classifier = classify.Classifier(model)
    for row in rows:
        if row["error"]:
            assert row["error"].startswith(row["path"])
            assert (row["label"], row["score"], row["score_ants"], row["decode_ms"]) == ("",) * 4
        else:
            assert row[f"score_{row['label']}"] == row["score"]
            scores = {label: float(row[f"score_{label}"]) for label in classifier.labels}
            assert scores == pytest.approx(classifier(row["path"]).scores, abs=1e-6)
            assert min(float(row["decode_ms"]), float(row["invoke_ms"])) > 0


def test_names_that_csv_has_to_quote_come_back_as_they_were(lone, photo, tmp_path):
    name = tmp_path / 'a "good", one\nwith a line break.jpg'
    photo.rename(name)
    process = start(lone, "--format", "csv", tmp_path)
    out, err = process.communicate(timeout=120)
    (row,) = csv.DictReader(io.StringIO(out), strict=True)
    assert (process.returncode, err, row["path"]) == (0, "", str(name))


def test_labels_are_written_in_real_letters_and_the_time_is_that_of_exif(
    lone, photo, foreign_model
):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 12:30:00", 0x9011: "+02:00"})
    with Image.open(photo) as image:
        image.save(photo, exif=exif)
    photo.with_name("labels.txt").write_text("蜂\n🐝 bee\n黄蜂\n", encoding="utf-8")
    model = shutil.copy(foreign_model, photo.parent)
    # As on Windows, whose pipes take the letters of one country.
    where = os.environ | {"PYTHONIOENCODING": "cp1252"}
    process = start(lone, "-m", model, "--format", "csv", photo, env=where, text=False)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (row,) = csv.DictReader(io.StringIO(out.decode()), strict=True)
    assert row["label"] in ("蜂", "🐝 bee", "黄蜂")
    assert {row["score_蜂"], row["score_🐝 bee"], row["score_黄蜂"]} > {row["score"]}
    assert row["taken"] == "2024-05-01T12:30:00+02:00"
    _, out, _ = run(lone, "--json", photo)
    assert json.loads(out[0])["taken"] == row["taken"]


@pytest.mark.parametrize(("format_", "listed"), [("text", 1), ("json", 3)])
def test_all_labels_are_listed_for_programs_and_the_best_for_people(
    lone, photo, model, format_, listed
):
    labels = classify.read_manifest(model)["labels"]
    _, out, _ = run(lone, "--format", format_, photo)
    assert sum(out[-1].count(label) > 0 for label in labels) == listed
    _, out, _ = run(lone, "--format", format_, "-k", "1", photo)
    assert sum(out[-1].count(label) > 0 for label in labels) == 1
