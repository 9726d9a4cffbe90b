"""What a benchmark measures: the models of an artifacts folder, and the photos for them."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgebee.benchmarks.measure.results import Data
from edgebee.convert.keras_file import check_keras_file
from edgebee.edge.classify import PhotoError, find_newer_training, read_photo
from edgebee.edge.tflite.model_file import check_model_file
from edgebee.errors import BenchmarkError
from edgebee.photos.dataset import Dataset
from edgebee.run import LABELS_NAME, MODEL_NAME, load_training_photos, read_label_file

__all__ = ["Subject", "find_subject", "first_readable", "spread_evenly", "warn_of_stale_models"]

logger = logging.getLogger("edgebee.benchmarks")


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        folder: of the models.
        files: `model.keras`, if there is one, then the `.tflite` files.
        data: without its photos, which are filled in when they are read.
        paths: photos.
        classes: the true class index of each.
        labels: the Keras model's, with `neither` at their end if it knows that; empty: those of
            the data.
        others: photos of none of the classes, to check with.
    """

    folder: Path
    files: tuple[Path, ...]
    data: Data
    paths: tuple[Path, ...]
    classes: tuple[int, ...]
    labels: tuple[str, ...] = ()
    others: tuple[Path, ...] = ()


def find_subject(artifacts: Path, dataset: Dataset | str | None) -> Subject:
    """The models of the folder and the photos to measure on; no model is loaded yet.

    Args:
        artifacts: with `model.keras`, `.tflite` files or both.
        dataset: photos, of which the validation part is taken; a text is loaded as by
            `load_dataset`, None takes those that the model was trained with.

    Raises:
        BenchmarkError: there are no models.
        DataError: there are no photos, or of other classes.
        ConversionError: the Keras file is none.
        ModelError: a `.tflite` file is damaged.
    """
    keras = artifacts / MODEL_NAME
    files = sorted(artifacts.glob("*.tflite"), key=lambda path: path.stat().st_size, reverse=True)
    for file in files:
        check_model_file(file)
    if keras.is_file():
        check_keras_file(keras)
        files.insert(0, keras)
    if not files:
        raise BenchmarkError(
            f"{artifacts}: no {MODEL_NAME} and no .tflite there; make them with: edgebee train, "
            "then edgebee convert"
        )
    if dataset is None or isinstance(dataset, str):
        dataset = load_training_photos(artifacts, dataset)
    data = Data(
        name=dataset.name,
        root=str(dataset.root),
        drawn=dataset.drawn,
        labels=dataset.labels,
        photos=(),
        skipped=(),
    )
    photos = dataset.validation
    return Subject(
        folder=artifacts,
        files=tuple(files),
        data=data,
        paths=photos.paths,
        classes=photos.classes,
        labels=read_label_file(artifacts / LABELS_NAME) or (),
        others=dataset.others_validation,
    )


def first_readable(subject: Subject) -> Path:
    """The first photo that can be read.

    Raises:
        BenchmarkError: there is none.
    """
    for path in subject.paths:
        with contextlib.suppress(PhotoError):  # reported when all photos are classified
            read_photo(path)
            return path
    raise BenchmarkError("no validation photo could be read; name others with --data")


def spread_evenly(total: int, wanted: int) -> list[int]:
    """At most `wanted` of `total` indices, evenly spread, so that every class has its share."""
    return sorted({round(place) for place in np.linspace(0, total - 1, min(wanted, total))})


def warn_of_stale_models(subject: Subject) -> None:
    """Log which files were not made of the Keras model beside them."""
    for file in subject.files:
        if file.name != MODEL_NAME and (stale := find_newer_training(file)):
            logger.warning("%s", stale)
