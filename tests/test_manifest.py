"""`edgebee.json`: one typed reader and writer, which refuse what they would misunderstand."""

from __future__ import annotations

import json
from dataclasses import dataclass

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
from edgebee.typed_json import RecordError, decode

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
    ("content", "where"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "it is not an object"),
        (b'{"labels": "ants"}', "labels is not a list"),
        (b'{"labels": ["ants", 7]}', r"labels\[1\] is not a string"),
        (b'{"scores": {"temperature": 1}}', "scores.threshold is missing"),
        (b'{"scores": {"temperature": NaN, "threshold": null}}', "temperature is not a finite"),
        (b'{"scores": {"temperature": true, "threshold": null}}', "temperature is not a finite"),
        (b'{"network": {"bytes": 1.5, "sha256": ""}}', "network.bytes is not a whole number"),
        (b'{"network": [1]}', "network is not an object"),
        (b'{"runtime": {"min_version": null, "operators": [["ADD"]]}}', "has 1 values, not 2"),
        (b'{"golden": {"tolerance": 1, "samples": [{"file": "a", "scores": {"x": [null]}}]}}',
         r"samples\[0\]\.scores\.x\[0\] is not a finite number"),
    ],
)  # fmt: skip
def test_damage_is_named_with_its_place(content, where):
    with pytest.raises(ManifestError, match=where):
        read_manifest(content)


@dataclass(frozen=True)
class Record:
    """One field of each kind."""

    number: float
    texts: tuple[str, ...] = ()


def test_whole_numbers_are_numbers():
    assert decode(Record, {"number": 3}) == Record(3.0)
    assert isinstance(decode(Record, {"number": 3}).number, float)
    with pytest.raises(RecordError, match=r"a place\.number is not a finite number"):
        decode(Record, {"number": 10**400}, "a place")
