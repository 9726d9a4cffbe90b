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
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.edge.classify import PhotoError, available_cpus, native_messages_silenced
from edgebee.errors import OutputError
from edgebee.photos.duplicates import Signature, sign
from edgebee.train.augmentation import AugmentedImage

__all__ = [
    "Activations",
    "Backgrounds",
    "Features",
    "FrozenBase",
    "extract_features",
    "extract_pooled",
    "freeze_base",
    "sign_pixels",
]

Pixels = npt.NDArray[np.uint8]

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


@dataclass(frozen=True)
class Backgrounds:
    """Crops of the background of some photos."""

    photos: npt.NDArray[np.int64]
    """`[crops]`, which photo each was cut from."""
    pooled: npt.NDArray[np.float32]
    """`[crops, features]`"""


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
    backgrounds: Backgrounds | None = None
    """None where no crops were asked for."""

    @property
    def augmentations(self) -> int:
        """How many images there are of each photo."""
        return int(self.uncorrupted.shape[1])


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
    photos: Sequence[Path],
    classes: Sequence[int],
    augment: Callable[[Path, int], Iterator[AugmentedImage]],
    augmentations: int,
    folder: Path,
    *,
    backgrounds: Callable[[int, npt.NDArray[np.float32]], Iterable[Pixels]] | None = None,
    progress: Callable[[], object] = lambda: None,
) -> Features:
    """Send every augmented image of every photo through the frozen base once.

    Photos are decoded, varied and invoked on all cores; each core holds one photo at a time.
    A photo that cannot be read is noted and left out.

    Args:
        base: from `freeze_base`.
        photos: paths, `[photos]`.
        classes: class index of each, `[photos]`.
        augment: (path, place in `photos`) -> `augmentations` images of it.
        augmentations: how many images `augment` gives.
        folder: where activations go that do not fit the memory budget.
        backgrounds: (place in `photos`, lengths `[h, w]` of the first image's feature vectors)
            -> crops of its background.
        progress: called after each photo.
    """
    rows = len(photos) * augmentations
    boundary = Activations(rows, base.boundary_shape, folder)
    pooled = Activations(rows, (base.feature_count,), folder)
    local = threading.local()

    uncorrupted = np.arange(rows).reshape(-1, augmentations)
    unreadable: dict[int, str] = {}
    signatures: list[Signature | None] = [None] * len(photos)
    crops: dict[int, list[npt.NDArray[np.float32]]] = {}

    def extract(photo: int) -> None:
        if not hasattr(local, "invoke"):
            local.invoke = _invoker(base.graph)
        try:
            for number, image in enumerate(augment(photos[photo], photo)):
                row = photo * augmentations + number
                boundary[row], norms, pooled[row] = local.invoke(image.pixels)
                if number == 0:
                    signatures[photo] = sign_pixels(image.pixels)
                    strengths = norms
                uncorrupted[photo, number] = photo * augmentations + image.uncorrupted
            if backgrounds is not None:
                crops[photo] = [local.invoke(crop)[2] for crop in backgrounds(photo, strengths)]
        except PhotoError as error:
            unreadable[photo] = str(error)

    with ThreadPoolExecutor(available_cpus()) as pool:
        for _ in pool.map(extract, range(len(photos))):
            progress()
    readable = np.setdiff1d(np.arange(len(photos)), list(unreadable)).astype(np.int64)
    return Features(
        boundary,
        pooled,
        np.asarray(classes, np.int64),
        uncorrupted,
        readable,
        dict(sorted(unreadable.items())),
        tuple(signatures),
        None if backgrounds is None else _gathered(crops, base.feature_count),
    )


def sign_pixels(pixels: Pixels) -> Signature | None:
    """The signature of RGB pixels, by which photos that show the same are found."""
    return sign(np.asarray(Image.fromarray(pixels).convert("L")))


def _gathered(crops: dict[int, list[npt.NDArray[np.float32]]], feature_count: int) -> Backgrounds:
    """Photo -> features of its crops, in the photos' order."""
    pairs = [(photo, features) for photo in sorted(crops) for features in crops[photo]]
    pooled = np.array([features for _, features in pairs], np.float32).reshape(-1, feature_count)
    return Backgrounds(np.array([photo for photo, _ in pairs], np.int64), pooled)


def extract_pooled(
    base: FrozenBase,
    count: int,
    make: Callable[[int], Iterable[Pixels]],
    *,
    progress: Callable[[], object] = lambda: None,
) -> list[npt.NDArray[np.float32] | str]:
    """Send pictures through the frozen base, of which only the pooled features are wanted.

    Args:
        base: from `freeze_base`.
        count: how many times `make` is called.
        make: number -> pictures.
        progress: called after each.

    Returns:
        Features `[pictures, features]` of each, or why a photo could not be read.
    """
    local = threading.local()

    def extract(number: int) -> npt.NDArray[np.float32] | str:
        if not hasattr(local, "invoke"):
            local.invoke = _invoker(base.graph)
        try:
            return np.array([local.invoke(pixels)[2] for pixels in make(number)], np.float32)
        except PhotoError as error:
            return str(error)

    found = []
    with ThreadPoolExecutor(available_cpus()) as pool:
        for one in pool.map(extract, range(count)):
            found.append(one)
            progress()
    return found


def _invoker(graph: bytes) -> Callable[[Pixels], tuple[npt.NDArray[np.float32], ...]]:
    """A function, for one thread, from pixels to the exits of `FrozenBase`, in their order."""
    from ai_edge_litert.interpreter import Interpreter

    with native_messages_silenced():
        interpreter = Interpreter(model_content=graph, num_threads=1)
        interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    # A graph made from a bare function keeps no names; the ranks tell its exits apart.
    exits = {len(exit_["shape"]): exit_["index"] for exit_ in interpreter.get_output_details()}

    def invoke(pixels: Pixels) -> tuple[npt.NDArray[np.float32], ...]:
        interpreter.set_tensor(entry, pixels[np.newaxis].astype(np.float32))
        interpreter.invoke()
        return tuple(interpreter.get_tensor(exits[rank])[0] for rank in (4, 3, 2))

    return invoke
