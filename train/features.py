"""Feature extraction: the frozen part of the backbone, run once per augmented image.

The plain way of two-phase training sends every photo through the frozen base in every
epoch. Frozen layers give the same output each time, so here each augmented image of a photo
passes them once; what comes out at the boundary is stored, and both phases train on that.

The frozen part runs as a TFLite graph, in one single-threaded interpreter per core: on a
CPU that is about three times faster than the same layers in Keras, and a single thread
always adds up in the same order, so that the same photos give the same bits.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.errors import OutputError
from edgebee.photos.duplicates import Signature
from edgebee.train.photo_features import ImageFeatures, PhotoTask, RunTasks, concatenate, run_here

__all__ = [
    "Activations",
    "Backgrounds",
    "Features",
    "FrozenBase",
    "extract_features",
    "freeze_base",
]

MEMORY_BUDGET_BYTES = 1_000_000_000
"""Activations up to this size stay in memory; larger ones go to a file."""


class Activations:
    """Rows of `float16` activations, in memory or, beyond the budget, in an unnamed file.

    The file is read and written by position, not mapped, so that it never counts as the
    process's memory; it has no name, so nothing is left behind however the process ends.

    Args:
        rows: how many.
        shape: of one row.
        folder: where the file goes when one is needed.
        budget_bytes: the most that stays in memory.
    """

    def __init__(
        self,
        rows: int,
        shape: tuple[int, ...],
        folder: Path,
        budget_bytes: int = MEMORY_BUDGET_BYTES,
    ) -> None:
        self.shape = (rows, *shape)
        self._row_bytes = int(np.prod(shape)) * 2
        self._array: npt.NDArray[np.float16] | None = None
        if rows * self._row_bytes <= budget_bytes:
            self._array = np.empty(self.shape, np.float16)
        else:
            _check_space(folder, rows * self._row_bytes)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as self
            self._lock = threading.Lock()

    @property
    def on_disk(self) -> bool:
        """Whether the rows are in a file."""
        return self._array is None

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, row: int, values: npt.NDArray[Any]) -> None:
        if self._array is not None:
            self._array[row] = values
        else:
            content = np.ascontiguousarray(values, np.float16).tobytes()
            with self._lock:
                self._file.seek(row * self._row_bytes)
                self._file.write(content)

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The given rows, as `float32 [len(rows), *shape]`."""
        if self._array is not None:
            return np.asarray(self._array[np.asarray(rows)], np.float32)
        taken: npt.NDArray[np.float32] = np.empty((len(rows), *self.shape[1:]), np.float32)
        with self._lock:
            for place, row in enumerate(rows):
                self._file.seek(int(row) * self._row_bytes)
                content = self._file.read(self._row_bytes)
                taken[place] = np.frombuffer(content, np.float16).reshape(self.shape[1:])
        return taken


def _check_space(folder: Path, size_bytes: int) -> None:
    """Refuse before the work what would fill the disk in the middle of it.

    Raises:
        OutputError: there is too little space.
    """
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise OutputError(
            f"{folder}: {size_bytes / 1e9:.1f} GB are needed there while training, and "
            f"{free / 1e9:.1f} GB are free; free some, or take fewer --augmentations"
        )


@dataclass(frozen=True)
class FrozenBase:
    """The base as a TFLite graph from pixels to three exits.

    They are the activations at the cut, the lengths `[h, w]` of the feature vectors, and the
    pooled features.
    """

    graph: bytes
    boundary_shape: tuple[int, ...]
    feature_count: int

    def no_images(self) -> ImageFeatures:
        """Features of none."""
        return ImageFeatures(
            np.zeros((0, *self.boundary_shape), np.float16),
            np.zeros((0, self.feature_count), np.float32),
        )


@dataclass(frozen=True)
class Backgrounds:
    """Crops of the background of some photos."""

    photos: npt.NDArray[np.int64]
    """`[crops]`, which photo each was cut from."""
    images: ImageFeatures


@dataclass(frozen=True)
class Features:
    """Outputs of the frozen base for a set of photos; row `photo * augmentations + number`."""

    boundary: Activations
    """`[photos * augmentations, h, w, c]` at the cut, for fine-tuning."""
    pooled: Activations
    """`[photos * augmentations, features]` after the whole frozen base, for the head."""
    classes: npt.NDArray[np.int64]
    """`[photos]`"""
    uncorrupted: npt.NDArray[np.int64]
    """`[photos, augmentations]`, the row that shows the same as this one without corruption."""
    photos: npt.NDArray[np.int64]
    """Which photos to use: those that could be read, or a part of them."""
    unreadable: dict[int, str]
    """Photo -> why it could not be read; its rows hold nothing."""
    signatures: tuple[Signature | None, ...]
    """Of each photo as the runner sees it, by which photos that show the same are found."""
    subject_crops: int = 0
    """Of each photo; its last images."""
    learn_subject_crops: bool = True
    """Whether they are learned from, too."""
    backgrounds: Backgrounds | None = None
    """None where no crops were asked for."""

    @property
    def augmentations(self) -> int:
        """How many images there are of each photo."""
        return int(self.uncorrupted.shape[1])

    @property
    def learned(self) -> int:
        """How many images of each photo are learned from, the first ones."""
        return self.augmentations - (0 if self.learn_subject_crops else self.subject_crops)

    def rows(self, photos: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The rows of the images to learn from, `[photos, learned]`."""
        return photos[:, np.newaxis] * self.augmentations + np.arange(self.learned)


def freeze_base(backbone: Any, cut: Any) -> FrozenBase:
    """Make a TFLite graph of the backbone as it is now, with further exits; see `FrozenBase`.

    Args:
        backbone: from `build_backbone`.
        cut: from `cut_below`.
    """
    import keras
    import tensorflow as tf

    from edgebee.train.backbone import pixel_scaling

    at_cut, (scale, offset) = cut.output, pixel_scaling(backbone)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    exits = keras.Model(backbone.input, [at_cut, backbone.output, pooled])

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, *backbone.input_shape[1:]), tf.float32)],
        autograph=False,  # there is no Python control flow to rewrite
    )
    def forward(pixels: Any) -> Any:
        at_boundary, maps, features = exits(pixels * scale + offset, training=False)
        return at_boundary, tf.sqrt(tf.reduce_sum(tf.square(maps), axis=-1)), features

    # With `exits` beside the function it would go the longer way, over a saved model on disk.
    concrete = forward.get_concrete_function()
    graph = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    return FrozenBase(graph, tuple(at_cut.shape[1:]), int(backbone.output.shape[-1]))


def extract_features(
    base: FrozenBase,
    tasks: Sequence[PhotoTask],
    classes: Sequence[int],
    folder: Path,
    *,
    run: RunTasks = run_here,
    progress: Callable[[], object] = lambda: None,
) -> Features:
    """Send every augmented image of every photo through the frozen base once.

    A photo that cannot be read is noted and left out.

    Args:
        base: from `freeze_base`.
        tasks: `[photos]`, all with the same numbers of images and of crops of the subject.
        classes: class index of each, `[photos]`.
        folder: where activations go that do not fit the memory budget.
        run: does the tasks.
        progress: called after each photo.
    """
    augmentations = tasks[0].images
    rows = len(tasks) * augmentations
    boundary = Activations(rows, base.boundary_shape, folder)
    pooled = Activations(rows, (base.feature_count,), folder)
    uncorrupted = np.arange(rows).reshape(-1, augmentations)
    unreadable: dict[int, str] = {}
    signatures: list[Signature | None] = [None] * len(tasks)
    crops: dict[int, ImageFeatures] = {}
    for photo, outcome in run(base.graph, tasks):
        if isinstance(outcome, str):
            unreadable[photo] = outcome
        else:
            first = photo * augmentations
            for number in range(augmentations):
                boundary[first + number] = outcome.images.boundary[number]
                pooled[first + number] = outcome.images.pooled[number]
            uncorrupted[photo] = first + np.array(outcome.uncorrupted)
            signatures[photo] = outcome.signature
            if outcome.crops is not None:
                crops[photo] = outcome.crops
        progress()
    readable = np.setdiff1d(np.arange(len(tasks)), list(unreadable)).astype(np.int64)
    return Features(
        boundary,
        pooled,
        np.asarray(classes, np.int64),
        uncorrupted,
        readable,
        dict(sorted(unreadable.items())),
        tuple(signatures),
        subject_crops=tasks[0].subject_crops,
        backgrounds=_gathered(crops, base)
        if any(task.background_crops for task in tasks)
        else None,
    )


def _gathered(crops: dict[int, ImageFeatures], base: FrozenBase) -> Backgrounds:
    """Photo -> features of its crops, in the photos' order."""
    photos = np.array(
        [photo for photo in sorted(crops) for _ in range(len(crops[photo]))], np.int64
    )
    images = [base.no_images(), *(crops[photo] for photo in sorted(crops))]
    return Backgrounds(photos, concatenate(images))
