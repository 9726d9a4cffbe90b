"""What is reported of a model's predictions, from its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgebee import stats
from edgebee.benchmarks.measure.results import Accuracy, AsSeen, ClassFigures, PairedTest, Rejection
from edgebee.edge.classify import NEITHER, UNKNOWN, choose_label

__all__ = ["compare", "measure_accuracy", "measure_rejections"]

Scores = npt.NDArray[np.floating]
Classes = npt.NDArray[np.int64]


def compare(predicted: Classes, reference: Classes, truth: Classes) -> PairedTest:
    """Compare a variant's predictions with the reference's, photo by photo.

    Args:
        predicted: `[n]`, class indices that the variant gave.
        reference: `[n]`, those of the reference.
        truth: `[n]`, the correct ones.
    """
    counts = stats.compare_paired(reference == truth, predicted == truth)
    agreement = float((predicted == reference).mean())
    return PairedTest(agreement, counts.gained, counts.lost, counts.p)


def measure_accuracy(
    scores: Scores,
    truth: Classes,
    labels: Sequence[str],
    reference: Scores | None,
    *,
    threshold: float = 0.0,
) -> Accuracy:
    """Everything that is reported of a variant's predictions.

    The prediction is the class with the best score, whatever the score and that of `neither`: its
    scores are the shares among the classes.

    Args:
        scores: `[n, labels]`, 0-1, n >= 1; with one more column where the model knows `neither`.
        truth: `[n]`, correct class indices.
        labels: the classes' names.
        reference: the reference's scores, `[n, labels]` or with one more column; None for the
            reference itself.
        threshold: the model's own, for what the user of one that knows `neither` sees.
    """
    shares = _among_classes(scores, len(labels))
    predicted = shares.argmax(axis=1)
    confusion = stats.confusion_matrix(truth, predicted, len(labels))
    correct, total = int(confusion.trace()), len(truth)
    against = as_seen = None
    if reference is not None:
        against = compare(predicted, reference[:, : len(labels)].argmax(axis=1), truth)
    if scores.shape[1] > len(labels):
        as_seen = _as_seen(scores, truth, labels, threshold, correct)
    return Accuracy(
        correct=correct,
        total=total,
        interval=stats.wilson_interval(correct, total),
        confusion=_rows(confusion),
        classes=tuple(_figures(confusion, index, label) for index, label in enumerate(labels)),
        calibration_error=stats.expected_calibration_error(shares, truth),
        against=against,
        as_seen=as_seen,
    )


def _among_classes(scores: Scores, classes: int) -> Scores:
    """The scores without that of `neither`, summing to 1 again."""
    if scores.shape[1] == classes:
        return scores
    kept = scores[:, :classes]
    together = kept.sum(axis=1, keepdims=True)
    # int8 may give all classes 0 where it is sure of `neither`.
    return np.asarray(
        np.where(together > 0, kept / np.where(together > 0, together, 1), 1 / classes)
    )


def _rows(matrix: npt.NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(count) for count in row) for row in matrix)


def _figures(confusion: npt.NDArray[np.int64], index: int, label: str) -> ClassFigures:
    """Precision and recall of one class."""
    correct = int(confusion[index, index])
    predicted, photos = int(confusion[:, index].sum()), int(confusion[index].sum())
    return ClassFigures(
        label=label,
        photos=photos,
        precision=correct / predicted if predicted else None,
        recall=correct / photos if photos else None,
    )


# ------------------------------------------------------------------ neither
def _seen_labels(scores: Scores, labels: Sequence[str], threshold: float) -> Classes:
    """What the user sees, `[n]`: a class's index, then one for `neither` and one for `unknown`."""
    index_of = {label: index for index, label in enumerate((*labels, NEITHER, UNKNOWN))}
    names = (*labels, NEITHER)
    rows = scores.astype(np.float32)
    return np.array([index_of[choose_label(names, row, threshold)] for row in rows])


def _as_seen(
    scores: Scores, truth: Classes, labels: Sequence[str], threshold: float, by_class: int
) -> AsSeen:
    seen, classes, total = _seen_labels(scores, labels, threshold), len(labels), len(truth)
    correct = int((seen == truth).sum())
    return AsSeen(
        correct=correct,
        interval=stats.wilson_interval(correct, total),
        neither=int((seen == classes).sum()),
        unknown=int((seen == classes + 1).sum()),
        kept_interval=stats.wilson_interval(correct, by_class) if by_class else None,
        confusion=_rows(stats.confusion_matrix(truth, seen, classes + 2)[:classes]),
    )


def measure_rejections(
    scores: Scores, strange: Scores, sources: Sequence[str]
) -> tuple[Rejection, ...]:
    """How a variant that knows `neither` tells strangers from photos of the classes, by source.

    Args:
        scores: `[n, labels + 1]`, of photos of the classes.
        strange: `[m, labels + 1]`, of strangers.
        sources: `[m]`, where they come from.
    """
    accepted = strange.argmax(axis=1) < strange.shape[1] - 1
    known = scores[:, -1]
    found = []
    for source in dict.fromkeys(sources):
        of_it = np.array(sources) == source
        count, taken = int(of_it.sum()), int(accepted[of_it].sum())
        area = stats.auroc(known, strange[of_it, -1])
        passing = stats.fpr95(known, strange[of_it, -1])
        found.append(
            Rejection(
                source=source,
                count=count,
                accepted=taken,
                accepted_interval=stats.wilson_interval(taken, count),
                auroc=area,
                auroc_interval=stats.auroc_interval(area, len(known), count),
                fpr95=passing,
                fpr95_interval=stats.wilson_interval(round(passing * count), count),
            )
        )
    return tuple(found)
