"""Robustness: the accuracy of a model on corrupted photos."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from edgebee.benchmarks.studies.corruptions import DISTORTIONS, SEVERITIES
from edgebee.edge.classify import available_cpus

__all__ = ["Corruption", "Robustness", "corrupted_photos", "measure_robustness"]

Pixels = npt.NDArray[np.uint8]

WORKING_SIDE_PX = 480
"""Photos are corrupted at this short side, if they are larger: twice what the model sees."""


@dataclass(frozen=True)
class Corruption:
    """One way in which all photos are corrupted; no severity for photos as they are."""

    name: str
    severity: str


@dataclass(frozen=True)
class Robustness:
    """Correct predictions of a model, by corruption."""

    correct: dict[Corruption, int]
    total: int
    """Photos of each."""

    def errors(self, severity: str | None = None) -> float:
        """Share of incorrect predictions on corrupted photos, at one severity or at both, 0-1."""
        counted = [
            count
            for way, count in self.correct.items()
            if way.severity and severity in {None, way.severity}
        ]
        return 1 - sum(counted) / (self.total * len(counted))


def corrupted_photos(path: Path) -> Iterator[tuple[Corruption, Pixels]]:
    """A photo as it is, and corrupted in seven ways at two severities, always the same.

    Yields:
        The way and the whole photo, `uint8 [H, W, 3]`, for each model to crop in its own way.
    """
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = min(1.0, WORKING_SIDE_PX / min(upright.size))
    size = (round(upright.width * scale), round(upright.height * scale))
    photo = np.asarray(upright.resize(size, Image.Resampling.LANCZOS))
    yield Corruption("as it is", ""), photo
    for number, (name, corruption) in enumerate(DISTORTIONS.items()):
        for severity, strength in SEVERITIES.items():
            rng = np.random.default_rng([zlib.crc32(path.name.encode()), number])
            yield Corruption(name, severity), corruption(rng, photo, strength)


def measure_robustness(
    models: Sequence[Callable[[Sequence[Pixels]], npt.NDArray[np.int64]]],
    paths: Sequence[Path],
    classes: Sequence[int],
    *,
    progress: Callable[[], object] = lambda: None,
) -> list[Robustness]:
    """Classify photos as they are and corrupted, with several models.

    Args:
        models: each from pictures `uint8 [H, W, 3]` of any size to class indices `[pictures]`.
        paths: photos.
        classes: the true class index of each.
        progress: called after each photo.
    """
    counts: list[dict[Corruption, int]] = [{} for _ in models]
    with ThreadPoolExecutor(available_cpus()) as pool:
        everything = pool.map(lambda path: list(corrupted_photos(path)), paths)
        for pictures, right in zip(everything, classes, strict=True):
            ways, pixels = zip(*pictures, strict=True)
            for count, model in zip(counts, models, strict=True):
                for way, answer in zip(ways, model(pixels), strict=True):
                    count[way] = count.get(way, 0) + int(answer == right)
            progress()
    return [Robustness(count, len(paths)) for count in counts]
