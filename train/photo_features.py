"""One photo's work: decoded, augmented, and sent through the frozen base.

What comes of a photo follows from its content, its `PhotoTask` and the frozen base alone, to the
bit: where it is computed, and in which order, decides nothing. `run_here` does it on this
machine's processors; `run_on` on those of a cluster.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgebee.edge.classify import PhotoError, available_cpus, native_messages_silenced
from edgebee.photos.duplicates import Signature, sign
from edgebee.train.augmentation import DecodedPhoto, augment_photo
from edgebee.train.crops import cut_box, random_box, subject_box, vary_subject

if TYPE_CHECKING:
    from edgebee.cluster import Cluster

__all__ = [
    "Exits",
    "ImageFeatures",
    "Outcome",
    "PhotoFeatures",
    "PhotoTask",
    "RunTasks",
    "concatenate",
    "extract_photo",
    "extract_photos",
    "gather",
    "invoke_base",
    "run_here",
    "run_on",
]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

PHOTOS_IN_A_CHUNK = 8
"""Photos that go to a node together: half a second of work, 3 MB of features back."""


@dataclass(frozen=True)
class PhotoTask:
    """What is to be made of a photo."""

    path: Path
    side_px: int
    """Of the frozen base's input."""
    images: int
    """How many: by `augment_photo`, and crops of the subject."""
    seed: tuple[int, ...]
    """Of the augmentation."""
    subject_crops: int = 0
    """How many of the images show the subject cut out, see `vary_subject`; the last ones."""
    background_crops: int = 0
    """How many more parts of it are cut out, which may show its background."""
    content: bytes | None = None
    """Of the file; None: it is read from `path`."""


class Exits(NamedTuple):
    """What the frozen base gives for one image, `float32`."""

    boundary: Floats
    """`[h, w, c]`, the activations at the cut."""
    norms: Floats
    """`[h', w']`, the lengths of the feature vectors."""
    pooled: Floats
    """`[features]`"""


@dataclass(frozen=True)
class ImageFeatures:
    """Outputs of the frozen base for some images."""

    boundary: npt.NDArray[np.float16]
    """`[images, h, w, c]`, at the cut."""
    pooled: npt.NDArray[np.float32]
    """`[images, features]`"""

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, images: slice | npt.NDArray[Any]) -> ImageFeatures:
        return ImageFeatures(self.boundary[images], self.pooled[images])


@dataclass(frozen=True)
class PhotoFeatures:
    """Outputs of the frozen base for the images of one photo."""

    images: ImageFeatures
    uncorrupted: tuple[int, ...]
    """Number of the image that shows the same as this one without corruption, of each."""
    signature: Signature | None
    """Of the photo as the runner sees it, by which photos that show the same are found."""
    crops: ImageFeatures | None
    """Of parts of it; None where none were cut out."""


Outcome: TypeAlias = "PhotoFeatures | str"
"""What came of a task; a text says why the photo could not be read."""

RunTasks: TypeAlias = Callable[[bytes, Sequence[PhotoTask]], Iterator[tuple[int, Outcome]]]
"""The graph of a frozen base and tasks -> place of each task and what came of it, in any order."""


def extract_photo(graph: bytes, task: PhotoTask) -> Outcome:
    """Do the work of one photo.

    Args:
        graph: of `FrozenBase`.
        task: the photo.
    """
    source = DecodedPhoto(task.path if task.content is None else task.content, task.side_px)
    rng = np.random.default_rng(task.seed)
    found, uncorrupted = [], []
    try:
        for image in augment_photo(source, task.images - task.subject_crops, rng):
            found.append(invoke_base(graph, image.pixels))
            uncorrupted.append(image.uncorrupted)
        box, first = subject_box(found[0].norms), len(found)
        for pixels in vary_subject(source, box, task.subject_crops, rng):
            found.append(invoke_base(graph, pixels))
            uncorrupted.append(first)
        crops = [
            invoke_base(graph, cut_box(source.large, random_box(rng), task.side_px))
            for _ in range(task.background_crops)
        ]
    except PhotoError as error:
        # An error about the content alone has no name in it.
        return str(error) if task.content is None else f"{task.path}{str(error)[len('photo') :]}"
    return PhotoFeatures(
        gather(found),
        tuple(uncorrupted),
        sign(np.asarray(Image.fromarray(source.plain).convert("L"))),
        gather(crops) if crops else None,
    )


def gather(exits: Iterable[Exits]) -> ImageFeatures:
    """What is kept of one image or more."""
    several = list(exits)
    boundary = np.array([one.boundary for one in several], np.float16)
    return ImageFeatures(boundary, np.array([one.pooled for one in several], np.float32))


def concatenate(several: Sequence[ImageFeatures]) -> ImageFeatures:
    """The images of all, in their order."""
    return ImageFeatures(
        np.concatenate([one.boundary for one in several]),
        np.concatenate([one.pooled for one in several]),
    )


def extract_photos(graph: bytes, tasks: Sequence[PhotoTask]) -> list[Outcome]:
    """Do the work of some photos, one after the other."""
    return [extract_photo(graph, task) for task in tasks]


def run_here(graph: bytes, tasks: Sequence[PhotoTask]) -> Iterator[tuple[int, Outcome]]:
    """Do all tasks on this machine's processors; each holds one photo at a time."""
    waiting: deque[Future[Outcome]] = deque()
    done = 0
    with ThreadPoolExecutor(available_cpus()) as pool:
        for task in tasks:
            waiting.append(pool.submit(extract_photo, graph, task))
            if len(waiting) > 4 * available_cpus():  # a slow disk must not fill the memory
                yield done, waiting.popleft().result()
                done += 1
        while waiting:
            yield done, waiting.popleft().result()
            done += 1


def run_on(cluster: Cluster) -> RunTasks:
    """What does tasks on a cluster's processors.

    The files' contents go with the tasks: the nodes need neither the folder nor access to it.
    """

    def run(graph: bytes, tasks: Sequence[PhotoTask]) -> Iterator[tuple[int, Outcome]]:
        starts = range(0, len(tasks), PHOTOS_IN_A_CHUNK)
        chunks = (
            [_with_content(task) for task in tasks[start : start + PHOTOS_IN_A_CHUNK]]
            for start in starts
        )
        for number, outcomes in cluster.map(extract_photos, graph, chunks):
            # Copied: arrays are views into the cluster's store, and a signature that is kept would
            # keep the activations of its whole chunk there.
            yield from enumerate(copy.deepcopy(outcomes), starts[number])

    return run


def _with_content(task: PhotoTask) -> PhotoTask:
    try:
        return replace(task, content=task.path.read_bytes())
    except OSError:  # who opens it next says why
        return task


_local = threading.local()


def invoke_base(graph: bytes, pixels: Pixels) -> Exits:
    """Send a picture through the frozen base.

    Each thread has an interpreter of its own, for the graph that it was given last.
    """
    if getattr(_local, "graph", None) is not graph:
        _local.invoke, _local.graph = _invoker(graph), graph
    exits: Exits = _local.invoke(pixels)
    return exits


def _invoker(graph: bytes) -> Callable[[Pixels], Exits]:
    """A function, for one thread, from pixels to the exits of a frozen base."""
    from ai_edge_litert.interpreter import Interpreter

    with native_messages_silenced():
        interpreter: Any = Interpreter(model_content=graph, num_threads=1)
        interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    # A graph made from a bare function keeps no names; the ranks tell its exits apart.
    exits = {len(exit_["shape"]): exit_["index"] for exit_ in interpreter.get_output_details()}

    def invoke(pixels: Pixels) -> Exits:
        interpreter.set_tensor(entry, pixels[np.newaxis].astype(np.float32))
        interpreter.invoke()
        return Exits(*(interpreter.get_tensor(exits[rank])[0] for rank in (4, 3, 2)))

    return invoke
