"""The study of the runner's speed: that it compares what it says, not how fast this machine is."""

import pytest
from PIL import Image

from edgebee.benchmarks.studies import runner_speed
from edgebee.benchmarks.studies.speed_command import WANTED
from edgebee.edge.classify import PhotoError, find_model
from edgebee.errors import BenchmarkError


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return runner_speed.camera_photo(tmp_path_factory.mktemp("camera") / "photo.jpg", 640, 480)


def test_the_photo_is_as_a_camera_makes_it(tmp_path):
    path = runner_speed.camera_photo(tmp_path / "large.jpg", 4000, 3000)
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (4000, 3000), "RGB")
    assert 2e6 < path.stat().st_size < 8e6  # bytes; fewer would decode too easily


def test_ways_are_interleaved_and_the_first_time_does_not_count():
    done = []
    medians = runner_speed.time_interleaved(
        3, lambda: done.append("a"), lambda: done.append("b") or float(done.count("b"))
    )
    assert done == ["a", "b"] * 4
    assert medians[1] == 3000  # of 2, 3 and 4 seconds, as milliseconds


def test_comparisons_are_those_that_are_asked_for(photo):
    model = find_model()
    found = [
        *runner_speed.compare_photo("VGA", photo, model, model, 3),
        *runner_speed.compare_cold_start(photo, model, 1),
        runner_speed.compare_folder([photo] * 4, model, 1),
    ]
    assert {(one.name, one.other) for one in found} - {("VGA", "usual way")} <= set(WANTED)
    for one in found:
        assert one.ours_ms > 0
        assert one.ratio == one.ours_ms / one.other_ms


def test_memory_is_that_of_the_runner_alone(photo):
    memory = runner_speed.measure_memory(photo, find_model(), 20)
    assert memory.predictions == 20
    assert 3 <= memory.late_files <= memory.early_files
    # NumPy, Pillow, a runtime and a model: more than nothing, less than this process with pytest.
    assert 20 < memory.late_mb <= memory.peak_mb < 200


def test_what_fails_is_told_and_not_timed(tmp_path, photo):
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photo")
    model = find_model()
    with pytest.raises(PhotoError):
        runner_speed.compare_photo("broken", broken, model, None, 1)
    with pytest.raises(PhotoError):
        runner_speed.compare_folder([photo, broken], model, 1)
    with pytest.raises(BenchmarkError, match="unreadable"):
        runner_speed.compare_cold_start(broken, model, 1)
