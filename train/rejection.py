"""Rejection: the score of `neither`, one more logit beside those of the classes.

    logit = w · features + b  -  slope * nearness  +  offset

The row `w, b` is a logistic regression: photos of the classes against crops of their background,
blank frames and the user's other photos. The classes' own logits are held fixed in it, so that it
can change no answer between the classes. Nearness is the largest inner product with a prototype;
the prototypes are the photos of a class in a few means, of length 1. What points away from all of
them is strange, whatever the row says; so is what points their way but is weak: features of
strangers are shorter (Park et al., "Understanding the feature norm for out-of-distribution
detection", ICCV 2023). Slope and offset are fitted to photos that rows and prototypes had not seen.

All of it is learned from the features of the frozen base, in NumPy, within a second. Fine-tuning
holds the features near to those (see `Recipe.feature_distillation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebee.train.calibration import softmax

__all__ = ["Rejection", "Strangers", "judge_left_out", "learn_rejection", "neither_logits"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

COMPONENTS = 128
"""Principal components of the features that the row is learned in: a few hundred photos do not
determine 1280 weights."""
PENALTY = 0.03
"""Of the squared length of the row, beside the mean loss of either side."""
NEARNESS_WEIGHT = 0.5
"""Spread that nearness adds to the logits of known photos, of the spread that the row has."""
PROTOTYPES = 4
"""Of each class; fewer where there are few photos."""
PROTOTYPE_ROUNDS = 12
KEPT_SCORE = 0.7
"""Score of `neither` from which a crop is taken for background, by a row that had not seen it."""
LEAST_BACKGROUND = 10
"""Crops; with fewer, and fewer than `LEAST_BACKGROUND_SHARE`, nothing says what is not there."""
LEAST_BACKGROUND_SHARE = 0.05
"""Of the photos."""
CLEAN_SHARE, CORRUPTED_SHARE = 0.02, 0.15
"""The largest shares of photos held out, plain and corrupted, that may be called `neither`."""
CAUTIOUS_PHOTOS = 30
"""So many photos halve these shares: of few, the quantile is known too badly to be used up."""
PASSED_SHARE = 0.05
"""Where fewer background crops than this pass, the border is moved half way towards them."""
ABOVE_CLASSES = 2.0
"""Of the largest logit of `neither` over any of a class that was seen, also for a stranger: with it
`neither` has e^2 times the score of that class."""
NEWTON_STEPS = 15
SUBSPACE_ROUNDS = 3
CONVERGED = 1e-6
"""Change of the loss, which is near 0.1, at which a fit ends."""


@dataclass(frozen=True)
class Strangers:
    """Features of what is none of the classes; `float32`, `features` wide."""

    background: Floats
    """`[crops, features]`, cut from the training photos."""
    background_of: Integers
    """`[crops]`, place of the photo that each was cut from."""
    blank: Floats
    """`[frames, features]`."""
    others: Floats
    """`[images, features]`, of the user's other photos and what augmentation makes of them."""
    others_of: Integers
    """`[images]`, which photo each shows."""

    @property
    def images(self) -> tuple[Floats, Floats, Floats]:
        """Of every sort."""
        return self.background, self.blank, self.others


@dataclass(frozen=True)
class Heads:
    """Heads of the classes, each learned without one fold of the photos."""

    kernels: Floats
    """`[folds, features, classes]`."""
    biases: Floats
    """`[folds, classes]`."""
    fold_of: Integers
    """`[photos]`, the fold that each photo is in; some may be in none of `folds`."""

    def mean(self) -> tuple[Floats, Floats]:
        """Kernel `[features, classes]` and bias `[classes]` of a head that has learned from all."""
        return self.kernels.mean(axis=0), self.biases.mean(axis=0)


@dataclass(frozen=True)
class Rejection:
    """What gives the logit of `neither`."""

    kernel: Floats
    """`[features]`."""
    bias: float
    prototypes: Floats
    """`[prototypes, features]`, of length 1."""
    slope: float
    """What a nearness of 1 takes from the logit."""
    offset: float
    bounds: tuple[float, float]
    """Between which the logit is kept, see `ABOVE_CLASSES`."""
    kept: Bools
    """`[crops]`, which of them were taken for background."""
    known: npt.NDArray[np.float64]
    """`[photos]`, how strange photos held out seem; above 0 they are called `neither`."""
    background: npt.NDArray[np.float64]
    """`[crops kept]`, likewise, each by a row that had not seen its photo."""
    blank: npt.NDArray[np.float64]
    """`[frames]`, likewise."""

    @property
    def prototypes_per_class(self) -> int:
        """At most."""
        return PROTOTYPES


def neither_logits(features: Floats, rejection: Rejection) -> npt.NDArray[np.float64]:
    """The logits of `neither`, `[n]`, of features `[n, features]`."""
    near = _nearness(features, rejection.prototypes)
    row = features @ rejection.kernel + rejection.bias
    logits = row - rejection.slope * near + rejection.offset
    return np.clip(logits.astype(np.float64), *rejection.bounds)


def strangeness(
    logits: npt.NDArray[np.floating], neither: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """How far `neither` is above the best class, `[...]`; above 0 it wins.

    Args:
        logits: `[..., classes]`.
        neither: `[...]`, the logits of `neither`.
    """
    return np.asarray(neither - logits.max(axis=-1), np.float64)


def learn_rejection(
    known: Floats, classes: Integers, heads: Heads, strangers: Strangers, seed: int
) -> Rejection | str:
    """Learn what gives the logit of `neither`.

    Args:
        known: `[photos, images, features]`, of the photos of the classes: first as they are, then
            varied, then corrupted.
        classes: `[photos]`.
        heads: of the same photos.
        strangers: what is none of the classes.
        seed: of the prototypes.

    Returns:
        What gives the logit, or why there is nothing to learn it from.
    """
    basis = _components(known, strangers)
    folds = range(len(heads.kernels))
    blank_fold = np.arange(len(strangers.blank)) % max(2, len(folds))
    others_fold = strangers.others_of % max(2, len(folds))

    starts: dict[int | None, npt.NDArray[np.float64]] = {}

    def fit(fold: int | None, kept: Bools) -> tuple[Floats, float, Floats, Floats]:
        """Row and head without a fold, or with all photos and the mean of the heads."""
        seen = heads.fold_of != (-1 if fold is None else fold)
        kernel, bias = heads.mean() if fold is None else (heads.kernels[fold], heads.biases[fold])
        inside = known[seen].reshape(-1, known.shape[2])
        outside = np.concatenate(
            [
                strangers.background[kept & seen[strangers.background_of]],
                strangers.blank[blank_fold != fold] if fold is not None else strangers.blank,
                strangers.others[others_fold != fold] if fold is not None else strangers.others,
            ]
        )
        logits = inside @ kernel + bias, outside @ kernel + bias
        start = starts.get(fold, starts.get(0))
        starts[fold] = found = _fit_row(basis, inside, logits[0], outside, logits[1], start)
        row = (basis[1] @ found[:-1]).astype(np.float32)
        return row, float(found[-1] - basis[0] @ row), kernel, bias

    everything = np.ones(len(strangers.background), bool)
    kept = _choose(strangers, heads, [fit(fold, everything) for fold in folds])
    least = max(LEAST_BACKGROUND, LEAST_BACKGROUND_SHARE * len(known))
    if kept.sum() < least and len(strangers.others) == 0:
        return (
            f"in the photos there is too little besides the subject ({int(kept.sum())} crops of "
            "background); name photos of other things with --other"
        )
    judged = [np.full((2, *known.shape[:2]), np.nan)]
    judged += [np.full((2, len(one)), np.nan) for one in (strangers.background, strangers.blank)]
    for fold in folds:
        own, blank = heads.fold_of == fold, blank_fold == fold
        prototypes = _prototypes(known[~own, 0], classes[~own], seed)
        fitted = fit(fold, kept)
        crops = own[strangers.background_of]
        judged[0][:, own] = _judge(known[own], *fitted, prototypes)
        judged[1][:, crops] = _judge(strangers.background[crops], *fitted, prototypes)
        judged[2][:, blank] = _judge(strangers.blank[blank], *fitted, prototypes)
    held_out = ~np.isnan(judged[0][0, :, 0])
    judged[1] = judged[1][:, kept]
    slope, offset = _fit_combination(judged[0][:, held_out], judged[1])
    row, constant, kernel, bias = fit(None, kept)
    lowest = float((known @ kernel + bias).min())
    everyone = known.reshape(-1, known.shape[2]), *strangers.images
    highest = max(float((one @ kernel + bias).max(initial=lowest)) for one in everyone)

    def total(parts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        together = parts[0] - slope * parts[1] + offset
        return np.asarray(together[~np.isnan(together)], np.float64)

    return Rejection(
        kernel=row,
        bias=constant,
        prototypes=_prototypes(known[:, 0], classes, seed),
        slope=slope,
        offset=offset,
        bounds=(lowest, highest + ABOVE_CLASSES),
        kept=kept,
        known=total(judged[0][:, :, 0]),
        background=total(judged[1]),
        blank=total(judged[2]),
    )


def judge_left_out(
    known: Floats,
    classes: Integers,
    heads: Heads,
    strangers: Strangers,
    rejection: Rejection,
    seed: int,
) -> npt.NDArray[np.float64]:
    """How strange the photos of each class seem to what was learned without it.

    Every class is left out once of rows and prototypes, and of the head its own logit. The
    logits of the others had seen it as something that they are not.

    Args:
        known: as in `learn_rejection`.
        classes: likewise.
        heads: likewise.
        strangers: likewise.
        rejection: gives slope and offset.
        seed: of the prototypes.

    Returns:
        `[photos]`, above 0 where they are called `neither`.
    """
    basis = _components(known, strangers)
    kernel, bias = heads.mean()
    found = np.empty(len(known))
    outside = np.concatenate(strangers.images)
    for class_ in range(kernel.shape[1]):
        left = classes == class_
        others = np.arange(kernel.shape[1]) != class_
        part, constant = kernel[:, others], bias[others]
        inside = known[~left].reshape(-1, known.shape[2])
        fitted = _fit_row(
            basis, inside, inside @ part + constant, outside, outside @ part + constant
        )
        row = (basis[1] @ fitted[:-1]).astype(np.float32)
        prototypes = _prototypes(known[~left, 0], classes[~left], seed)
        evidence, near = _judge(
            known[left, 0], row, float(fitted[-1] - basis[0] @ row), part, constant, prototypes
        )
        found[left] = evidence - rejection.slope * near + rejection.offset
    return found


def _judge(
    features: Floats, row: Floats, constant: float, kernel: Floats, bias: Floats, prototypes: Floats
) -> tuple[Floats, Floats]:
    """How far the row's logit is above the best class's, and the nearness, of `[..., features]`."""
    best = (features @ kernel + bias).max(axis=-1)
    return features @ row + constant - best, _nearness(features, prototypes)


def _choose(
    strangers: Strangers, heads: Heads, fits: Sequence[tuple[Floats, float, Floats, Floats]]
) -> Bools:
    """Which crops are background: rows that had not seen their photos say so, `[crops]`.

    The others show the subject, or a part of it.
    """
    kept = np.zeros(len(strangers.background), bool)
    fold_of = heads.fold_of[strangers.background_of]
    for place, (fold, features) in enumerate(zip(fold_of, strangers.background, strict=True)):
        row, constant, kernel, bias = fits[fold if fold < len(fits) else 0]
        logits = np.append(features @ kernel + bias, features @ row + constant)
        kept[place] = softmax(logits)[-1] > KEPT_SCORE
    return kept


def _components(known: Floats, strangers: Strangers) -> tuple[Floats, Floats]:
    """Mean `[features]` and principal components `[features, COMPONENTS]` of all that is there."""
    varied = known[:, min(1, known.shape[1] - 1)]
    rows = np.concatenate([known[:, 0], varied, *strangers.images])
    mean = rows.mean(axis=0)
    centred = rows - mean
    count = min(COMPONENTS, *rows.shape)
    # Randomized (Halko et al., SIAM Review 53, 2011): all 1280 take fifty times as long.
    drawn = np.random.default_rng(0).standard_normal((rows.shape[1], count), dtype=np.float32)
    for _ in range(SUBSPACE_ROUNDS):
        drawn = _orthonormal(centred.T @ (centred @ drawn))
    return mean, drawn


def _orthonormal(columns: Floats) -> Floats:
    """An orthonormal basis of what the columns span.

    By their small matrix of products: NumPy's QR takes a hundred times as long where the threads
    that it splits each step among wait for a busy core.
    """
    wide = columns.astype(np.float64)
    values, vectors = np.linalg.eigh(wide.T @ wide)
    spanned = values > 1e-12 * values[-1]  # with fewer rows than components, not all
    basis: Floats = (wide @ (vectors[:, spanned] / np.sqrt(values[spanned]))).astype(np.float32)
    return basis


def _fit_row(
    basis: tuple[Floats, Floats],
    inside: Floats,
    inside_logits: Floats,
    outside: Floats,
    outside_logits: Floats,
    start: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Logistic regression of outside against inside, by Newton's method.

    Both sides count the same. The score of `neither` in a softmax beside fixed class logits is
    the logistic function of its own logit less the logarithm of their exponentials' sum.

    Args:
        basis: mean and components that the row is learned in.
        inside: `[n, features]`, of the classes.
        inside_logits: `[n, classes]`.
        outside: `[m, features]`, of none of them.
        outside_logits: `[m, classes]`.
        start: the result of a similar fit, which saves steps.

    Returns:
        Weights of the components and constant, `[components + 1]`.
    """
    mean, components = basis
    projected = (np.concatenate([inside, outside]) - mean) @ components
    rows = np.column_stack([projected, np.ones(len(projected), np.float32)])
    logits = np.concatenate([inside_logits, outside_logits]).astype(np.float64)
    highest = logits.max(axis=1)
    classes = highest + np.log(np.exp(logits - highest[:, np.newaxis]).sum(axis=1))
    target = np.repeat([0.0, 1.0], [len(inside), len(outside)])
    weight = np.repeat([1 / len(inside), 1 / len(outside)], [len(inside), len(outside)])
    penalties = np.append(np.full(projected.shape[1], PENALTY), 1e-9)

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        margin = rows @ parameters - classes
        cross_entropy = np.logaddexp(0, margin) - target * margin
        return float((weight * cross_entropy).sum() + (penalties * parameters**2).sum() / 2)

    found = start
    if found is None:
        found = np.append(np.zeros(projected.shape[1]), np.average(classes, weights=weight))
    for _ in range(NEWTON_STEPS):
        score = 1 / (1 + np.exp(-np.clip(rows @ found - classes, -50, 50)))
        gradient = rows.T @ (weight * (score - target)) + penalties * found
        bent = (weight * score * (1 - score)).astype(np.float32)
        curvature = (rows * bent[:, np.newaxis]).T @ rows
        step = np.linalg.solve(curvature + np.diag(penalties), gradient)
        before, length = loss(found), 1.0
        while loss(found - length * step) > before and length > 1e-3:
            length /= 2
        found = found - length * step
        if abs(length * step @ gradient) < CONVERGED:
            break
    return found


def _unit(features: Floats) -> Floats:
    lengths = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-6), np.float32)


def _nearness(features: Floats, prototypes: Floats) -> Floats:
    """The largest inner product with a prototype, `[...]`, of features `[..., features]`."""
    return np.asarray((features @ prototypes.T).max(axis=-1), np.float32)


def _prototypes(features: Floats, classes: Integers, seed: int) -> Floats:
    """Means of similar photos of each class, by spherical k-means.

    Args:
        features: `[photos, features]`.
        classes: `[photos]`.
        seed: which photos the means begin with.

    Returns:
        `[prototypes, features]`, of length 1.
    """
    rng = np.random.default_rng(seed)
    found = []
    for class_ in np.unique(classes):
        photos = _unit(features[classes == class_])
        count = max(1, min(PROTOTYPES, len(photos) // 2))
        means = photos[rng.choice(len(photos), count, replace=False)]
        for _ in range(PROTOTYPE_ROUNDS):
            nearest = (photos @ means.T).argmax(axis=1)
            means = np.stack(
                [
                    photos[nearest == place].mean(axis=0) if (nearest == place).any() else mean
                    for place, mean in enumerate(means)
                ]
            )
            means = _unit(means)
        found.append(means)
    return np.concatenate(found)


def _fit_combination(
    known: npt.NDArray[np.float64], background: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Slope and offset from what rows and prototypes had not seen.

    Args:
        known: `[2, photos, images]`, the row's logit less the best class's, and the nearness.
        background: `[2, crops]`, likewise.
    """
    spreads = known[:, :, 0].std(axis=1)
    slope = NEARNESS_WEIGHT * float(spreads[0]) / max(float(spreads[1]), 1e-6)
    strange = known[0] - slope * known[1]
    caution = len(strange) / (len(strange) + CAUTIOUS_PHOTOS)
    border = np.quantile(strange[:, 0], 1 - CLEAN_SHARE * caution)
    if strange.shape[1] > 2:
        border = max(border, np.quantile(strange[:, 2:], 1 - CORRUPTED_SHARE * caution))
    beyond = background[0] - slope * background[1]
    if len(beyond := beyond[~np.isnan(beyond)]):
        border += max(0.0, float(np.quantile(beyond, PASSED_SHARE)) - border) / 2
    return slope, -float(border)
