"""Everything that is read and checked before a conversion makes its first format.

Imports Keras when `read_inputs` is called.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebee.convert.formats import CALIBRATED_FORMATS, DEFAULT_SAMPLES, Format, InputType
from edgebee.convert.representative import (
    RepresentativeDataset,
    check_representative,
    read_representative_dataset,
    read_strangers,
)
from edgebee.convert.validation_set import (
    ValidationSet,
    check_reference,
    read_validation_set,
    score_strangers,
)
from edgebee.errors import ConversionError
from edgebee.manifest import RepresentativePhotos, ScoreSettings
from edgebee.progress import ProgressCallback
from edgebee.run import (
    HISTORY_NAME,
    LABELS_NAME,
    TrainingRecord,
    ValidationRecord,
    in_label_order,
    load_training_photos,
    read_label_file,
    read_training_record,
)

if TYPE_CHECKING:
    from edgebee.convert.model_builder import ModelBuilder
    from edgebee.convert.self_description import ModelPacker
    from edgebee.photos.dataset import Dataset

__all__ = ["ConversionInputs", "read_inputs"]

MAX_REPRESENTATIVE_OTHERS = 20
"""Photos of none of the classes in the representative dataset of a model that knows `neither`."""

_log = logging.getLogger("edgebee.convert")


@dataclass(frozen=True)
class ConversionInputs:
    """A loaded model and the photos that its formats are made from and verified on."""

    builder: ModelBuilder
    packer: ModelPacker
    validation: ValidationSet


def read_inputs(
    path: Path,
    dataset: Dataset | None,
    *,
    formats: Sequence[Format],
    samples: int | None,
    seed: int,
    io: InputType,
    max_drop: float,
    progress: ProgressCallback,
) -> ConversionInputs:
    """Load a Keras model and read its photos; see `edgebee.convert_model` for the arguments.

    Raises:
        ConversionError: the model, its labels or the photos cannot be used.
        EdgebeeError: the photos cannot be found.
    """
    from edgebee.tensorflow_runtime import start_tensorflow

    photos = _photos(path.parent, dataset)
    start_tensorflow()
    from edgebee.convert.keras_model import load_keras
    from edgebee.convert.model_builder import ModelBuilder
    from edgebee.convert.self_description import ModelPacker, ModelSource, hash_photo_list

    model = load_keras(path)
    labels = read_label_file(path.parent / LABELS_NAME) or photos.labels
    _check_labels(path, model, labels)
    record = read_training_record(path.parent, or_none=True) or TrainingRecord()
    trained = record.validation or ValidationRecord()
    same_photos = record.data is not None and record.data.source == photos.source
    recorded = (trained.correct, trained.total) if trained.total and same_photos else None
    representative = described = None
    calibrated = [one for one in ("int8", *CALIBRATED_FORMATS) if one in formats]
    if calibrated:
        representative = _read_representative(photos, model, samples, seed, progress)
        described = _check_representative(representative, photos, calibrated[0])
    source = ModelSource(
        labels=labels,
        keras_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        data_sha256=hash_photo_list(photos.root, [*photos.train.paths, *photos.validation.paths]),
        scores=ScoreSettings(trained.calibration.temperature, trained.calibration.threshold),
        seed=seed,
        max_drop=max_drop,
        io=io,
    )
    return ConversionInputs(
        builder=ModelBuilder(model, representative, io),
        packer=ModelPacker(model, source, described),
        validation=_read_validation(photos, model, seed, recorded, progress),
    )


def _photos(folder: Path, dataset: Dataset | None) -> Dataset:
    """The photos of a model, their classes in the order of its scores.

    Raises:
        EdgebeeError: they are unknown, gone, or of other classes than the model.
    """
    path = folder / LABELS_NAME
    labels = read_label_file(path)
    if dataset is not None:
        return dataset if labels is None else in_label_order(dataset, labels, path)
    if labels is None and not (folder / HISTORY_NAME).is_file():
        raise ConversionError(
            f"{path}: missing, so the scores have no names; write them there, "
            "one a line, in the order of the scores"
        )
    return load_training_photos(folder)


def _check_labels(path: Path, model: Any, labels: Sequence[str]) -> None:
    """Refuse a model with another number of scores than there are labels."""
    if model.output_shape[1] != len(labels):
        raise ConversionError(
            f"{path}: gives {model.output_shape[1]} scores, but there are "
            f"{len(labels)} labels ({', '.join(labels[:8])}); put the labels.txt that belongs "
            "to it beside it"
        )


def _read_representative(
    photos: Dataset, model: Any, samples: int | None, seed: int, progress: ProgressCallback
) -> RepresentativeDataset:
    train, size = photos.train, model.input_shape[1:3]
    representative = read_representative_dataset(
        train.paths,
        train.classes,
        root=photos.root,
        samples=samples or max(DEFAULT_SAMPLES, 2 * len(photos.labels)),
        size=size,
        seed=seed,
        progress=progress,
    )
    if not _knows_neither(model, photos):
        return representative
    strangers = read_strangers(
        photos.others,
        size,
        frames_per_kind=1,
        most=MAX_REPRESENTATIVE_OTHERS,
        seed=seed + 1,  # other frames than those of the verification
        progress=progress,
    )
    return replace(representative, strangers=strangers)


def _knows_neither(model: Any, photos: Dataset) -> bool:
    """Whether a model has one score more than there are classes."""
    return bool(model.output_shape[1] > len(photos.labels))


def _check_representative(
    representative: RepresentativeDataset, photos: Dataset, format_: Format
) -> RepresentativePhotos:
    """Refuse a representative dataset that would ruin the model; log lesser problems."""
    checked = check_representative(representative, photos.labels)
    for remark in checked.remarks:
        _log.warning("%s", remark)
    kind = "drawings" if photos.drawn else "photos"
    _log.info("%s is calibrated on %d training %s", format_, len(checked.files), kind)
    return checked


def _read_validation(
    photos: Dataset,
    model: Any,
    seed: int,
    recorded: tuple[int, int] | None,
    progress: ProgressCallback,
) -> ValidationSet:
    """Read the validation photos, and check the Keras model on them."""
    checking, strangers = photos.validation, None
    if _knows_neither(model, photos):
        strangers = score_strangers(photos.others_validation, model, progress=progress)
    elif photos.others:
        _log.warning(
            "the model does not know neither, so photos of none of the classes are not used; "
            "train again to learn it"
        )
    validation = read_validation_set(
        checking.paths, checking.classes, model, seed=seed, strangers=strangers, progress=progress
    )
    warning = check_reference(validation, photos.labels, recorded)
    if warning is not None:
        _log.warning("%s", warning)
    return validation
