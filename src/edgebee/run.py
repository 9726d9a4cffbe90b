"""The artifacts folder: the names of its files, and the record of its training.

`history.json` is written when a training is saved, and read by everything that works on the
model afterwards: which photos it was trained on, how well it did, its calibration.
"""

from __future__ import annotations

import hashlib
import json
import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgebee.errors import DataError, OutputError
from edgebee.files import write_text

if TYPE_CHECKING:
    from edgebee.photos.dataset import Dataset, Photos

__all__ = [
    "ARTIFACT_PATTERNS",
    "BENCHMARK_NAME",
    "CHECKSUMS_NAME",
    "CONFUSION_PLOT_NAME",
    "HISTORY_NAME",
    "LABELS_NAME",
    "MISTAKES_PLOT_NAME",
    "MODEL_NAME",
    "PREVIOUS_NAME",
    "REPORT_NAME",
    "TRAINING_PLOT_NAME",
    "CalibrationRecord",
    "DataRecord",
    "Epoch",
    "NeitherRecord",
    "Phase",
    "RejectionRecord",
    "TrainingRecord",
    "ValidationRecord",
    "class_labels",
    "encode_training_record",
    "in_label_order",
    "load_training_photos",
    "read_label_file",
    "read_training_record",
    "tflite_name",
    "write_checksums",
]

logger = logging.getLogger("edgebee.run")

MODEL_NAME = "model.keras"
LABELS_NAME = "labels.txt"
HISTORY_NAME = "history.json"
TRAINING_PLOT_NAME = "training.png"
CONFUSION_PLOT_NAME = "confusion.png"
MISTAKES_PLOT_NAME = "mistakes.png"
BENCHMARK_NAME = "benchmark.json"
REPORT_NAME = "report.html"
CHECKSUMS_NAME = "SHA256SUMS"
PREVIOUS_NAME = "previous"
"""Folder in it for the models of the training before."""


def tflite_name(format_: str) -> str:
    """The file name of a converted model; `*` gives a pattern for all of them."""
    return f"model_{format_}.tflite"


ARTIFACT_PATTERNS = (
    MODEL_NAME,
    LABELS_NAME,
    HISTORY_NAME,
    BENCHMARK_NAME,
    REPORT_NAME,
    TRAINING_PLOT_NAME,
    CONFUSION_PLOT_NAME,
    MISTAKES_PLOT_NAME,
    tflite_name("*"),
)
"""What `SHA256SUMS` covers."""

SCHEMA_VERSION = 1
"""Of `history.json`. Files of edgebee 0.1 before it had a number count as 0."""

Phase = Literal["feature_extraction", "fine_tuning"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training photos."""

    epoch: int
    """From 1, counted through both phases."""
    phase: Phase
    loss: float
    """Mean cross-entropy on the training images, weighted."""
    accuracy: float
    """Share of the training images that was correct, 0-1."""
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class CalibrationRecord:
    """How the scores were calibrated by cross-validation."""

    temperature: float | None = None
    """That the logits are divided by; built into the model."""
    threshold: float | None = None
    """Score, 0-1, below which a prediction is better reported as `unknown`."""
    expected_error_before: float | None = None
    """Expected calibration error on the validation photos without the temperature, 0-1."""
    expected_error_after: float | None = None


@dataclass(frozen=True)
class ValidationRecord:
    """The finished model on the validation photos."""

    correct: int = 0
    total: int = 0
    confusion: tuple[tuple[int, ...], ...] = ()
    """Photos, `[classes, classes]`: rows are true classes, columns predicted ones."""
    calibration: CalibrationRecord = field(default_factory=CalibrationRecord)


@dataclass(frozen=True)
class RejectionRecord:
    """How well `neither` tells one sort of stranger from the classes, on images held out."""

    source: str
    """`background crops`, `blank frames`, `other photos` or `photos of classes left out`: each by
    what had not learned from it, but that the other classes' own logits had seen the class."""
    count: int
    """Images."""
    auroc: float
    """How often a stranger seems stranger than a photo of the classes, 0-1."""
    fpr95: float
    """Share that is taken for a class where 95 % of the photos of the classes are, 0-1."""
    accepted: float
    """Share that is taken for a class as the model is, 0-1."""
    interval: tuple[float, float]
    """Wilson's 95 % interval of `accepted`."""


@dataclass(frozen=True)
class NeitherRecord:
    """How the last label, `neither`, was learned, and what it is worth."""

    background_crops: int = 0
    """Cut from the training photos where the subject is not."""
    blank_frames: int = 0
    other_photos: int = 0
    """Of `--other`, to learn from."""
    slope: float = 0.0
    """What a nearness of 1 to a prototype takes from the logit of `neither`."""
    offset: float = 0.0
    """What is added to it always."""
    prototypes: int = 0
    """Of each class; 0 when nearness plays no part."""
    kept: float | None = None
    """Share of the correct predictions that is kept, on the validation photos, 0-1."""
    measurements: tuple[RejectionRecord, ...] = ()


@dataclass(frozen=True)
class DataRecord:
    """The photos of a training, and what loads them again with the same split."""

    source: str
    """`hymenoptera`, `sample` or an absolute path."""
    val_fraction: float = 0.2
    seed: int = 0
    exclude: tuple[str, ...] = ()
    other: str | None = None
    """Absolute path of the photos of `--other`."""
    name: str = ""
    drawn: bool = False
    photos: dict[str, dict[str, int]] = field(default_factory=dict)
    """`train` and `validation` -> label -> number of photos."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Photo, relative to the folder -> why it was not used."""


@dataclass(frozen=True)
class TrainingRecord:
    """The content of `history.json`."""

    schema_version: int = 0
    epochs: tuple[Epoch, ...] = ()
    validation: ValidationRecord | None = None
    labels: tuple[str, ...] = ()
    """The model's, in the order of its scores; `neither` last where it has learned it."""
    neither: NeitherRecord | None = None
    """None: trained without."""
    data: DataRecord | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Part of the training -> wall-clock time."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package -> version."""


def encode_training_record(record: TrainingRecord) -> bytes:
    """`history.json` as bytes, in the current schema version."""
    content = asdict(record) | {"schema_version": SCHEMA_VERSION}
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_training_record(folder: Path, *, or_none: bool = False) -> TrainingRecord | None:
    """Read `history.json`; None when there is no such file.

    Args:
        folder: the artifacts folder.
        or_none: go on without one that is damaged, with a warning.

    Raises:
        DataError: it is damaged, or of a newer edgebee.
    """
    import msgspec

    path = folder / HISTORY_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version", 0) if isinstance(content, dict) else 0
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise DataError(
                f"{path}: written by a newer edgebee (schema {version}, this one reads up to "
                f"{SCHEMA_VERSION}); update edgebee"
            )
        record: TrainingRecord = msgspec.convert(content, TrainingRecord)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # msgspec's and json's are ValueErrors
        if or_none:
            logger.warning("%s: damaged, and ignored", path)
            return None
        raise DataError(
            f"{path}: damaged, so the photos of this training are unknown; name them with --data"
        ) from error
    return record


def read_label_file(path: Path) -> tuple[str, ...] | None:
    """The label names in a file, one a line, as the runner reads them; None when there is none.

    Raises:
        DataError: it cannot be read or has no names in it.
    """
    from edgebee.edge.classify import parse_labels

    try:
        names = parse_labels(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-16 text"
        raise DataError(f"{path}: cannot be read as label names, one a line ({reason})") from error
    if not names:
        raise DataError(f"{path}: is empty; write the label names there, one a line")
    return tuple(unicodedata.normalize("NFC", name) for name in names)


def class_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """A model's labels without `neither`, which has no folder of photos."""
    from edgebee.edge.classify import NEITHER

    return tuple(labels[:-1] if labels and labels[-1] == NEITHER else labels)


def in_label_order(dataset: Dataset, labels: Sequence[str], source: Path) -> Dataset:
    """The dataset with its classes in the order of a model's labels.

    Args:
        dataset: its classes are in the order of their names.
        labels: the model's, in the order of its scores; `neither` at their end is no class.
        source: where they were read, for the message.

    Raises:
        DataError: the dataset has other classes.
    """
    labels = class_labels(labels)
    if sorted(labels) != sorted(dataset.labels):
        raise DataError(
            f"{dataset.source}: has the classes {', '.join(dataset.labels)}, but "
            f"{source} has {', '.join(labels)}; name the photos that the model "
            "was trained on with --data"
        )
    from edgebee.photos.dataset import Photos

    index_of = {label: index for index, label in enumerate(labels)}
    new = [index_of[label] for label in dataset.labels]

    def renumbered(photos: Photos) -> Photos:
        return Photos(photos.paths, tuple(new[index] for index in photos.classes))

    return replace(
        dataset,
        labels=tuple(labels),
        train=renumbered(dataset.train),
        validation=renumbered(dataset.validation),
    )


def load_training_photos(folder: Path, data: str | None = None) -> Dataset:
    """Load the photos for the models in `folder`.

    Whatever was a training photo stays one: when `data` is what the models were trained on,
    it is split as it was then, so that nothing is measured on photos that were learned.

    Args:
        folder: with `labels.txt` and, when edgebee trained there, `history.json`.
        data: photos to take instead, as `load_dataset` takes them.

    Raises:
        DataError: the photos cannot be loaded, or have other classes than the model.
    """
    from edgebee.photos.dataset import load_dataset

    labels = read_label_file(folder / LABELS_NAME)
    record = _photos_to_load(folder, data, labels)
    dataset = load_dataset(
        record.source,
        val_fraction=record.val_fraction,
        seed=record.seed,
        exclude=record.exclude,
        other=_others_still_there(record),
    )
    return dataset if labels is None else in_label_order(dataset, labels, folder / LABELS_NAME)


def _others_still_there(record: DataRecord) -> str | None:
    """The folder of other photos, which a model can do without once it is trained."""
    if record.other is None or Path(record.other).is_dir():
        return record.other
    logger.warning("%s: no such folder any more; going on without its photos", record.other)
    return None


def _photos_to_load(folder: Path, data: str | None, labels: tuple[str, ...] | None) -> DataRecord:
    """`data`, or what the record names, with the recorded split if it is that."""
    from edgebee.photos.dataset import HYMENOPTERA_SOURCE

    path = folder / HISTORY_NAME
    record = read_training_record(folder, or_none=data is not None)
    if record is not None and record.data is None and data is None:
        raise DataError(
            f"{path}: damaged, so the photos of this training are unknown; name them with --data"
        )
    recorded = record.data if record is not None else None
    if recorded is not None and (data is None or _same_source(data, recorded.source)):
        return recorded
    if data is not None:
        return DataRecord(data)
    if labels is not None and class_labels(labels) != ("ants", "bees"):
        raise DataError(
            f"{path}: missing, so the photos of this training are unknown; name them with --data"
        )
    logger.info("no %s: taking the %s photos; name others with --data", path, HYMENOPTERA_SOURCE)
    return DataRecord(HYMENOPTERA_SOURCE)


def _same_source(data: str, source: str) -> bool:
    """Whether `--data` names the recorded source, which for a folder is its absolute path."""
    from edgebee.photos.dataset import HYMENOPTERA_SOURCE, SAMPLE_SOURCE

    if data in (HYMENOPTERA_SOURCE, SAMPLE_SOURCE):
        return data == source
    return str(Path(data).expanduser().resolve()) == source


def write_checksums(folder: Path) -> Path:
    """Write the checksums of the artifacts that are in `folder` now.

    Raises:
        OutputError: an artifact cannot be read, or the file not be written.
    """
    names = sorted({path.name for pattern in ARTIFACT_PATTERNS for path in folder.glob(pattern)})
    lines = []
    for name in names:
        try:
            digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise OutputError(f"{folder / name}: cannot be read ({error.strerror})") from error
        lines.append(f"{digest}  {name}\n")
    path = folder / CHECKSUMS_NAME
    write_text(path, "".join(lines))
    return path
