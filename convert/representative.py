"""The representative data set: the photos that tell the quantizer which values to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebee.convert.representative_checks import CalibrationAudit, audit_calibration
from edgebee.edge.classify import PhotoError, read_photo
from edgebee.errors import ConversionError

__all__ = ["Calibration", "draw_order", "photo_name", "read_calibration"]


@dataclass(frozen=True)
class Calibration:
    """Photos for calibration, read as the runner reads them."""

    pixels: npt.NDArray[np.uint8]
    """`[samples, H, W, 3]`, RGB, 0-255, with both 0 and 255 in it."""
    paths: tuple[Path, ...]
    """Where they come from, in the same order."""
    classes: tuple[int, ...]
    """The class of each."""
    skipped: tuple[str, ...]
    """What could not be read, one message each."""
    audit: CalibrationAudit | None = None
    """What was seen in them, once somebody has looked."""

    def audited(self, root: Path, labels: Sequence[str]) -> Calibration:
        """Itself with an audit.

        Args:
            root: the data set's folder; photos are named by their place below it.
            labels: names of all classes.

        Raises:
            ConversionError: these photos would ruin the model.
        """
        if self.audit is not None:
            return self
        names = self.names(root)
        return replace(self, audit=audit_calibration(self.pixels, names, self.classes, labels))

    def names(self, root: Path) -> tuple[str, ...]:
        """The photos by their place below the data set's folder, with `/`."""
        return tuple(photo_name(root, path) for path in self.paths)

    def representative_dataset(self) -> Iterator[list[npt.NDArray[np.float32]]]:
        """What the TFLite converter asks for: one `float32 [1, H, W, 3]` at a time."""
        for picture in self.pixels:
            yield [picture[np.newaxis].astype(np.float32)]


def photo_name(root: Path, path: Path) -> str:
    """A photo's name below its data set's folder, with `/`."""
    return (path.relative_to(root) if path.is_relative_to(root) else Path(path.name)).as_posix()


def draw_order(classes: Sequence[int], seed: int) -> list[int]:
    """Places of all photos in the order in which they are drawn: class by class in turn.

    Whatever number is taken from its start, every class has its share, and a class with
    few photos gives all it has before the others go on alone.

    Args:
        classes: class index of each photo.
        seed: which photos of a class come first.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(classes))
    turn_of_class: Counter[int] = Counter()
    turns = {}
    for place in shuffled:
        turns[int(place)] = (turn_of_class[classes[place]], classes[place])
        turn_of_class[classes[place]] += 1
    return sorted(turns, key=turns.__getitem__)


def read_calibration(
    paths: Sequence[Path],
    classes: Sequence[int],
    *,
    samples: int,
    size: tuple[int, int],
    seed: int,
    progress: Callable[[], object] = lambda: None,
) -> Calibration:
    """Draw and read the representative data set, from training photos only.

    Two pixels in the corner of the first photo are set to 0 and 255: the quantizer maps the
    smallest and the largest input it sees to the ends of the byte, and only if those are 0
    and 255 does the model take pixels exactly as they are (scale 1, zero point 0).

    Args:
        paths: training photos.
        classes: class index of each.
        samples: how many to draw; all, when there are fewer.
        size: height and width of the model's input, in pixels.
        seed: which photos.
        progress: called after each photo that is used.

    Raises:
        ConversionError: no photo could be read.
    """
    read: list[npt.NDArray[np.uint8]] = []
    used: list[int] = []
    skipped: list[str] = []
    for place in draw_order(classes, seed):
        if len(read) == samples:
            break
        try:
            read.append(read_photo(paths[place], size))
        except PhotoError as error:
            skipped.append(str(error))
            continue
        used.append(place)
        progress()
    if not read:
        raise ConversionError("there are no training photos to calibrate on; name them with --data")
    pixels = np.stack(read)
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    return Calibration(
        pixels,
        tuple(paths[place] for place in used),
        tuple(classes[place] for place in used),
        tuple(skipped),
    )
