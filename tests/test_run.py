"""The record of a training: written once, read by everything, newer ones refused."""

from __future__ import annotations

import json

import pytest

from edgebee.errors import DataError
from edgebee.run import (
    CalibrationRecord,
    DataRecord,
    Epoch,
    NeitherRecord,
    RejectionRecord,
    TrainingRecord,
    ValidationRecord,
    encode_training_record,
    load_training_photos,
    read_training_record,
    tflite_name,
)

pytest.importorskip("msgspec", reason="needs edgebee[train]")

RECORD = TrainingRecord(
    epochs=(Epoch(1, "feature_extraction", 0.5, 0.8, 0.4, 0.9, 1.25),),
    validation=ValidationRecord(9, 10, ((5, 0), (1, 4)), CalibrationRecord(0.8, 0.6, 0.1, 0.05)),
    labels=("ants", "bees", "neither"),
    neither=NeitherRecord(
        211,
        40,
        60,
        15.7,
        -6.3,
        4,
        0.993,
        (RejectionRecord("blank frames", 40, 0.998, 0.0, 0.025, (0.004, 0.129)),),
    ),
    data=DataRecord("/photos", 0.25, 3, ("*.gif",), "photos", left_out={"ants/1.jpg": "cut off"}),
    recipe={"epochs": 10, "weights": "field"},
    seconds={"extract": 12.5},
    versions={"keras": "3.15.0"},
)


def write(folder, content: object) -> None:
    (folder / "history.json").write_text(json.dumps(content), encoding="utf-8")


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "history.json").write_bytes(encode_training_record(RECORD))
    read = read_training_record(tmp_path)
    assert read is not None
    assert read.schema_version == 1
    assert encode_training_record(read) == encode_training_record(RECORD)
    assert read.data == RECORD.data
    assert read.neither == RECORD.neither


def test_without_a_file_there_is_no_record(tmp_path):
    assert read_training_record(tmp_path) is None


def test_files_from_before_they_had_a_version_are_read(tmp_path):
    content = json.loads(encode_training_record(RECORD))
    del content["schema_version"]
    content["data"]["unknown_field"] = 1
    write(tmp_path, content)
    read = read_training_record(tmp_path)
    assert read is not None
    assert read.schema_version == 0
    assert read.validation == RECORD.validation


def test_a_newer_file_is_refused_whether_it_is_needed_or_not(tmp_path):
    write(tmp_path, {"schema_version": 2, "data": "in another shape"})
    for or_none in (False, True):
        with pytest.raises(DataError, match="update edgebee") as refused:
            read_training_record(tmp_path, or_none=or_none)
        assert str(refused.value).startswith(f"{tmp_path / 'history.json'}: ")


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b'{"data": 5}',
        b'{"epo',
        b'{"data": {"source": 7}}',
        b'{"data": {"source": "sample", "val_fraction": "x"}}',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_file_is_refused_or_done_without(tmp_path, content):
    (tmp_path / "history.json").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*--data"):
        read_training_record(tmp_path)
    assert read_training_record(tmp_path, or_none=True) is None


def test_photos_are_split_as_they_were_in_the_training(tmp_path):
    photos = tmp_path / "photos"
    for label in ("ants", "bees"):
        (photos / label).mkdir(parents=True)
        for number in range(20):
            (photos / label / f"{number}.jpg").write_bytes(b"only names are read")
    data = {"source": str(photos), "val_fraction": 0.25, "seed": 3, "exclude": ["0.jpg"]}
    write(tmp_path, {"data": data})
    recorded = load_training_photos(tmp_path)
    assert (recorded.val_fraction, recorded.seed, recorded.exclude) == (0.25, 3, ("0.jpg",))
    assert len(recorded.validation) == 10
    assert load_training_photos(tmp_path, str(photos)) == recorded
    (tmp_path / "history.json").unlink()
    (tmp_path / "labels.txt").write_text("cats\ndogs\n")
    with pytest.raises(DataError, match=r"history\.json: missing"):
        load_training_photos(tmp_path)
    with pytest.raises(DataError, match="has cats, dogs"):
        load_training_photos(tmp_path, str(photos))


def test_the_last_label_neither_is_no_class_of_the_photos(tmp_path, remarks):
    for label in ("ants", "bees"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "photos" / label / f"{number}.jpg").touch()
    (tmp_path / "labels.txt").write_text("bees\nants\nneither\n")
    source, gone = str(tmp_path / "photos"), str(tmp_path / "gone")
    record = TrainingRecord(data=DataRecord(source, other=gone))
    (tmp_path / "history.json").write_bytes(encode_training_record(record))
    dataset = load_training_photos(tmp_path)
    assert dataset.labels == ("bees", "ants")
    assert dataset.others == ()
    assert remarks == [f"warning: {gone}: no such folder any more; going on without its photos"]


def test_names_of_converted_models():
    assert tflite_name("int8") == "model_int8.tflite"
