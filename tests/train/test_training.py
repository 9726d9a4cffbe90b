"""A whole training, on small sets of really drawn photos."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from edgebee.edge.classify import NEITHER, choose_label, read_photo
from edgebee.errors import OutputError, TrainingError
from edgebee.photos.dataset import load_dataset
from edgebee.photos.sample import draw_photo
from edgebee.train.backbone import BACKBONES
from edgebee.train.batches import Batches, StrangerExamples, class_weights
from edgebee.train.checkpoint import Checkpoints
from edgebee.train.cross_validation import LEARNING_RATES, Calibration
from edgebee.train.photo_features import ImageFeatures
from edgebee.train.recipe import Recipe
from edgebee.train.training import Validation, train_classifier

RECIPE = Recipe(epochs=2, fine_tune_epochs=2, image_size=96, augmentations=3, seed=5)
SMALL = replace(RECIPE, image_size=32, alpha=0.35, weights="none", augmentations=1)
"""For what does not hang on what is learned."""


def draw_folder(folder, counts: dict[str, int]) -> None:
    """Photos of each class: ants, bees, or plain noise for any other name."""
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            rng = np.random.default_rng([ord(label[0]), number])
            if label in {"ants", "bees"}:
                picture = draw_photo(label, rng)
            else:
                noise = rng.integers(0, 256, (12, 16, 3), np.uint8)
                picture = Image.fromarray(noise).resize((320, 240))
            picture.save(folder / label / f"{number:02d}.jpg", quality=90)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "field"
    draw_folder(folder, {"ants": 20, "bees": 20, "noise": 7})
    (folder / "ants" / "broken.jpg").write_bytes((folder / "ants" / "00.jpg").read_bytes()[:900])
    return load_dataset(str(folder))


class Lines(logging.Handler):
    """Keeps what the library logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


@pytest.fixture(scope="module")
def logged():
    logger, handler = logging.getLogger("edgebee"), Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def reported():
    return []


@pytest.fixture(scope="module")
def training(dataset, tmp_path_factory, logged, reported):
    output = tmp_path_factory.mktemp("artifacts")
    result = train_classifier(dataset, RECIPE, checkpoints=output, progress=reported.append)
    assert [path.name for path in output.iterdir()] == [".checkpoint.npz"]
    result.save(output)
    return result, output


def test_both_phases_are_counted_through(training):
    result, _ = training
    assert [(epoch.epoch, epoch.phase) for epoch in result.epochs] == [
        (1, "feature_extraction"),
        (2, "feature_extraction"),
        (3, "fine_tuning"),
        (4, "fine_tuning"),
    ]


def test_epochs_are_lines_that_fit_a_terminal(training, logged):
    lines = [line.removeprefix("INFO: ") for line in logged if line.startswith("INFO: Epoch")]
    assert [line.split()[1] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    for line in lines:
        assert len(line) <= 80
        assert all(f" {name} " in line for name in ("loss", "accuracy", "val_loss", "val_accuracy"))


def test_progress_counts_photos_and_steps_to_their_totals(training, reported):
    last = {progress.task: progress for progress in reported}
    assert list(last) == [
        "reading training photos", "reading validation photos",
        "epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4",
    ]  # fmt: skip
    assert all(progress.done == progress.total for progress in last.values())


def test_a_training_describes_itself(training):
    result, _ = training
    of = f"{result.validation.correct} of {len(result.validation.paths)}"
    assert repr(result) == (
        f"<Training on field: ants, bees, noise; 4 epochs; {of} validation photos correct>"
    )
    assert repr(result.validation) == f"<Validation: {of} correct>"


@pytest.mark.parametrize("threshold", [None, 0.7])
@pytest.mark.parametrize("knows_neither", [True, False])
def test_the_user_sees_what_the_runner_would_say(threshold, knows_neither):
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), 200).astype(np.float32)
    neither = rng.uniform(0, 0.7, 200).astype(np.float32) if knows_neither else None
    classes = rng.integers(0, 3, 200)
    validation = Validation(
        paths=200 * (Path("photo.jpg"),),
        classes=classes,
        scores=scores,
        neither=neither,
        calibration=Calibration(1.0, threshold),
        error_before=0.0,
        error_after=0.0,
    )
    labels = ("0", "1", "2", NEITHER)[: 4 if knows_neither else 3]
    last = np.zeros((200, 0)) if neither is None else neither[:, np.newaxis]
    together = np.hstack([scores * (1 - last.sum(axis=1, keepdims=True)), last])
    said = [choose_label(labels, row, threshold or 0.0) for row in together]
    assert validation.correct_as_seen == sum(
        label == str(class_) for label, class_ in zip(said, classes, strict=True)
    )
    hides = threshold is not None or knows_neither
    assert (validation.correct_as_seen < validation.correct) is hides


def test_any_number_of_classes_by_their_folders(training):
    result, output = training
    assert (output / "labels.txt").read_text() == "ants\nbees\nnoise\nneither\n"
    assert result.labels == ("ants", "bees", "noise", "neither")
    assert result.model.output_shape == (None, 4)


def test_noise_is_told_from_drawings(training):
    result, _ = training
    matrix = result.validation.confusion()
    assert matrix[2, 2] == matrix[2].sum()  # nothing drawn looks like it
    assert matrix.sum() == len(result.validation.paths)


def test_what_could_not_be_read_is_said_and_recorded(training, logged):
    _, output = training
    history = json.loads((output / "history.json").read_text())
    assert list(history["data"]["left_out"]) == ["ants/broken.jpg"]
    assert any(line.startswith("WARNING: ") and "broken.jpg" in line for line in logged)


def test_unbalanced_classes_are_weighted_and_said_aloud(training, logged):
    assert any(line.startswith("INFO: Unbalanced:") and "'noise'" in line for line in logged)
    weights = class_weights(np.array([0, 0, 0, 1]), 2)
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[[0, 0, 0, 1]].mean() == pytest.approx(1)


def test_the_history_says_what_a_program_needs(training):
    result, output = training
    history = json.loads((output / "history.json").read_text())
    assert set(history["epochs"][0]) == {
        "epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "seconds",
    }  # fmt: skip
    assert history["validation"]["correct"] == result.validation.correct
    assert history["validation"]["total"] == len(result.validation.paths)
    assert np.sum(history["validation"]["confusion"]) == history["validation"]["total"]
    assert set(history["validation"]["calibration"]) == {
        "temperature", "threshold", "expected_error_before", "expected_error_after",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["training.png", "confusion.png", "mistakes.png"])
def test_pictures_are_pictures(training, name):
    _, output = training
    with Image.open(output / name) as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10  # not an empty page


def test_no_checkpoint_and_no_part_is_left(training):
    _, output = training
    assert sorted(path.name for path in output.iterdir()) == [
        "SHA256SUMS", "confusion.png", "history.json", "labels.txt", "mistakes.png",
        "model.keras", "training.png",
    ]  # fmt: skip


def test_the_written_model_is_the_trained_one(training):
    result, output = training
    again = keras.models.load_model(output / "model.keras")
    pixels = np.stack([read_photo(path, (96, 96)) for path in result.validation.paths])
    scores = again(pixels.astype(np.float32), training=False)
    # Validation asks the layers above the cut on stored activations, which float16 holds to
    # three digits.
    np.testing.assert_allclose(scores[:, -1], result.validation.neither, atol=0.01)
    expected = result.validation.scores * (1 - result.validation.neither[:, np.newaxis])
    np.testing.assert_allclose(scores[:, :-1], expected, atol=0.01)


def test_fine_tuning_leaves_normalization_alone(training):
    base = training[0].model.get_layer("mobilenet_v2")
    learned = {type(layer) for layer in base.layers if layer.trainable_variables}
    assert learned == {keras.layers.Conv2D, keras.layers.DepthwiseConv2D}


@pytest.mark.slow  # the resumed training below does all of it again, too
def test_the_same_seed_gives_the_same_weights(dataset, training, tmp_path):
    result, _ = training
    again = train_classifier(dataset, RECIPE, checkpoints=tmp_path)
    for one, other in zip(result.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_another_seed_gives_other_weights(dataset, training, tmp_path):
    result, _ = training
    other = train_classifier(dataset, replace(RECIPE, seed=6))
    assert not np.array_equal(result.model.get_weights()[-2], other.model.get_weights()[-2])


@pytest.mark.slow
@pytest.mark.parametrize("whole_epochs", [1, 2, 3])
def test_a_resumed_training_ends_with_the_same_weights(dataset, training, tmp_path, whole_epochs):
    class PulledPlug(Exception):  # noqa: N818
        pass

    result, _ = training
    save = Checkpoints.save

    def save_then_stop(self, checkpoint):
        save(self, checkpoint)
        if len(checkpoint.epochs) == whole_epochs:
            raise PulledPlug

    Checkpoints.save = save_then_stop
    try:
        with pytest.raises(PulledPlug):
            train_classifier(dataset, RECIPE, checkpoints=tmp_path)
    finally:
        Checkpoints.save = save
    resumed = train_classifier(dataset, RECIPE, resume_from=tmp_path)
    assert [epoch.epoch for epoch in resumed.epochs] == [1, 2, 3, 4]
    for one, other in zip(result.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_resuming_nothing_or_something_else_is_refused(dataset, tmp_path):
    with pytest.raises(TrainingError, match="no interrupted training there"):
        train_classifier(dataset, RECIPE, resume_from=tmp_path)


def test_the_learning_rate_that_was_chosen_is_said_and_recorded(training, logged):
    result, output = training
    chosen = json.loads((output / "history.json").read_text())["recipe"]["learning_rate"]
    assert RECIPE.learning_rate is None
    assert chosen == result.recipe.learning_rate
    assert chosen in LEARNING_RATES
    assert any(f"Learning rate {chosen:g} chosen by cross-validation" in line for line in logged)


@pytest.mark.parametrize(
    ("settings", "learned"),
    [
        ({"augmentations": 4}, True),
        ({"augmentations": 4, "subject_crops": False}, False),
        ({"augmentations": 3}, False),  # every fourth is one
    ],
)
def test_whether_crops_of_the_subject_were_learned_from_is_recorded(dataset, settings, learned):
    result = train_classifier(dataset, replace(SMALL, epochs=1, fine_tune_epochs=0, **settings))
    assert result.recipe.subject_crops is learned


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        ({}, "field"),
        ({"alpha": 0.35}, "imagenet"),  # distilled ones exist for width 1.0 alone
        ({"weights": "imagenet"}, "imagenet"),
        ({"alpha": 0.35, "weights": "none"}, "none"),
    ],
)
def test_what_a_training_starts_from(given, weights):
    assert Recipe(**given).starting_weights == weights


def test_the_weights_it_started_from_are_recorded(training):
    _, output = training
    recorded = json.loads((output / "history.json").read_text())["recipe"]["weights"]
    assert RECIPE.weights is None
    assert recorded == "field"


@pytest.mark.slow
def test_patience_ends_a_phase(dataset, tmp_path):
    # A rate this small changes no loss that float32 could tell, so no epoch is better.
    still = replace(SMALL, epochs=9, fine_tune_epochs=0, learning_rate=1e-30, patience=2)
    assert len(train_classifier(dataset, still).epochs) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "option"),
    [({"learning_rate": 1e30}, "--learning-rate"), ({"fine_tune_at": 154}, "--fine-tune-at 154")],
)
def test_a_training_that_cannot_work_says_which_option(dataset, tmp_path, change, option):
    with pytest.raises(TrainingError, match=option):
        train_classifier(dataset, replace(SMALL, **change))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"image_size": 31},
        {"seed": 2**32},
        {"alpha": float("inf")},
        {"learning_rate": float("nan")},
        {"dropout": 1.0},
        {"patience": 0},
        {"subject_crops": True, "augmentations": 3},
        {"backbone": "resnet"},
        {"epochs": 0, "fine_tune_epochs": 0},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong)).replace("_", "-")):
        Recipe(**wrong)


@pytest.mark.slow
def test_a_class_without_a_readable_photo_is_refused(dataset, tmp_path):
    folder = tmp_path / "field"
    shutil.copytree(dataset.root, folder)
    for path in (folder / "noise").iterdir():
        path.write_bytes(b"not a photo")
    with pytest.raises(TrainingError, match="no readable photo of 'noise'"):
        train_classifier(load_dataset(str(folder)), SMALL)


def test_epochs_show_what_their_phase_needs(dataset, tmp_path):
    from edgebee.train.features import Activations, Features

    pooled = Activations(12, (2,), tmp_path)
    boundary = Activations(12, (1, 1, 3), tmp_path)
    for row in range(12):
        pooled[row], boundary[row] = np.full(2, row), np.full((1, 1, 3), row)
    features = Features(
        boundary=boundary,
        pooled=pooled,
        classes=np.array([0, 1, 0, 1]),
        uncorrupted=np.array([[0, 1, 0], [3, 4, 4], [6, 7, 6], [9, 10, 10]]),
        photos=np.array([0, 1, 3]),
        unreadable={2: "gone"},
        signatures=4 * (None,),
    )
    weights = np.float32([[1], [2], [3], [4]])

    def epoch(phase, number, strangers=None):
        batches = Batches(features, phase, batch_size=2, seed=1, weights=weights)
        batches = replace(batches, strangers=strangers)
        drawn = list(batches.of(number))
        assert sum(len(one.classes) for one in drawn) == batches.images
        assert batches.steps == -(-batches.images // 2)
        return [np.concatenate(arrays) for arrays in zip(*drawn, strict=True)]

    stored, *_ = epoch("feature_extraction", 0)
    assert sorted(stored[:, 0]) == [0, 1, 2, 3, 4, 5, 9, 10, 11]  # every image that could be read
    targets_of = {0: 0, 1: 1, 2: 0, 3: 3, 4: 4, 5: 4, 9: 9, 10: 10, 11: 10}
    for number in range(8):
        stored, classes, weighted, targets = epoch("fine_tuning", number)
        rows = stored[:, 0, 0, 0]
        photos = [int(row) // 3 for row in rows]
        assert sorted(photos) == [0, 1, 3]  # one image of each
        assert targets[:, 0].tolist() == [targets_of[row] for row in rows]
        assert classes.tolist() == [features.classes[photo] for photo in photos]
        assert weighted.tolist() == weights[photos].tolist()

    places = np.arange(100, 105)
    images = ImageFeatures(
        np.full((5, 1, 1, 3), places[:, None, None, None], np.float16),
        np.full((5, 2), places[:, None], np.float32),
    )
    strangers = StrangerExamples(images, label=2, kernel=np.zeros(2, np.float32), bias=0.0)
    shown = set()
    for number in range(8):
        stored, classes, weighted, targets = epoch("fine_tuning", number, strangers)
        rows, strange = stored[:, 0, 0, 0], classes == 2
        assert sorted(int(row) // 3 for row in rows[~strange]) == [0, 1, 3]
        assert strange.sum() == 1  # 0.15 for each of three photos, and one at least
        assert targets[strange, 0] == rows[strange]
        assert weighted[strange] == 1
        shown |= set(rows[strange].tolist())
    assert len(shown) > 2  # others in each epoch


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_trains_through_both_phases(dataset, tmp_path, backbone):
    recipe = replace(SMALL, backbone=backbone, alpha=1.0, epochs=1, fine_tune_epochs=1)
    training = train_classifier(dataset, recipe)
    assert [epoch.phase for epoch in training.epochs] == ["feature_extraction", "fine_tuning"]
    model = keras.models.load_model(training.save(tmp_path))
    pixels = np.stack([read_photo(path, (32, 32)) for path in training.validation.paths])
    scores = np.asarray(model(pixels.astype(np.float32), training=False))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)  # float32 rounding
    # Stored activations are float16, which holds three digits.
    np.testing.assert_allclose(scores, training.validation.scores, atol=0.01)


def test_a_saved_model_has_no_address_in_it(training, tmp_path):
    result, _ = training
    with zipfile.ZipFile(result.save(tmp_path)) as saved:
        config = saved.read("config.json").decode()
    numbers = [int(one) for one in re.findall(r'"shared_object_id": (\d+)', config)]
    assert numbers
    assert sorted(set(numbers)) == list(range(len(set(numbers))))


def test_models_of_an_earlier_training_are_moved_away(training, tmp_path, logged):
    result, _ = training
    (tmp_path / "model.keras").write_bytes(b"earlier")
    (tmp_path / "model_int8.tflite").write_bytes(b"earlier, converted")
    result.save(tmp_path)
    previous = tmp_path / "previous"
    assert {path.name: path.read_bytes() for path in previous.iterdir()} == {
        "model.keras": b"earlier", "model_int8.tflite": b"earlier, converted",
    }  # fmt: skip
    assert not (tmp_path / "model_int8.tflite").exists()
    assert (tmp_path / "model.keras").stat().st_size > 1_000_000
    assert logged[-1] == (
        f"WARNING: model_int8.tflite: of an earlier training, moved to {previous}"
    )


def test_models_of_an_earlier_training_come_back_when_saving_fails(training, tmp_path, monkeypatch):
    result, _ = training
    (tmp_path / "model.keras").write_bytes(b"earlier")
    (tmp_path / "model_int8.tflite").write_bytes(b"earlier, converted")

    def full(model, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgebee.train.saving.save_keras", full)
    with pytest.raises(OutputError, match="No space left"):
        result.save(tmp_path)
    assert (tmp_path / "model.keras").read_bytes() == b"earlier"
    assert (tmp_path / "model_int8.tflite").read_bytes() == b"earlier, converted"
