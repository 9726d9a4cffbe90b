"""A converted model against the Keras model, on photos that neither was fitted to.

Every format classifies the same validation photos in the runner's own way, through its
`make_interpreter` and `invoke`. Photos are decoded once and Keras scores them once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.convert.validation_set import ValidationSet
from edgebee.edge.classify import ModelError, invoke, make_interpreter
from edgebee.errors import OutputError
from edgebee.stats import PairedComparison, compare_paired

__all__ = ["Verification", "run_model", "verify"]

MIN_AGREEMENT = 0.8
"""Share of the photos for which a format and Keras must predict the same label, correct or not: a
model that is no better than chance could change every prediction without losing accuracy."""


@dataclass(frozen=True)
class Verification:
    """How a format compared with Keras."""

    comparison: PairedComparison
    agreement: int
    """Photos for which it predicts the same label as Keras."""
    largest_difference: float
    """Of any score to Keras' score, 0-1."""

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
        return f"{seen.correct} of {seen.total} correct (Keras {seen.reference_correct})"

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
        return None


def verify(content: bytes, photos: ValidationSet) -> Verification:
    """Run a `.tflite` file on the validation photos and compare it with Keras.

    Raises:
        ModelError: it does not load.
    """
    scores = run_model(content, photos.pixels)
    predicted = scores.argmax(axis=1)
    return Verification(
        comparison=compare_paired(photos.reference_correct, predicted == photos.classes),
        agreement=int((predicted == photos.reference.argmax(axis=1)).sum()),
        largest_difference=float(np.abs(scores - photos.reference).max()),
    )


def run_model(
    content: bytes, pixels: npt.NDArray[np.uint8], *, builtin_kernels: bool = False
) -> npt.NDArray[np.float32]:
    """Scores of a `.tflite` file as the runner gets them.

    Args:
        content: the file.
        pixels: `[photos, H, W, 3]`.
        builtin_kernels: without XNNPACK, which is bit-identical with tflite-runtime 2.14.

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
