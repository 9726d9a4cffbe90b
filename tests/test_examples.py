"""The programs in `examples/` run as their first lines say."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgebee.edge.classify import Classifier

EXAMPLES = Path(__file__).parents[1] / "examples"
SHIPPED_MODEL = Path(__file__).parents[1] / "edge" / "models" / "hymenoptera_int8.tflite"


def run(name, *arguments, cwd):
    command = [sys.executable, EXAMPLES / f"{name}.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def photos(tmp_path):
    """Three pictures, no two alike, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(
            folder / f"{number}.png"
        )
    (folder / "broken.jpg").write_text("no picture")
    return folder


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_fits_on_a_screen_and_says_how_it_is_run(example):
    text = example.read_text("utf-8")
    assert f"python examples/{example.name} " in text.split('"""')[1]
    assert len(text.splitlines()) <= 50
    assert f"examples/{example.name}" in (EXAMPLES.parent / "docs" / "examples.md").read_text()


@pytest.mark.slow
def test_train_on_a_folder(tensorflow_started, tmp_path):
    import edgebee

    drawn = edgebee.load_dataset("sample").train
    for label in ("ants", "bees"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        of_label = [path for path in drawn.paths if path.parent.name == label]
        for path in of_label[:15]:  # a few of them: this is about the program
            shutil.copy(path, tmp_path / "photos" / label)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "train_on_a_folder.py", "photos", "artifacts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " of 6 validation photos correct" in done.stdout
    assert done.stdout.splitlines()[-1].endswith((": ants", ": bees", ": unknown"))
    assert (tmp_path / "artifacts" / "model_int8.tflite").is_file()


def test_read_a_model(tmp_path):
    lines = dict(line.split(": ", 1) for line in run("read_a_model", SHIPPED_MODEL, cwd=tmp_path))
    assert lines["input"].startswith("uint8 [1, 224, 224, 3]")
    assert lines["labels"] == "ants, bees, neither"
    assert "CONV_2D" in lines["operators"]
    assert "of 153 validation photos correct" in lines["verified"]


def test_classify_photo(photos):
    first, *scores = run("classify_photo", photos / "0.png", cwd=photos)
    assert first.split(":")[0] == Classifier(SHIPPED_MODEL)(photos / "0.png").label
    assert sorted(line.split()[0] for line in scores) == ["ants", "bees", "neither"]


def test_folder_to_csv(photos, tmp_path):
    run("folder_to_csv", photos, "results.csv", cwd=tmp_path)
    rows = list(csv.DictReader((tmp_path / "results.csv").open(encoding="utf-8")))
    assert [Path(row["photo"]).name for row in rows] == ["0.png", "1.png", "2.png", "broken.jpg"]
    for row in rows[:3]:
        # Scores of 8 bits, written with four digits.
        total = sum(float(row[label]) for label in ("ants", "bees", "neither"))
        assert total == pytest.approx(1, abs=0.01)
    assert "not a picture" in rows[3]["error"]


def test_live_camera(photos, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="reads a film with OpenCV")
    film = cv2.VideoWriter(
        str(tmp_path / "film.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240)
    )
    frame = cv2.imread(str(photos / "0.png"))
    for _ in range(20):
        film.write(frame)
    film.release()
    (line,) = run("live_camera", tmp_path / "film.avi", cwd=tmp_path)  # the label never changes
    assert line.startswith("0.000  ")


def test_check_preprocessing(photos):
    pixels, scores = run("check_preprocessing", photos / "0.png", cwd=photos)
    # The same filter on the same crop: only rounding is left.
    assert float(pixels.split(": ")[1].split()[0]) < 1
    assert float(scores.split(": ")[1]) < 0.1
