"""A converted model against the Keras model, on photos that neither was fitted to.

Every variant answers the same held-out photos in the runner's own way, through its
`make_interpreter` and `invoke`. Photos are decoded once and Keras scores them once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.representative import draw_order
from edgebee.edge.classify import ModelError, PhotoError, invoke, make_interpreter, read_photo
from edgebee.errors import ConversionError, OutputError
from edgebee.stats import PairedComparison, compare_paired

__all__ = [
    "MAX_DROP_POINTS",
    "MAX_PHOTOS",
    "HeldOut",
    "Verification",
    "check_reference",
    "read_held_out",
    "run_model",
    "score_keras",
    "verify",
]

MAX_DROP_POINTS = 2.0
"""By default a variant may lose so much, or one photo where one photo is more.

One photo of few is many points, and tells nothing: at a score near one half, rounding alone
decides. If conversion is harmless and turns 1 % of the answers, either way alike, then a net
loss beyond this limit comes in less than 3 % of conversions, whatever the number of photos;
a real loss of 10 points is refused in 9 of 10 from 40 photos on (both are tests). The p-value
is told and not asked: with 12 photos, half of them lost are not significant.
"""

MIN_AGREEMENT = 0.8
"""Share of the photos on which a variant and Keras must say the same label, right or wrong: a
model that is no better than chance could lose everything without losing accuracy."""

MAX_PHOTOS = 1000
"""So many held-out photos are kept decoded: 150 MB at 224 pixels."""

_BATCH = 32


@dataclass(frozen=True)
class HeldOut:
    """Validation photos with what the Keras model says of them."""

    pixels: npt.NDArray[np.uint8]
    """`[photos, H, W, 3]`, as the runner reads them."""
    classes: npt.NDArray[np.int64]
    """`[photos]`, the right classes."""
    reference: npt.NDArray[np.float32]
    """`[photos, labels]`, Keras' scores."""
    skipped: tuple[str, ...]
    """What could not be read, one message each."""

    @property
    def reference_right(self) -> npt.NDArray[np.bool_]:
        """`[photos]`: where Keras is right."""
        return np.asarray(self.reference.argmax(axis=1) == self.classes)


@dataclass(frozen=True)
class Verification:
    """What was seen of one variant."""

    comparison: PairedComparison
    agreement: int
    """Photos on which it says the same label as Keras."""
    largest_difference: float
    """Of any score to Keras' score, 0-1."""

    def __str__(self) -> str:
        seen, interval = self.comparison, self.comparison.interval
        return (
            f"{seen.correct} of {seen.total} correct (Keras {seen.reference_correct}), the same "
            f"label on {self.agreement}, largest score difference {self.largest_difference:.3f}; "
            f"{seen.drop:.1f} points lost (95 % interval {interval.low:.1f} to "
            f"{interval.high:.1f}, exact McNemar p = {seen.p:.2g})"
        )

    @property
    def short(self) -> str:
        """The figures without their uncertainty."""
        seen = self.comparison
        return (
            f"{seen.correct} of {seen.total} correct (Keras {seen.reference_correct}), largest "
            f"score difference {self.largest_difference:.3f}"
        )

    def problem(self, max_drop: float) -> str | None:
        """Why a variant must not be used; None when it may.

        Args:
            max_drop: points of accuracy that may be lost, 0-100.
        """
        seen = self.comparison
        if not np.isfinite(self.largest_difference):
            return "gives scores that are no numbers"
        if seen.lost - seen.gained > max(1.0, max_drop * seen.total / 100):
            return f"loses more than --max-drop {max_drop:g}"
        if seen.total - self.agreement > max(1.0, (1 - MIN_AGREEMENT) * seen.total):
            return "is another model than the Keras one"
        return None


def read_held_out(
    paths: Sequence[Path],
    classes: Sequence[int],
    model: Any,
    *,
    seed: int = 0,
    progress: Callable[[], object] = lambda: None,
) -> HeldOut:
    """Read validation photos, and let the Keras model score them.

    Args:
        paths: validation photos; of more than `MAX_PHOTOS` so many are drawn, class by class.
        classes: the class of each.
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        seed: which photos, of many.
        progress: called after each photo.

    Raises:
        ConversionError: no photo could be read.
    """
    size = model.input_shape[1:3]
    read: list[npt.NDArray[np.uint8]] = []
    used: list[int] = []
    skipped: list[str] = []
    for place in sorted(draw_order(classes, seed)[:MAX_PHOTOS]):
        try:
            read.append(read_photo(paths[place], size))
        except PhotoError as error:
            skipped.append(str(error))
            continue
        used.append(classes[place])
        progress()
    if not read:
        raise ConversionError(
            "there is no readable validation photo to verify the conversion on; add photos, or "
            "name others with --data"
        )
    pixels = np.stack(read)
    return HeldOut(pixels, np.array(used), score_keras(model, pixels), tuple(skipped))


def score_keras(model: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Scores of the Keras model.

    Args:
        model: Keras, `[N, H, W, 3]` in 0..255 -> `[N, labels]`.
        pixels: `[photos, H, W, 3]`.

    Returns:
        `[photos, labels]`.
    """
    # Every batch is a full one, the last filled up with its first photo: for another size the
    # model would be traced anew, which takes longer than the photos do.
    scores = []
    for start in range(0, len(pixels), _BATCH):
        batch = pixels[start : start + _BATCH]
        fill = np.repeat(batch[:1], _BATCH - len(batch), axis=0)
        full = np.concatenate([batch, fill]).astype(np.float32)
        scores.append(np.asarray(model.predict_on_batch(full), np.float32)[: len(batch)])
    return np.concatenate(scores)


def check_reference(
    held_out: HeldOut, labels: Sequence[str], recorded: tuple[int, int] | None
) -> str | None:
    """Hold the Keras model to what it should be, before anything is compared with it.

    Args:
        held_out: photos and Keras' scores.
        labels: one name per score.
        recorded: how many of how many validation photos its training had right, where that is
            known and was on these same photos.

    Returns:
        A warning, or None.

    Raises:
        ConversionError: its scores are no shares of one, its labels are exchanged, or it does
            not do here what it did when it was trained.
    """
    scores = held_out.reference
    if scores.min() < 0 or np.abs(scores.sum(axis=1) - 1).max() > 0.01:
        raise ConversionError(
            f"the Keras model's scores go from {scores.min():.3g} to {scores.max():.3g} and do not "
            "add up to 1; end it with a softmax, so that a score means something"
        )
    _check_labels(held_out, labels)
    correct, total = int(held_out.reference_right.sum()), len(held_out.classes)
    # A score near one half may fall to the other side on another processor.
    leeway = max(1, total // 100)
    if recorded is not None and recorded[1] == total and abs(correct - recorded[0]) > leeway:
        raise ConversionError(
            f"the Keras model has {correct} of {total} validation photos right, but "
            f"{recorded[0]} when it was trained: the model, the photos or the way they are "
            "read have changed; train again"
        )
    commonest = int(np.bincount(held_out.classes).max())
    if correct <= commonest:
        return (
            f"the Keras model itself has {correct} of {total} validation photos right, and always "
            f"saying the commonest label {commonest}; it takes pixels 0-255: does its Rescaling "
            "belong to it?"
        )
    return None


def _check_labels(held_out: HeldOut, labels: Sequence[str]) -> None:
    """Refuse labels in another order than the scores'.

    Then each class gets its answers under another name: the answer given most often differs
    from class to class, as it should, but is not the class itself.
    """
    said, right = held_out.reference.argmax(axis=1), held_out.reference_right
    often = {
        int(one): int(np.bincount(said[held_out.classes == one]).argmax())
        for one in np.unique(held_out.classes)
    }
    exchanged = [one for one, answer in often.items() if one != answer]
    renamed = np.array([often[int(one)] for one in held_out.classes]) == said
    seen = compare_paired(renamed, right)
    # A model that is no good gives other answers by chance: as many more as fewer are right.
    if exchanged and len(set(often.values())) == len(often) and seen.drop > 0 and seen.p < 0.01:
        names = ", ".join(labels[one] for one in exchanged)
        raise ConversionError(
            f"the labels {names} are exchanged: as they stand {seen.correct} of {seen.total} "
            f"validation photos are right, in the order of the answers {seen.reference_correct}; "
            "put the labels.txt that belongs to the model beside it"
        )


def run_model(
    content: bytes, pixels: npt.NDArray[np.uint8], *, builtin_kernels: bool = False
) -> npt.NDArray[np.float32]:
    """Scores of a `.tflite` file as the runner gets them.

    Args:
        content: the file.
        pixels: `[photos, H, W, 3]`.
        builtin_kernels: without XNNPACK, which is bit for bit what tflite-runtime 2.14 does.

    Returns:
        `[photos, labels]`.

    Raises:
        ModelError: it does not load or run.
        OutputError: there is no room for a temporary file.
    """
    with _temporary_file(content) as path:
        try:
            interpreter = _builtin_interpreter(path) if builtin_kernels else make_interpreter(path)
            return np.stack([invoke(interpreter, one) for one in pixels])
        except RuntimeError as error:  # an operator without a kernel for these types
            raise ModelError(f"{path}: {str(error).strip().splitlines()[0]}") from error


@contextmanager
def _temporary_file(content: bytes) -> Iterator[Path]:
    """The model as a file, since that is what the runner reads."""
    with ExitStack() as stack:
        try:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "model.tflite")
            path.write_bytes(content)
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: no room there for a temporary file "
                f"({error.strerror}); set TMPDIR to another folder"
            ) from error
        yield path


def _builtin_interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    return interpreter


def verify(content: bytes, held_out: HeldOut) -> Verification:
    """Run a `.tflite` file on the held-out photos and compare it with Keras.

    Raises:
        ModelError: it does not load.
    """
    scores = run_model(content, held_out.pixels)
    said = scores.argmax(axis=1)
    return Verification(
        comparison=compare_paired(held_out.reference_right, said == held_out.classes),
        agreement=int((said == held_out.reference.argmax(axis=1)).sum()),
        largest_difference=float(np.abs(scores - held_out.reference).max()),
    )
