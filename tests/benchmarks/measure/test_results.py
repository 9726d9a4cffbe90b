"""`benchmark.json`: what is written is what is read."""

from __future__ import annotations

import json

import pytest

from edgebee.benchmarks.measure.results import FORMAT_VERSION, Results
from edgebee.benchmarks.measure.results_file import read_results, to_json, write_results
from edgebee.errors import BenchmarkError


def test_what_is_written_is_read(example, tmp_path):
    path = tmp_path / "benchmark.json"
    write_results(path, example)
    assert read_results(path) == example
    assert to_json(read_results(path)) == path.read_text()


def test_a_person_can_read_and_compare_it(example):
    lines = to_json(example).splitlines()
    assert lines[0] == "{"
    scores = [line for line in lines if line.strip().startswith("[0.")]
    assert len(scores) == len(example.data.photos) * len(example.variants)  # one photo a line
    # Only the samples of a round are longer than a line of text.
    assert all(len(line) <= 100 or '": [' in line for line in lines)


DAMAGE = {
    "no JSON": lambda text: b"this is no JSON",
    "cut short": lambda text: text[: len(text) // 2],
    "not UTF-8": lambda text: text.replace(b"model.keras", b"\xff\xfe"),
    "of before the versions": lambda text: b'{"machine": {}, "data": {}, "models": []}',
    "a list": lambda text: b"[]",
    "without a field": lambda text: text.replace(b'"reference"', b'"preference"', 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named(example, tmp_path, damage):
    path = tmp_path / "benchmark.json"
    path.write_bytes(DAMAGE[damage](to_json(example).encode()))
    with pytest.raises(BenchmarkError, match="edgebee benchmark") as caught:
        read_results(path)
    assert str(path) in str(caught.value)


def test_a_file_of_a_newer_edgebee_is_refused_in_a_line(example, tmp_path):
    newer = f'"format_version": {FORMAT_VERSION + 1}'
    text = to_json(example).replace(f'"format_version": {FORMAT_VERSION}', newer)
    path = tmp_path / "benchmark.json"
    # It may have anything else in it.
    path.write_text(text.replace('"reference"', '"preference"', 1))
    with pytest.raises(BenchmarkError, match=r"newer edgebee .* pip install --upgrade") as caught:
        read_results(path)
    assert str(caught.value).startswith(str(path))


def test_repr_names_the_photos_and_what_was_correct(example):
    assert repr(example) == "<Results insects: model.keras 39/40, model_int8.tflite 38/40>"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match=r"nothing\.json: cannot be read"):
        read_results(tmp_path / "nothing.json")


def test_fields_that_are_added_later_do_not_hinder_reading(example, tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(json.loads(to_json(example)) | {"added_later": 1}))
    assert read_results(path) == example


def test_a_variant_is_found_by_name(example):
    assert isinstance(example, Results)
    assert example.variant("model_int8.tflite").format == "int8"
    with pytest.raises(KeyError):
        example.variant("model_int4.tflite")
