"""Measuring one model: what is counted, what is timed, what is left out."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from edgebee.benchmarks.measurement import WARM_UP_INVOKES, Contender, Latency, measure
from edgebee.errors import BenchmarkError

SIZE = (12, 16)


@pytest.fixture
def photos(tmp_path):
    """Two dark photos (class 0), three light ones (class 1)."""
    paths = []
    for number, value in enumerate((10, 40, 200, 220, 250)):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (40, 30), (value,) * 3).save(paths[-1])
    return paths, [0, 0, 1, 1, 1]


def contender(tmp_path, limit=128, seen=None, seconds=0.0):
    """A model that calls every photo with a mean above `limit` light."""

    def score(pixels):
        if seen is not None:
            seen.append(pixels)
        time.sleep(seconds)
        light = float(pixels.mean() > limit)
        return np.array([1 - light, light], np.float32)

    path = tmp_path / "model_float32.tflite"
    path.write_bytes(bytes(1234))
    return Contender("model_float32", "float32", path, SIZE, ("dark", "light"), score)


def test_right_answers_are_counted(photos, tmp_path):
    paths, classes = photos
    measurement = measure(contender(tmp_path, limit=230), paths, classes)
    assert measurement.answers.tolist() == [0, 0, 0, 0, 1]
    assert (measurement.correct, measurement.total) == (3, 5)
    assert measurement.size_bytes == 1234


def test_photos_come_as_the_runner_reads_them_after_a_warm_up(photos, tmp_path):
    seen = []
    measure(contender(tmp_path, seen=seen), *photos)
    assert len(seen) == WARM_UP_INVOKES + 5
    assert {(pixels.shape, pixels.dtype.name) for pixels in seen} == {((*SIZE, 3), "uint8")}
    assert [int(pixels[0, 0, 0]) for pixels in seen[WARM_UP_INVOKES:]] == [10, 40, 200, 220, 250]


def test_invoking_is_timed_apart_from_decoding(photos, tmp_path):
    slow = measure(contender(tmp_path, seconds=0.05), *photos)
    assert 50 <= slow.invoke.p50 < 500  # milliseconds; a sleep never ends early
    # A 40x30 PNG is read within a millisecond; the rest is for a busy machine.
    assert 0 < slow.decode.p50 < 40


def test_agreement_is_the_share_of_equal_answers(photos, tmp_path):
    one, other = (measure(contender(tmp_path, limit=limit), *photos) for limit in (128, 210))
    assert one.agreement(one) == 1.0
    assert one.agreement(other) == other.agreement(one) == 0.8


def test_a_damaged_photo_is_told_and_not_counted(photos, tmp_path):
    paths, classes = photos
    paths[1].write_bytes(paths[1].read_bytes()[:40])
    told, steps = [], []
    measurement = measure(
        contender(tmp_path), paths, classes, skipped=told.append, progress=lambda: steps.append(1)
    )
    assert (measurement.correct, measurement.total) == (4, 4)
    assert len(told) == 1
    assert str(paths[1]) in told[0]
    assert len(steps) == 5  # the bar comes to its end


def test_without_a_readable_photo_there_is_no_result(photos, tmp_path):
    paths, classes = photos
    for path in paths:
        path.write_text("no photo")
    with pytest.raises(BenchmarkError, match="--data"):
        measure(contender(tmp_path), paths, classes)


@pytest.mark.parametrize(
    ("milliseconds", "p50", "p95"),
    [([3.0], 3.0, 3.0), ([1.0, 2.0, 9.0], 2.0, 8.3), (list(range(1, 101)), 50.5, 95.05)],
)
def test_median_and_95th_percentile(milliseconds, p50, p95):
    latency = Latency.of(milliseconds)
    assert (latency.p50, latency.p95) == pytest.approx((p50, p95))
