"""`edgebee classify` on named photos: sorted, moved to label folders, annotated."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("edgebee.edge.station.sources", reason="needs edgebee")


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "edgebee", "classify", "-m", MODEL, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


MODEL = str(Path(__file__).parents[3] / "edge" / "models" / "hymenoptera_int8.tflite")


@pytest.fixture
def album(tmp_path, landscape, golden_pictures, class_picture):
    """Four photos of classes and neither, two of them of one name, and a broken one."""
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(landscape).reduce(4).save(folder / "a.jpg")
    golden_pictures[0].save(folder / "b.png")
    class_picture.save(folder / "c.jpg")
    golden_pictures[2].save(folder / "sub" / "a.jpg")
    (folder / "broken.jpg").write_text("no picture")
    return folder


def files(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def test_sort_prints_by_label_and_the_best_scores_first(album):
    status, out, _ = run(album, "--sort", "--json")
    assert status == 1  # one is broken
    results = [json.loads(line) for line in out]
    assert "broken.jpg" in results.pop()["path"]
    keys = [(result["label"], -result["score"]) for result in results]
    assert len(keys) == 4
    assert keys == sorted(keys)
    assert len({label for label, _ in keys}) > 1
    assert len(set(keys)) > 2


def test_photos_move_to_the_folder_of_their_label(album, tmp_path):
    was = {path.read_bytes() for path in album.rglob("*.*") if path.name != "broken.jpg"}
    status, out, _ = run(album, "--move-to", tmp_path / "sorted", "--json")
    assert status == 1
    results = {one["path"]: one.get("label") for one in map(json.loads, out)}
    moved = [path for path in (tmp_path / "sorted").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in moved} == was
    assert sorted(path.parent.name for path in moved) == sorted(filter(None, results.values()))
    assert {path.stem for path in moved} <= {"a", "a-2", "b", "c"}
    assert files(album) == ["broken.jpg"]


@pytest.mark.parametrize("absolute", [False, True])
def test_links_to_photos_that_are_moved_too_lead_to_them_afterwards(album, tmp_path, absolute):
    target = album / "c.jpg"
    (album / "0 to c.jpg").symlink_to(target if absolute else "c.jpg")
    (album / "z to a link.jpg").symlink_to("0 to c.jpg")
    run(album, "--move-to", tmp_path / "sorted", "--json")
    links = [path for path in (tmp_path / "sorted").rglob("*") if path.is_symlink()]
    assert sorted(link.name for link in links) == ["0 to c.jpg", "z to a link.jpg"]
    for link in links:
        assert link.resolve() == link.parent / "c.jpg"
    assert files(album) == ["broken.jpg"]


def test_moved_photos_are_not_classified_again(album):
    sorted_ = album / "sorted"  # within the very folder that is classified
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


def test_photos_with_the_prediction_drawn_on(album, tmp_path):
    drawn = tmp_path / "drawn"
    status, _, err = run(album, "--annotate", drawn)
    assert status == 1
    assert len(err) == 1
    assert files(drawn) == ["a-2.jpg", "a.jpg", "b.png.jpg", "c.jpg"]
    with Image.open(album / "a.jpg") as before, Image.open(drawn / "a.jpg") as after:
        assert after.size == before.size
    assert len(files(album)) == 5


def test_annotating_never_costs_a_prediction(tmp_path):
    photo = tmp_path / "phone.jpg"
    Image.new("L", (12_000, 9_000), 90).save(photo, quality=30)  # 108 megapixels
    status, out, err = run(photo, "--annotate", tmp_path / "drawn")
    assert (status, len(out), err) == (0, 1, [])
    with Image.open(tmp_path / "drawn" / "phone.jpg") as drawn:
        assert drawn.width / drawn.height == 12 / 9


def test_a_place_that_cannot_be_written_is_one_clear_line(album, tmp_path):
    (tmp_path / "file").touch()
    status, out, (line,) = run(album / "c.jpg", "--move-to", tmp_path / "file")
    assert (status, len(out)) == (1, 1)
    assert line.startswith(f"error: {tmp_path}/file/")
    assert "could not be written (Not a directory; " in line
    assert (album / "c.jpg").exists()


def test_without_an_option_of_its_own_it_is_the_lone_runner(album, runner):
    arguments = [album / "a.jpg", "-m", MODEL, "--json", "-k", "1"]
    ours = run(*arguments)
    command = [sys.executable, runner, *arguments]
    theirs = subprocess.run(command, capture_output=True, text=True, check=False)
    results = [json.loads(text) for text in (ours[1][0], theirs.stdout)]
    for result in results:
        del result["ms"]
    assert results[0] == results[1]
