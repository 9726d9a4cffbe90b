"""A converted model against the Keras model, on photos that neither was fitted to.

Every format classifies the same validation photos in the runner's own way, through its
`make_interpreter` and `invoke`. Photos are decoded once and Keras scores them once.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.validation_set import Strangers, ValidationSet
from edgebee.edge.classify import ModelError, invoke, make_interpreter, native_messages_silenced
from edgebee.errors import OutputError
from edgebee.stats import PairedComparison, compare_paired

__all__ = ["NeitherVerification", "Verification", "run_model", "verify"]

_Scores = npt.NDArray[np.float32]

MIN_AGREEMENT = 0.8
"""Share of the photos for which a format and Keras must predict the same label, correct or not: a
model that is no better than chance could change every prediction without losing accuracy."""

MAX_NEITHER_LOST = 0.1
"""Share of the pictures of none of the classes that a format may take for a class where Keras says
`neither`. They are few, and lie nearer to the border than the photos of the classes."""

MAX_NEITHER_DIFFERENCE = 0.1
"""Of the scores of `neither` to Keras', on average: a format whose score hardly moves any more
would order strangers and classes no better than chance, even where its labels are the same."""


@dataclass(frozen=True)
class NeitherVerification:
    """How a format says `neither`, compared with Keras."""

    as_seen: PairedComparison
    """Of the validation photos, where those called `neither` are incorrect."""
    strangers: int
    """Pictures of none of the classes."""
    refused: int
    """Of these, those that the format calls `neither`."""
    reference_refused: int
    """Of these, those that Keras calls so."""
    mean_difference: float
    """Of the scores of `neither` to Keras', of all pictures, 0-1."""

    def __str__(self) -> str:
        return (
            f"neither {self.refused} of {self.strangers} strangers (Keras {self.reference_refused})"
        )

    def problem(self, max_drop: float) -> str | None:
        """As `Verification.problem`."""
        seen = self.as_seen
        if seen.lost - seen.gained > max(1.0, max_drop * seen.total / 100):
            return f"calls more validation photos `neither` than --max-drop {max_drop:g} allows"
        lost = self.reference_refused - self.refused
        if lost > max(1.0, MAX_NEITHER_LOST * self.strangers):
            return "takes strangers for a class where Keras says `neither`"
        if self.mean_difference > MAX_NEITHER_DIFFERENCE:
            return f"its scores of `neither` differ by {self.mean_difference:.2f} on average"
        return None


@dataclass(frozen=True)
class Verification:
    """How a format compared with Keras."""

    comparison: PairedComparison
    agreement: int
    """Photos for which it predicts the same label as Keras."""
    largest_difference: float
    """Of any score to Keras' score, 0-1."""
    neither: NeitherVerification | None = None
    """None for a model that does not know it."""

    def __str__(self) -> str:
        seen, interval = self.comparison, self.comparison.interval
        return (
            f"{self.short}; same label as Keras for {self.agreement}, max. score difference "
            f"{self.largest_difference:.3f}; {seen.drop:.1f} points lost (95 % confidence interval "
            f"{interval.low:.1f} to {interval.high:.1f}, exact McNemar p = {seen.p:.2g})"
        )

    @property
    def short(self) -> str:
        """The counts alone."""
        seen = self.comparison
        counts = f"{seen.correct} of {seen.total} correct (Keras {seen.reference_correct})"
        return counts if self.neither is None else f"{counts}, {self.neither}"

    def problem(self, max_drop: float) -> str | None:
        """Why a format must not be used; None when it may.

        Args:
            max_drop: points of accuracy that may be lost, 0-100.
        """
        seen = self.comparison
        if not np.isfinite(self.largest_difference):
            return "gives scores that are NaN or infinite"
        if seen.lost - seen.gained > max(1.0, max_drop * seen.total / 100):
            return f"loses more than --max-drop {max_drop:g}"
        if seen.total - self.agreement > max(1.0, (1 - MIN_AGREEMENT) * seen.total):
            return "predicts other labels than Keras"
        return None if self.neither is None else self.neither.problem(max_drop)


def verify(content: bytes, photos: ValidationSet) -> Verification:
    """Run a `.tflite` file on the validation photos and compare it with Keras.

    Raises:
        ModelError: it does not load.
    """
    strangers = photos.strangers
    all_pixels = itertools.chain(photos.pixels, () if strangers is None else strangers.pixels)
    scores, strange = np.split(run_model(content, all_pixels), [len(photos.pixels)])
    correct = photos.best_class(scores) == photos.classes
    neither = None
    if strangers is not None:
        neither = _compare_neither(photos, strangers, scores, strange)
    return Verification(
        comparison=compare_paired(photos.reference_correct, correct),
        agreement=int((scores.argmax(axis=1) == photos.reference.argmax(axis=1)).sum()),
        largest_difference=float(np.abs(scores - photos.reference).max()),
        neither=neither,
    )


def _compare_neither(
    photos: ValidationSet, strangers: Strangers, scores: _Scores, strange: _Scores
) -> NeitherVerification:
    """Compare the last score, `neither`, of a format's `scores` and `strange` ones with Keras'."""
    neither = scores.shape[1] - 1
    off = np.concatenate([scores - photos.reference, strange - strangers.reference])[:, neither]
    return NeitherVerification(
        as_seen=compare_paired(
            photos.reference.argmax(axis=1) == photos.classes,
            scores.argmax(axis=1) == photos.classes,
        ),
        strangers=len(strange),
        refused=int((strange.argmax(axis=1) == neither).sum()),
        reference_refused=int((strangers.reference.argmax(axis=1) == neither).sum()),
        mean_difference=float(np.abs(off).mean()),
    )


def run_model(
    content: bytes,
    pixels: Iterable[npt.NDArray[np.uint8]],
    *,
    tried: bool = False,
    builtin_kernels: bool = False,
) -> npt.NDArray[np.float32]:
    """Scores of a `.tflite` file as the runner gets them.

    Args:
        content: the file.
        pixels: `[H, W, 3]` of each photo.
        tried: it has run before, so that no child process need try it first.
        builtin_kernels: without XNNPACK, which is bit-identical with tflite-runtime 2.14.

    Returns:
        `[photos, labels]`.

    Raises:
        ModelError: it does not load or run.
        OutputError: there is no room for a temporary file.
    """
    with _temporary_file(content) as path:
        try:
            if tried or builtin_kernels:
                interpreter = _trusting_interpreter(path, builtin_kernels=builtin_kernels)
            else:
                interpreter = make_interpreter(path)
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


def _trusting_interpreter(path: Path, *, builtin_kernels: bool) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = (
        OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if builtin_kernels else OpResolverType.AUTO
    )
    with native_messages_silenced():
        interpreter = Interpreter(str(path), experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
    return interpreter
