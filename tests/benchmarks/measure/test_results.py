"""`benchmark.json`: everything that was measured, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from edgebee.benchmarks.measure.results import Results


def test_what_is_written_is_whole(example, tmp_path):
    example.write(tmp_path / "benchmark.json")
    assert msgspec.json.decode((tmp_path / "benchmark.json").read_bytes(), type=Results) == example


def test_repr_names_the_photos_and_what_was_correct(example):
    assert repr(example) == "<Results insects: model.keras 39/40, model_int8.tflite 38/40>"


def test_a_variant_is_found_by_name(example):
    assert example.variant("model_int8.tflite").format == "int8"
    with pytest.raises(KeyError):
        example.variant("model_int4.tflite")
