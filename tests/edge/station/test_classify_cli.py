"""The options that `edgebee classify` adds to the lone runner's, and what they do to photos."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

field = pytest.importorskip("edgebee.edge.station.classify_cli", reason="needs edgebee")
from edgebee.edge import classify  # noqa: E402

ADDED = {
    "--camera", "--every", "--frame-size", "--save-dir", "--watch", "--state", "--count",
    "--sort", "--move-to", "--annotate",
}  # fmt: skip


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "edgebee", "classify", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.fixture
def album(tmp_path, landscape):
    """Four photos, two of them of one name, and a broken one."""
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    image = Image.fromarray(landscape).reduce(4)
    image.save(folder / "a.jpg")
    image.rotate(90, expand=True).save(folder / "b.png")
    Image.new("RGB", (64, 64), "gold").save(folder / "c.jpg")
    image.rotate(180).save(folder / "sub" / "a.jpg")
    (folder / "broken.jpg").write_text("no picture")
    return folder


def files(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def test_the_help_shows_all_options():
    status, out, err = run("--help")
    assert (status, err) == (0, [])
    text = "\n".join(out)
    lone = {
        option
        for action in classify.make_parser("x")._actions
        for option in action.option_strings
    }  # fmt: skip
    assert all(option in text for option in lone | ADDED)
    assert not lone & ADDED


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "one of photos, --camera, --watch, --selftest is needed, not none"),
        (["x.jpg", "--watch", "d"], "is needed, not photos and --watch"),
        (["--selftest", "--camera"], "is needed, not --camera and --selftest"),
        (["x.jpg", "--every", "1"], "--every goes with --camera"),
        (["x.jpg", "--count", "1"], "--count goes with --camera or --watch"),
        (["--watch", "d", "--save-dir", "e"], "--save-dir goes with --camera"),
        (["--camera", "--move-to", "d"], "--move-to goes with photos or --watch"),
        (["--watch", "d", "--sort"], "--sort goes with photos"),
        (["--camera", "--state", "f"], "--state goes with --watch"),
        (["--selftest", "--annotate", "d"], "--annotate goes with photos or --watch or --camera"),
        (["--camera", "--every", "-1"], "--every must be 0 or more"),
        (["--camera", "--count", "0"], "--count and --max-megapixels 1 or more"),
        (["--camera", "--frame-size", "big"], "'big' is not like 1280x960"),
        (["x.jpg", "-t", "7"], "--threshold"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        field.main(arguments, prog="edgebee classify")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: edgebee classify")
    assert complaint in said


def test_sort_tells_by_label_and_the_surest_first(album):
    status, out, _ = run(album, "--sort", "--json")
    assert status == 1  # one is broken
    answers = [json.loads(line) for line in out]
    assert "broken.jpg" in answers.pop()["path"]
    keys = [(answer["label"], -answer["score"]) for answer in answers]
    assert len(keys) == 4
    assert keys == sorted(keys)


def test_photos_move_to_the_folder_of_their_label(album, tmp_path):
    was = {path.read_bytes() for path in album.rglob("*.*") if path.name != "broken.jpg"}
    status, out, _ = run(album, "--move-to", tmp_path / "sorted", "--json")
    assert status == 1
    answers = {one["path"]: one.get("label") for one in map(json.loads, out)}
    moved = [path for path in (tmp_path / "sorted").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in moved} == was
    assert sorted(path.parent.name for path in moved) == sorted(filter(None, answers.values()))
    assert {path.stem for path in moved} <= {"a", "a-2", "b", "c"}
    assert files(album) == ["broken.jpg"]


def test_moved_photos_are_not_answered_again(album):
    sorted_ = album / "sorted"  # within the very folder that is answered
    run(album, "--move-to", sorted_)
    before = files(album)
    status, out, err = run(album, "--move-to", sorted_, "--json")
    assert [Path(json.loads(line)["path"]).name for line in out] == ["broken.jpg"]
    assert files(album) == before
    # Named itself, it is looked into, and all stays where it belongs.
    status, out, err = run(sorted_, "--move-to", sorted_)
    assert (status, len(out), err) == (0, 4, [])
    assert files(album) == before


def test_unsure_photos_go_to_unknown(album, tmp_path):
    run(album / "c.jpg", "--move-to", tmp_path / "sorted", "--threshold", "1")
    assert files(tmp_path / "sorted") == ["unknown/c.jpg"]


def test_pictures_with_the_answer_drawn_on(album, tmp_path):
    drawn = tmp_path / "drawn"
    status, _, err = run(album, "--annotate", drawn)
    assert status == 1
    assert len(err) == 1
    assert files(drawn) == ["a-2.jpg", "a.jpg", "b.png.jpg", "c.jpg"]
    with Image.open(album / "a.jpg") as before, Image.open(drawn / "a.jpg") as after:
        assert after.size == before.size
    assert len(files(album)) == 5


def test_a_place_that_cannot_be_written_is_one_clear_line(album, tmp_path):
    (tmp_path / "file").touch()
    status, out, (line,) = run(album / "c.jpg", "--move-to", tmp_path / "file")
    assert (status, len(out)) == (1, 1)
    assert line.startswith(f"error: {tmp_path}/file/")
    assert "could not be written (Not a directory; " in line
    assert (album / "c.jpg").exists()


def test_without_an_option_of_the_field_it_is_the_lone_runner(album, runner):
    ours = run(album / "a.jpg", "--json", "-k", "1")
    command = [sys.executable, runner, album / "a.jpg", "--json", "-k", "1"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = [json.loads(text) for text in (ours[1][0], theirs.stdout)]
    for answer in answers:
        del answer["ms"]
    assert answers[0] == answers[1]
