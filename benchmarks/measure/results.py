"""What a benchmark knows: the dataclasses behind `benchmark.json`.

Everything that the tables and the report page show is in a `Results` or computed from it. A field
that is added keeps `format_version`; one that is taken away or changes its meaning raises it.

Machines and times are in `edgebee.benchmarks.measure.devices`. Units: shares 0-1, sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgebee.benchmarks.measure.devices import Device
from edgebee.errors import BenchmarkError
from edgebee.files import write_bytes
from edgebee.run import NeitherRecord, RejectionRecord
from edgebee.stats import Interval

__all__ = [
    "FORMAT_VERSION",
    "Accuracy",
    "AsSeen",
    "ClassFigures",
    "Data",
    "NeitherRecord",
    "PairedTest",
    "Photo",
    "Rejection",
    "RejectionRecord",
    "Results",
    "Settings",
    "Stranger",
    "Variant",
]

FORMAT_VERSION: Literal[3] = 3


@dataclass(frozen=True)
class Photo:
    """A photo that every variant classified.

    Attributes:
        name: the path below the data's root, with `/`.
        label: index of its label.
    """

    name: str
    label: int


@dataclass(frozen=True)
class Stranger:
    """A picture of none of the classes, for models that know `neither`.

    Attributes:
        name: a photo's path as of `Photo`, or which frame it is, as `fog 3`.
        source: `other photos` or `blank frames`.
    """

    name: str
    source: str


@dataclass(frozen=True)
class Data:
    """The photos.

    Attributes:
        name: of the data set.
        root: the folder that the photos' names are below.
        drawn: whether these are drawings, on which nothing measured is a result.
        labels: the classes, in the order of the scores.
        photos: those that could be read.
        skipped: a message for each that could not.
        strangers: pictures of none of the classes; empty where no model knows `neither`.
    """

    name: str
    root: str
    drawn: bool
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    skipped: tuple[str, ...]
    strangers: tuple[Stranger, ...] = ()


@dataclass(frozen=True)
class ClassFigures:
    """What became of one class.

    Attributes:
        label: its name.
        photos: how many there are.
        precision: share correct of the photos that were given this label; null when none was.
        recall: share of this class's photos that were given its label; null without photos.
    """

    label: str
    photos: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class PairedTest:
    """A variant compared with the reference on the same photos.

    Attributes:
        agreement: share of photos for which both predict the same label.
        gained: photos that the variant alone predicts correctly.
        lost: photos that the reference alone predicts correctly.
        p: exact two-sided McNemar p of `gained` and `lost`: how often chance alone would make
            them differ so much.
    """

    agreement: float
    gained: int
    lost: int
    p: float


@dataclass(frozen=True)
class AsSeen:
    """What the user of a model that knows `neither` sees, by its own threshold.

    Attributes:
        correct: photos that are given their label.
        interval: Wilson's 95 % interval of their share.
        neither: photos that are called `neither`.
        unknown: photos that are called `unknown`.
        kept_interval: Wilson's 95 % interval of the share of the correct predictions that is kept:
            `correct` here of `correct` by the best class.
        confusion: `[label][prediction]`, as below, with a column for `neither` and one for
            `unknown` at the end.
    """

    correct: int
    interval: Interval
    neither: int
    unknown: int
    kept_interval: Interval | None
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Rejection:
    """How a variant tells strangers of one source from the photos of the classes.

    Attributes:
        source: as of `Stranger`.
        count: strangers.
        accepted: those that are taken for a class, by its name or as `unknown`.
        accepted_interval: Wilson's 95 % interval of their share.
        auroc: how often a stranger's score of `neither` is above a class photo's, 0-1.
        auroc_interval: Newcombe's 95 % interval of it.
        fpr95: share that would be accepted at the setting that keeps 95 % of the class photos, 0-1.
        fpr95_interval: Wilson's 95 % interval of it, that setting taken as given.
    """

    source: str
    count: int
    accepted: int
    accepted_interval: Interval
    auroc: float
    auroc_interval: Interval
    fpr95: float
    fpr95_interval: Interval


@dataclass(frozen=True)
class Accuracy:
    """How many photos a variant predicted correctly, and how sure that is.

    By the best class: `neither` is left out, and no threshold is applied.

    Attributes:
        correct: photos whose best score is that of their label.
        total: photos.
        interval: Wilson's 95 % interval of the accuracy.
        confusion: `[label][prediction]`, photos of each label by what was predicted.
        classes: precision and recall, one for each label.
        calibration_error: expected calibration error in 15 bins, 0-1.
        against: compared with the reference; null for itself and without one.
        as_seen: with `neither` and `unknown` counted as incorrect; null for a model that does not
            know `neither`.
    """

    correct: int
    total: int
    interval: Interval
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[ClassFigures, ...]
    calibration_error: float
    against: PairedTest | None
    as_seen: AsSeen | None = None


@dataclass(frozen=True)
class Variant:
    """One model file, on this machine.

    Attributes:
        name: of the file, as `model_int8.tflite`.
        format: `keras`, `float32`, `float16`, `dynamic`, `int8` or another name's ending.
        size_bytes: of the file.
        sha256: of the file.
        scores: `[photo][label]`, 0-1, in the order of `data.photos` and `data.labels`; of a model
            that knows it, that of `neither` is the last.
        accuracy: computed from the scores.
        stranger_scores: likewise, in the order of `data.strangers`.
        rejections: computed from them, one for each source.
    """

    name: str
    format: str
    size_bytes: int
    sha256: str
    scores: tuple[tuple[float, ...], ...]
    accuracy: Accuracy
    stranger_scores: tuple[tuple[float, ...], ...] = ()
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How it was measured.

    Attributes:
        rounds: in which every variant was timed once.
        photos_a_round: photos timed in each.
        threads: for invoking, on this machine.
    """

    rounds: int
    photos_a_round: int
    threads: int


@dataclass(frozen=True)
class Results:
    """A whole benchmark: the content of `benchmark.json`.

    Attributes:
        edgebee: version that measured.
        date: ISO 8601, UTC, to the second.
        data: the photos.
        settings: how it was measured.
        reference: name of the variant that accuracy is held against: `model.keras`; null
            when there was none.
        variants: models and their accuracy, the reference first.
        devices: machines and times, this machine first.
        artifacts: folder of the models when they were measured.
        format_version: of this schema.
        neither: what training recorded of it, with its own held-out pictures; null where the
            model was trained without.
    """

    edgebee: str
    date: str
    data: Data
    settings: Settings
    reference: str | None
    variants: tuple[Variant, ...]
    devices: tuple[Device, ...]
    artifacts: str
    format_version: Literal[3]
    neither: NeitherRecord | None = None

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            KeyError: there is none.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{one.name} {one.accuracy.correct}/{one.accuracy.total}" for one in self.variants
        )
        return f"<Results {self.data.name}: {counts or 'no model'}>"

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """Read a `benchmark.json`.

        Raises:
            BenchmarkError: it cannot be read, is damaged, or has another format version.
        """
        import msgspec

        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except OSError as error:
            raise BenchmarkError(
                f"{path}: cannot be read ({error.strerror}); check its name"
            ) from error
        except ValueError as error:  # msgspec's are such
            raise BenchmarkError(
                f"{path}: not a benchmark.json of format {FORMAT_VERSION} ({error}); measure "
                "again with: edgebee benchmark"
            ) from error

    def write(self, path: str | Path) -> None:
        """Write `benchmark.json`.

        Raises:
            OutputError: it could not be written.
        """
        import msgspec

        write_bytes(Path(path), msgspec.json.format(msgspec.json.encode(self), indent=1))

    def to_markdown(self) -> str:
        """The headline, all tables and the conditions as Markdown."""
        from edgebee.benchmarks.report.tables import to_markdown

        return to_markdown(self)

    def write_report(self, path: str | Path) -> Path:
        """Write the report as one HTML page.

        The training's curves and Grad-CAM come from `artifacts`; the page leaves out
        what is no longer there.

        Args:
            path: as `report.html`.

        Returns:
            The page's path.

        Raises:
            OutputError: the page could not be written.
        """
        from edgebee.benchmarks.report.page import write_page

        return write_page(Path(path), self)
