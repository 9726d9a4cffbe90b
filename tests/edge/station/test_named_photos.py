"""What people name: files, folders, patterns, standard input; and what they see while they wait."""

import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("edgebee", reason="needs edgebee installed")
from edgebee.edge.station.named_photos import named_photos

MODEL = str(Path(__file__).parents[3] / "edge" / "models" / "hymenoptera_int8.tflite")


@pytest.fixture
def album(tmp_path, photo):
    """Photos in two folders, and what is none."""
    folder = tmp_path / "album"
    for name in ("a.jpg", "b[1].jpg", "sub/c.jpg", "sub/deep/d.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, folder / name)
    (folder / "notes.txt").write_text("no photo")
    return folder


def named(album, *names):
    photos = named_photos(str(album / name) for name in names)
    return [str(photo.relative_to(album)) for photo in photos]


@pytest.mark.parametrize(
    ("name", "photos"),
    [
        ("a.jpg", ["a.jpg"]),
        ("", ["a.jpg", "b[1].jpg", "sub/c.jpg", "sub/deep/d.jpg"]),
        ("*.jpg", ["a.jpg", "b[1].jpg"]),
        ("?.jpg", ["a.jpg"]),
        ("[ab]*.jpg", ["a.jpg", "b[1].jpg"]),
        ("b[1].jpg", ["b[1].jpg"]),  # what is called so is no pattern
        ("s*", ["sub/c.jpg", "sub/deep/d.jpg"]),  # folders are walked, as if a shell named them
        ("**/*.jpg", ["a.jpg", "b[1].jpg", "sub/c.jpg", "sub/deep/d.jpg"]),
        ("sub/**", ["sub/c.jpg", "sub/deep/d.jpg"]),  # each once
        ("nothing*.jpg", ["nothing*.jpg"]),  # to be complained of by its name
    ],
)
def test_a_name_stands_for(album, name, photos):
    assert named(album, name) == photos


def test_names_keep_their_order(album):
    assert named(album, "sub", "a.jpg") == ["sub/c.jpg", "sub/deep/d.jpg", "a.jpg"]


# ---------------------------------------------------------------- the command line


def start(*arguments, **streams):
    command = [sys.executable, "-m", "edgebee", "classify", "-m", MODEL, *map(str, arguments)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, **(pipes | streams))


def run(*arguments, given=b""):
    """Exit status, lines of standard output, lines of standard error."""
    process = start(*arguments)
    out, err = process.communicate(given, timeout=120)
    return process.returncode, out.decode().splitlines(), err.decode().splitlines()


def test_a_photo_on_standard_input(landscape):
    file = io.BytesIO()
    Image.fromarray(landscape).reduce(8).save(file, "JPEG")
    status, out, err = run("--json", "-", given=file.getvalue())
    assert (status, err) == (0, [])
    (line,) = out
    assert json.loads(line)["path"] == "-"


@pytest.mark.parametrize("given", [b"", b"photo.jpg\n"])
def test_standard_input_without_a_photo_is_a_failure(given):
    status, _, err = run("--json", "-", given=given)
    assert (status, len(err)) == (1, 1)


@pytest.mark.parametrize("first", ["", "import os; os.open(photo, os.O_RDONLY); "])
def test_standard_input_that_is_closed_is_one_line(album, first):
    """Also when a library opened a photo since, which then has the descriptor."""
    code = f"import sys; photo = sys.argv.pop(); {first}from edgebee.__main__ import main; main()"
    command = [sys.executable, "-c", code, "classify", "-m", MODEL, "-", album / "a.jpg"]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: -: unreadable (it is closed); give it a photo\n"


@pytest.mark.parametrize(
    "megapixels",
    [30, pytest.param(200, marks=pytest.mark.slow)],  # Pillow allows 178
)
def test_the_limit_of_pixels_can_be_raised(tmp_path, megapixels):
    picture = tmp_path / "wide.png"
    Image.new("1", (10_000, 100 * megapixels)).save(picture)
    status, out, err = run(picture)
    assert (status, out, len(err)) == (1, [], 1)
    assert "30 megapixels" in err[0] or "200000000 pixels" in err[0]  # Pillow's own limit
    assert "--max-megapixels" in err[0]
    assert run("--max-megapixels", megapixels - 1, picture)[0] == 1
    status, out, err = run("--max-megapixels", megapixels + 1, picture)
    assert (status, len(out), err) == (0, 1, [])


def test_heic_is_read_where_the_plug_in_is_installed(tmp_path, landscape):
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
    pillow_heif.register_heif_opener()  # which the runner does itself
    image = Image.fromarray(landscape).reduce(4)
    exif = Image.Exif()
    exif[0x0112] = 6  # HEIC turns by a box of its own; EXIF must not turn it again
    image.save(tmp_path / "photo.heic", quality=95, exif=exif)
    status, out, err = run("--json", tmp_path)
    assert (status, err) == (0, [])
    assert json.loads(out[0])["path"].endswith("photo.heic")
    from edgebee.edge.classify import read_photo

    gap = np.abs(read_photo(tmp_path / "photo.heic").astype(int) - read_photo(image).astype(int))
    assert gap.mean() < 25  # the compression costs 14 of such detail; a turn costs 60


# ---------------------------------------------------------------- the bar


def on_a_terminal(*arguments, stdout):
    """What is written to the terminal that standard error is."""
    ours, theirs = pty.openpty()
    with start(*arguments, stdin=subprocess.DEVNULL, stdout=stdout or theirs, stderr=theirs) as it:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the terminal is closed
                break
            if not part:
                break
            seen += part
        if it.stdout:
            it.stdout.read()
    os.close(ours)
    return seen.decode()


def test_photos_are_counted_where_answers_go_elsewhere(album, tmp_path):
    (album / "e.jpg").write_text("no photo")
    with (tmp_path / "answers.txt").open("w") as answers:
        seen = on_a_terminal(album, stdout=answers)
    assert "4 of 5 photos\r" in seen
    assert "photos\rerror: " in seen  # on a line of its own
    assert seen.endswith(f"\r{' ' * len('5 of 5 photos')}\r")
    assert len((tmp_path / "answers.txt").read_text().splitlines()) == 4


def test_no_bar_between_answers_that_are_seen_themselves(album):
    seen = on_a_terminal(album, stdout=None)
    assert " of 5" not in seen
    assert seen.count(" ms") == 4
