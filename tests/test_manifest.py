"""`edgebee.json`: one typed reader and writer, which refuse what they would misunderstand."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("edgebee", reason="the lone runner reads the few fields that it needs itself")
from edgebee.manifest import (
    SCHEMA_VERSION,
    GoldenSample,
    GoldenSamples,
    Manifest,
    ManifestError,
    Network,
    RuntimeNeeds,
    ScoreSettings,
    read_manifest,
    write_manifest,
)

MANIFEST = Manifest(
    labels=("ants", "bées"),
    scores=ScoreSettings(0.68, None),
    golden=GoldenSamples(0.1, (GoldenSample("golden/0.png", {"builtin": (0.25, 0.75)}),)),
    runtime=RuntimeNeeds("1.14.0", (("CONV_2D", 3), ("SOFTMAX", 2))),
    network=Network(12, "ab"),
)


def test_what_is_written_is_read_again():
    assert read_manifest(write_manifest(MANIFEST)) == MANIFEST


def test_it_is_compact_json_with_the_schema_version_first():
    content = write_manifest(MANIFEST)
    assert content.startswith(b'{"format_version":1,"labels":["ants","b\xc3\xa9es"],')
    assert json.loads(content)["runtime"]["operators"] == [["CONV_2D", 3], ["SOFTMAX", 2]]


def test_a_newer_one_is_refused_with_the_way_out():
    content = json.dumps({"format_version": SCHEMA_VERSION + 1}).encode()
    with pytest.raises(ManifestError, match=r"format version 2.* update edgebee"):
        read_manifest(content)


def test_keys_of_nobody_are_ignored():
    assert read_manifest(b'{"later": [1], "scores": null}') == Manifest()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "is no dict"),
        (b'{"labels": "ants"}', "'ants' is no list"),
        (b'{"labels": ["ants", 7]}', "'7' is no str"),
        (b'{"scores": {"temperature": 1}}', "threshold"),
        (b'{"scores": {"temperature": NaN, "threshold": null}}', "'nan' is no float"),
        (b'{"scores": {"temperature": true, "threshold": null}}', "'True' is no float"),
        (b'{"scores": {"temperature": 1%s, "threshold": null}}' % (b"0" * 400), "too large"),
        (b'{"network": {"bytes": 1.5, "sha256": ""}}', "'1.5' is no int"),
        (b'{"network": [1]}', "is no dict"),
        (b'{"runtime": {"min_version": null, "operators": [["ADD"]]}}', "shorter"),
        (b'{"golden": {"tolerance": 1, "samples": [{"file": "a", "scores": {"x": [null]}}]}}',
         "'None' is no float"),
    ],
)  # fmt: skip
def test_damage_is_named(content, what):
    with pytest.raises(ManifestError, match=what):
        read_manifest(content)


def test_whole_numbers_are_numbers():
    read = read_manifest(b'{"scores": {"temperature": 3, "threshold": null}}')
    assert read.scores is not None
    assert isinstance(read.scores.temperature, float)
