"""Folds: parts of the photos, each predicted by what did not learn from it.

Photos of one scene, as a burst of a camera takes them, are in one fold: otherwise the one would be
predicted by a head that learned from the other, and every prediction would look surer than those
for new photos are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["FOLDS", "same_scenes", "stratified_folds"]

Integers = npt.NDArray[np.int64]

FOLDS = 4
"""Parts that the training photos are cut into."""
SAME_SCENE_SHARE = 0.3
"""Of the distance that photos of a class usually have. Two pictures of one subject before two
backgrounds have 0.1 to 0.2 of it, the nearest of photos that were taken apart 0.3 and more."""


def same_scenes(
    features: npt.NDArray[np.floating], classes: npt.NDArray[np.integer]
) -> list[list[int]]:
    """Photos of a class that are much nearer each other than its photos are.

    The nearest are joined first; what would join more than half of a class stays apart, since
    the rest has to teach it.

    Args:
        features: `[photos, features]`, of the photos as they are.
        classes: `[photos]`.

    Returns:
        Groups of two and more places.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.maximum(lengths, 1e-6)
    groups: list[list[int]] = []
    for class_ in np.unique(classes):
        ours = np.flatnonzero(classes == class_)
        for scene in _scenes(1 - directions[ours] @ directions[ours].T):
            groups.append(ours[scene].tolist())
    return groups


def _scenes(distances: npt.NDArray[np.floating]) -> list[list[int]]:
    """Groups of the photos of one class, `distances` `[photos, photos]`."""
    count = len(distances)
    if count < 4:  # half of them is one photo
        return []
    usual = np.array([np.median(np.delete(row, place)) for place, row in enumerate(distances)])
    nearest = distances < SAME_SCENE_SHARE * np.minimum(usual[:, np.newaxis], usual)
    left, right = np.nonzero(np.triu(nearest, 1))
    groups = [[photo] for photo in range(count)]
    for pair in np.argsort(distances[left, right], kind="stable"):
        one, other = groups[left[pair]], groups[right[pair]]
        if one is not other and len(one) + len(other) <= count // 2:
            one += other
            for photo in other:
                groups[photo] = one
    return [group for photo, group in enumerate(groups) if len(group) > 1 and group[0] == photo]


def stratified_folds(
    classes: npt.NDArray[np.integer], folds: int, seed: int, together: Sequence[list[int]] = ()
) -> Integers:
    """Which fold each example is in, every class spread evenly over the folds.

    Args:
        classes: `[n]`.
        folds: how many.
        seed: which examples go together.
        together: groups of examples of a class that are to be in one fold.

    Returns:
        `[n]`, 0 to `folds` - 1.
    """
    grouped = {place for group in together for place in group}
    groups = [*together, *([place] for place in range(len(classes)) if place not in grouped)]
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    order.sort(key=lambda number: -len(groups[number]))  # the large ones while there is room
    fold_of = np.zeros(len(classes), np.int64)
    filled: dict[int, Integers] = {}
    total = np.zeros(folds, np.int64)
    for number in order:
        group = groups[number]
        ours = filled.setdefault(int(classes[group[0]]), np.zeros(folds, np.int64))
        fold = np.lexsort((total, ours))[0]  # the one with the fewest of its class, then of all
        fold_of[group] = fold
        ours[fold] += len(group)
        total[fold] += len(group)
    return fold_of
