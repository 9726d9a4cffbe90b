"""Every gate between a converted model and its final name, and that each one goes red."""

from __future__ import annotations

import json
import math
import zipfile

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs edgebee[train]")
from fragile_models import LABELS, red_or_blue, write_photos

from edgebee.convert import (
    model_builder,
    representative,
    self_description,
    validation_set,
    verification,
)
from edgebee.convert.formats import MAX_DROP_POINTS
from edgebee.convert.validation_set import ValidationSet, check_reference
from edgebee.convert.verification import Verification
from edgebee.stats import compare_paired


def seen(total, lost, gained=0, *, wrong=0, agreement=None, difference=0.1):
    """A verification in which so many photos changed sides."""
    reference = np.arange(total) < total - wrong - gained
    other = np.where(np.arange(total) < lost, False, reference)
    other[total - gained :] = True if gained else other[total - gained :]
    agreed = total - lost - gained if agreement is None else agreement
    return Verification(compare_paired(reference, other), agreed, difference)


# ------------------------------------------------------------------ how much may be lost


@pytest.mark.parametrize(
    ("total", "lost", "gained", "refused"),
    [
        (153, 0, 0, False),
        (153, 3, 0, False),  # 1.96 points
        (153, 4, 0, True),  # 2.6 points
        (153, 6, 3, False),  # a net loss of 3
        (12, 1, 0, False),  # 8 points, but one photo
        (12, 2, 0, True),
        (1000, 20, 0, False),
        (1000, 21, 0, True),
        (153, 0, 9, False),
    ],
)
def test_the_default_limit(total, lost, gained, refused):
    problem = seen(total, lost, gained).problem(MAX_DROP_POINTS)
    assert (problem is not None) == refused


def test_another_limit():
    assert seen(100, 9).problem(10) is None
    assert seen(100, 9).problem(5) is not None
    assert seen(100, 2).problem(0) is not None
    assert seen(100, 1).problem(0) is None  # one photo tells nothing


def test_a_model_no_better_than_chance_could_change_every_prediction_and_lose_no_accuracy():
    reference = np.tile([True, False], 50)
    other = ~reference
    verification_ = Verification(
        compare_paired(reference, other), agreement=0, largest_difference=0.9
    )
    assert verification_.comparison.drop == 0
    assert "other labels than Keras" in verification_.problem(2.0)


def test_nan_scores_are_refused():
    assert "NaN" in seen(100, 0, difference=math.nan).problem(2.0)


def refusals(total, p_lost, p_gained):
    """The share of conversions that the default refuses, from all outcomes."""
    refused = 0.0
    for lost in range(total + 1):
        for gained in range(min(total - lost, 40) + 1):
            ways = math.comb(total, lost) * math.comb(total - lost, gained)
            chance = ways * p_lost**lost * p_gained**gained
            chance *= (1 - p_lost - p_gained) ** (total - lost - gained)
            if chance > 1e-12 and lost - gained > max(1.0, MAX_DROP_POINTS * total / 100):
                refused += chance
    return refused


@pytest.mark.parametrize("total", [5, 10, 20, 40, 60, 100, 153, 300, 600])
def test_the_default_spares_a_harmless_conversion(total):
    # 1 % of the answers change sides, either way alike.
    assert refusals(total, 0.005, 0.005) < 0.03


@pytest.mark.parametrize("total", [40, 60, 100, 153, 300])
def test_the_default_refuses_a_harmful_one(total):
    # 10 points are really lost.
    assert refusals(total, 0.10, 0.0) > 0.9


def test_the_report_says_what_was_seen():
    report = str(seen(153, 5, 1, wrong=3))
    for part in (
        "145 of 153 correct",
        "Keras 149",
        "same label as Keras for 147",
        "2.6 points lost",
        "95 % confidence interval",
        "p = 0.22",
    ):
        assert part in report


# ------------------------------------------------------------------ the Keras model itself


def validation(scores, classes):
    pixels = np.zeros((len(classes), 4, 4, 3), np.uint8)
    return ValidationSet(pixels, np.array(classes), np.array(scores, np.float32))


def sharp(answers, labels=2):
    return np.eye(labels)[list(answers)] * 0.8 + 0.2 / labels


CLASSES = [0] * 10 + [1] * 10


def test_a_good_model_passes_without_a_word():
    assert check_reference(validation(sharp(CLASSES), CLASSES), ("a", "b"), (20, 20)) is None
    assert check_reference(validation(sharp(CLASSES), CLASSES), ("a", "b"), None) is None


def test_labels_in_another_order_are_found():
    answers = [1 - one for one in CLASSES]
    with pytest.raises(
        Exception, match=r"a, b are swapped: as they stand 0 of 20 .* write b, a into labels\.txt"
    ):
        check_reference(validation(sharp(answers), CLASSES), ("a", "b"), None)


def test_two_swapped_labels_of_many_are_named():
    classes = [number // 6 for number in range(30)]
    answers = [{1: 3, 3: 1}.get(one, one) for one in classes]
    with pytest.raises(Exception, match="the labels b, d are swapped"):
        check_reference(validation(sharp(answers, 5), classes), tuple("abcde"), None)


def test_a_poor_model_is_not_taken_for_swapped_labels():
    answers = [one ^ (number % 2) for number, one in enumerate(CLASSES)]
    warning = check_reference(validation(sharp(answers), CLASSES), ("a", "b"), None)
    assert "always predicting the most frequent label gives 10" in warning


@pytest.mark.parametrize(
    ("correct", "warned"),
    # Guessing gets 14 or more of 20 in 5.8 % of the cases, 15 or more in 2.1 %.
    [(10, True), (13, True), (14, True), (15, False), (20, False)],
)
def test_a_model_that_may_be_guessing_is_warned_of(correct, warned):
    # Wrong ones alternate between the classes, or they would look like swapped labels.
    order = [half + number for number in range(10) for half in (0, 10)]
    answers = list(CLASSES)
    for index in order[correct:]:
        answers[index] = 1 - answers[index]
    warning = check_reference(validation(sharp(answers), CLASSES), ("a", "b"), None)
    assert (warning is not None) == warned


def test_few_photos_all_correct_are_not_called_chance():
    assert check_reference(validation(sharp([0, 0, 1]), [0, 0, 1]), ("a", "b"), None) is None


def test_logits_are_no_scores():
    with pytest.raises(Exception, match="softmax"):
        check_reference(validation(sharp(CLASSES) * 9 - 4, CLASSES), ("a", "b"), None)


def test_a_model_that_was_better_when_it_was_trained():
    answers = [1, 1, 1, *CLASSES[3:]]
    check_reference(validation(sharp(answers), CLASSES), ("a", "b"), (18, 20))
    with pytest.raises(Exception, match=r"17 of 20 .*, but 20 when it was trained"):
        check_reference(validation(sharp(answers), CLASSES), ("a", "b"), (20, 20))
    # Of other photos nothing is known.
    check_reference(validation(sharp(answers), CLASSES), ("a", "b"), (40, 40))


# ------------------------------------------------------------------ sabotage


@pytest.fixture
def folder(tmp_path):
    """A sound model with its photos, as a training leaves them."""
    write_photos(tmp_path / "photos", 30)
    folder = tmp_path / "trained"
    folder.mkdir()
    red_or_blue().save(folder / "model.keras")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    data = {"source": str(tmp_path / "photos"), "val_fraction": 0.4, "seed": 0, "exclude": []}
    result = {"correct": 24, "total": 24, "calibration": {"temperature": 0.8, "threshold": 0.6}}
    (folder / "history.json").write_text(json.dumps({"data": data, "validation": result}))
    return folder


def convert(edgebee, folder, *options):
    return edgebee("convert", folder / "model.keras", "--quantize", "int8", *options)


def assert_red(done, folder, *words):
    assert done.status == 1
    assert done.out == ""
    for word in words:
        assert word in done.errors[-1]
    assert not list(folder.glob("*.tflite"))
    assert not list(folder.glob(".*"))  # nor half of one
    assert not (folder / "SHA256SUMS").exists()


def test_without_sabotage_it_is_green(edgebee, folder):
    done = convert(edgebee, folder)
    assert done.status == 0, done.err
    assert "24 of 24 correct (Keras 24)" in done.out


def test_calibration_of_another_range(edgebee, folder, monkeypatch):
    # The input would not take pixels as they are.
    real = representative.RepresentativeDataset.samples
    monkeypatch.setattr(
        representative.RepresentativeDataset,
        "samples",
        lambda self: ([one / 255] for (one,) in real(self)),
    )
    assert_red(convert(edgebee, folder), folder, "input scale of 0.0039", "not 1")


def test_calibration_on_too_few_photos(edgebee, folder):
    assert_red(convert(edgebee, folder, "--samples", 3), folder, "too few", "--samples")


def test_calibration_without_a_class(edgebee, folder, tmp_path):
    for path in (tmp_path / "photos" / "red").glob("*"):
        number = int(path.stem)
        path.write_bytes(path.read_bytes() if number % 5 == 0 else b"damaged")
    from edgebee.photos.dataset import load_dataset

    dataset = load_dataset(str(tmp_path / "photos"), val_fraction=0.4)
    for path in dataset.train.paths:
        if path.parent.name == "red":
            path.write_bytes(b"damaged")
    assert_red(convert(edgebee, folder, "--samples", 18), folder, "no photo of red")


def test_labels_shuffled(edgebee, folder, tmp_path):
    # The photos are in the other class's folder: as with swapped labels.
    photos = tmp_path / "photos"
    (photos / "red").rename(photos / "other")
    (photos / "blue").rename(photos / "red")
    (photos / "other").rename(photos / "blue")
    assert_red(convert(edgebee, folder), folder, "blue, red are swapped")


def test_labels_shuffled_while_packing(edgebee, folder, monkeypatch):
    real = self_description.pack_metadata
    monkeypatch.setattr(
        self_description,
        "pack_metadata",
        lambda content, labels, **rest: real(content, labels[::-1], **rest),
    )
    assert_red(convert(edgebee, folder), folder, "red, blue", "verified with others")


def test_preprocessing_broken_in_the_runner(edgebee, folder, monkeypatch):
    # As of old: a runner that rescales pixels, and a model that does so too.
    real = verification.invoke
    monkeypatch.setattr(
        verification, "invoke", lambda interpreter, pixels: real(interpreter, pixels // 255)
    )
    assert_red(convert(edgebee, folder), folder, "--max-drop 2", "of 24 correct (Keras 24)")


def test_preprocessing_that_is_not_that_of_the_training(edgebee, folder, monkeypatch):
    # Both Keras and int8 would see blue for red, and agree.
    real = representative.read_photo
    monkeypatch.setattr(
        representative, "read_photo", lambda path, size: real(path, size)[..., ::-1].copy()
    )
    assert_red(convert(edgebee, folder), folder, "swapped")
    monkeypatch.setattr(
        representative, "read_photo", lambda path, size: real(path, size)[..., [1, 1, 1]].copy()
    )
    assert_red(convert(edgebee, folder), folder, "when it was trained")


def test_a_zip_cut_short(edgebee, folder, monkeypatch):
    real = self_description.pack_metadata
    monkeypatch.setattr(
        self_description, "pack_metadata", lambda *given, **rest: real(*given, **rest)[:-30]
    )
    assert_red(convert(edgebee, folder), folder, "not written whole")


def test_a_zip_with_a_wrong_byte(edgebee, folder, monkeypatch):
    def damaged(*given, **rest):
        content = real(*given, **rest)
        place = content.rindex(b'"format_version"')
        return content[: place + 1] + b"F" + content[place + 2 :]

    real = self_description.pack_metadata
    monkeypatch.setattr(self_description, "pack_metadata", damaged)
    assert_red(convert(edgebee, folder), folder, "not written whole")


def test_another_model_in_the_file_than_was_verified(edgebee, folder, monkeypatch):
    def exchanged(content, labels, **rest):
        from edgebee.convert.quantize import quantize_float, trace

        return real(quantize_float(trace(red_or_blue(loud=9)), "float32"), labels, **rest)

    real = self_description.pack_metadata
    monkeypatch.setattr(self_description, "pack_metadata", exchanged)
    assert_red(convert(edgebee, folder), folder, "golden samples", "away")


def test_an_operator_too_new_for_a_runtime_is_warned_of(edgebee, folder, monkeypatch):
    # Dense layers quantized channel by channel, as the converter does it on its own.
    import tensorflow as tf

    def plain_dynamic(graph, format_):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())

    red_or_blue(wide=True).save(folder / "model.keras")
    monkeypatch.setattr(model_builder, "quantize_float", plain_dynamic)
    command = ("convert", folder / "model.keras", "--quantize", "dynamic")
    done = edgebee(*command)
    assert done.status == 0
    (warning,) = [line for line in done.errors if line.startswith("warning: ")]
    for word in ("FULLY_CONNECTED version 12", "tflite-runtime==2.14", "pip install"):
        assert word in warning


# ------------------------------------------------------------------ refused and kept


def test_the_refused_one_is_absent_the_others_stay(edgebee, folder):
    red_or_blue(loud=2000).save(folder / "model.keras")
    done = edgebee("convert", folder / "model.keras", "--quantize", "all")
    assert done.status == 1
    assert done.errors[-1].startswith(f"Error: {folder / 'model_int8.tflite'}: not written: ")
    for word in (
        "12 of 24 correct (Keras 24)",
        "50.0 points",
        "95 %",
        "McNemar",
        "take float16, or dynamic",
    ):
        assert word in done.errors[-1]
    names = sorted(path.name for path in folder.glob("*.tflite"))
    assert names == ["model_dynamic.tflite", "model_float16.tflite", "model_float32.tflite"]
    assert len(done.out.splitlines()) == 3
    listed = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert listed == sorted(["history.json", "labels.txt", "model.keras", *names])


def test_an_older_file_stays_as_it_was(edgebee, folder):
    assert convert(edgebee, folder).status == 0
    before = (folder / "model_int8.tflite").read_bytes()
    red_or_blue(loud=2000).save(folder / "model.keras")
    assert convert(edgebee, folder).status == 1
    assert (folder / "model_int8.tflite").read_bytes() == before


def test_more_validation_photos_than_are_kept(edgebee, folder, monkeypatch):
    monkeypatch.setattr(validation_set, "MAX_PHOTOS", 10)
    assert "10 of 10 correct" in convert(edgebee, folder).out
    with zipfile.ZipFile(folder / "model_int8.tflite") as archive:
        assert json.loads(archive.read("edgebee.json"))["verification"]["total"] == 10
