"""Write what a training leaves: the model, its labels, its history, its pictures.

Keras packs its `.keras` zip with the date of the day. That fails, after a whole training,
where the clock says 1970, as it does on machines without a battery until the network tells
them the time; and the same weights give other bytes tomorrow. So the zip is packed here.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebee.files import atomic_write_all, prepare_directory
from edgebee.run import (
    CONFUSION_PLOT_NAME,
    HISTORY_NAME,
    LABELS_NAME,
    MISTAKES_PLOT_NAME,
    MODEL_NAME,
    PREVIOUS_NAME,
    TRAINING_PLOT_NAME,
    CalibrationRecord,
    DataRecord,
    TrainingRecord,
    ValidationRecord,
    encode_training_record,
    tflite_name,
    write_checksums,
)

if TYPE_CHECKING:
    from edgebee.train.training import Training, Validation

__all__ = ["save_keras", "save_training"]

logger = logging.getLogger("edgebee.train")

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold
_METADATA = "metadata.json"
_CONFIG = "config.json"


def save_training(training: Training, folder: Path) -> Path:
    """See `Training.save`."""
    from edgebee.train.checkpoint import clear_checkpoint

    prepare_directory(folder)
    contents = {
        LABELS_NAME: "".join(f"{label}\n" for label in training.labels).encode(),
        HISTORY_NAME: encode_training_record(_record(training)),
        **_pictures(training),
    }
    model = folder / MODEL_NAME
    writes: dict[Path, Callable[[Path], object]] = {model: partial(save_keras, training.model)}
    for name, content in contents.items():
        writes[folder / name] = partial(Path.write_bytes, data=content)
    with _previous_moved(folder):
        # Together, since a model beside labels of another training would name things wrongly.
        atomic_write_all(writes)
    write_checksums(folder)
    clear_checkpoint(folder)
    return model


@contextmanager
def _previous_moved(folder: Path) -> Iterator[None]:
    """Move the models of an earlier training to `previous/`; back again if the block fails."""
    converted = sorted(folder.glob(tflite_name("*")))
    previous = folder / PREVIOUS_NAME
    moved: list[tuple[Path, Path]] = []
    if converted:
        previous.mkdir(exist_ok=True)
        for old in (*previous.glob(tflite_name("*")), previous / MODEL_NAME):
            old.unlink(missing_ok=True)
    try:
        for path in converted and (folder / MODEL_NAME, *converted):
            if path.exists():
                path.replace(previous / path.name)
                moved.append((previous / path.name, path))
        yield
    except BaseException:
        for there, here in moved:
            there.replace(here)
        raise
    if converted:
        names = ", ".join(path.name for path in converted)
        logger.warning("%s: of an earlier training, moved to %s", names, previous)


def _pictures(training: Training) -> dict[str, bytes]:
    """File name -> PNG."""
    from edgebee.train.letters import readable_labels
    from edgebee.train.plots import plot_confusion, plot_mistakes, plot_training

    dataset, validation = training.dataset, training.validation
    what = "validation drawings" if dataset.drawn else "validation photos"
    correct = f"{validation.correct} of {len(validation.paths)} {what} correct ({dataset.name})"
    labels = readable_labels(dataset.labels)
    return {
        TRAINING_PLOT_NAME: plot_training(training.epochs, correct),
        CONFUSION_PLOT_NAME: plot_confusion(validation.confusion(), labels, correct),
        MISTAKES_PLOT_NAME: plot_mistakes(
            validation.paths, validation.classes, validation.scores, labels, what
        ),
    }


def _record(training: Training) -> TrainingRecord:
    """The content of `history.json`."""
    dataset, validation = training.dataset, training.validation
    packages = ("edgebee", "tensorflow", "keras", "numpy", "pillow")
    return TrainingRecord(
        epochs=tuple(
            replace(
                epoch,
                loss=round(epoch.loss, 6),
                accuracy=round(epoch.accuracy, 6),
                val_loss=round(epoch.val_loss, 6),
                val_accuracy=round(epoch.val_accuracy, 6),
                seconds=round(epoch.seconds, 3),
            )
            for epoch in training.epochs
        ),
        validation=_validation_record(validation),
        labels=training.labels,
        neither=training.neither,
        data=DataRecord(
            source=dataset.source,
            val_fraction=dataset.val_fraction,
            seed=dataset.seed,
            exclude=dataset.exclude,
            other=dataset.other,
            name=dataset.name,
            drawn=dataset.drawn,
            photos={
                name: dict(zip(dataset.labels, photos.counts(len(dataset.labels)), strict=True))
                for name, photos in (("train", dataset.train), ("validation", dataset.validation))
            },
            left_out=training.left_out,
        ),
        recipe=asdict(training.recipe),
        seconds={part: round(value, 2) for part, value in training.seconds.items()},
        versions={name: version(name) for name in packages},
    )


def _validation_record(validation: Validation) -> ValidationRecord:
    calibration = validation.calibration
    threshold = calibration.threshold
    return ValidationRecord(
        correct=validation.correct,
        total=len(validation.paths),
        confusion=tuple(tuple(row) for row in validation.confusion().tolist()),
        calibration=CalibrationRecord(
            temperature=round(calibration.temperature, 4),
            threshold=None if threshold is None else round(threshold, 3),
            expected_error_before=round(validation.error_before, 4),
            expected_error_after=round(validation.error_after, 4),
        ),
    )


def _renumber_objects(config: str) -> str:
    """A model's `config.json` with its objects numbered; Keras writes their addresses."""
    numbers: dict[str, int] = {}

    def renumber(found: re.Match[str]) -> str:
        return f"{found[1]}{numbers.setdefault(found[2], len(numbers))}"

    return re.sub(r'("shared_object_id": )(\d+)', renumber, config)


def save_keras(model: Any, path: Path) -> None:
    """Write a Keras model to `path`, which ends in `.keras`.

    The same weights, layers and version of Keras give the same bytes.

    Raises:
        OSError: it could not be written.
    """
    with tempfile.TemporaryDirectory(prefix="edgebee-keras-") as temporary:
        folder = Path(temporary, "model")
        folder.mkdir()
        model.save(folder, zipped=False)
        metadata = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
        metadata["date_saved"] = "1980-01-01@00:00:00"
        (folder / _METADATA).write_text(json.dumps(metadata), encoding="utf-8")
        config = folder / _CONFIG
        config.write_text(_renumber_objects(config.read_text(encoding="utf-8")), encoding="utf-8")
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _ZIP_EPOCH)
                    archive.writestr(info, file.read_bytes())
