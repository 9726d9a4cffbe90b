"""Results of models that know `neither`, for the tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from examples import LABELS, PHOTOS, make_results  # beside this file

from edgebee.benchmarks.measure.accuracy import measure_accuracy, measure_rejections
from edgebee.benchmarks.measure.results import Results, Stranger, Variant
from edgebee.benchmarks.measure.scoring import name_blank_frames
from edgebee.run import NeitherRecord, RejectionRecord

THRESHOLD = 0.6
OTHERS = tuple(Stranger(f"/others/{n}.jpg", "other photos") for n in range(10))


def know_neither(variant: Variant, *, refused: int = 2, passing: int = 3) -> Variant:
    """The same variant with one more score.

    Args:
        variant: to start from.
        refused: photos of the classes that it calls neither, the last ones, which are correct.
        passing: of the ten other photos, those that it takes for bees. It takes no blank frame.
    """
    truth = np.arange(PHOTOS) % 2
    neither = np.full((PHOTOS, 1), 0.1)
    neither[PHOTOS - refused :] = 0.7
    scores = np.hstack([np.array(variant.scores) * (1 - neither), neither])
    strangers = (*OTHERS, *name_blank_frames())
    strange = np.tile([0.05, 0.1, 0.85], (len(strangers), 1))
    strange[:passing] = 0.05, 0.9, 0.05
    sources = [one.source for one in strangers]
    return replace(
        variant,
        scores=tuple(map(tuple, scores.tolist())),
        accuracy=replace(
            measure_accuracy(scores, truth, LABELS, None, threshold=THRESHOLD),
            against=variant.accuracy.against,
        ),
        stranger_scores=tuple(map(tuple, strange.tolist())),
        rejections=measure_rejections(scores, strange, sources),
    )


def make_knowing(**int8: int) -> Results:
    """As `make_results`, of a training that left a record of background crops.

    Args:
        int8: for `know_neither`.
    """
    results = make_results()
    keras, model = results.variants
    measured = RejectionRecord("background crops", 80, 0.97, 0.1, 0.15, (0.09, 0.24))
    return replace(
        results,
        data=replace(results.data, strangers=(*OTHERS, *name_blank_frames())),
        variants=(know_neither(keras), know_neither(model, **int8)),
        neither=NeitherRecord(background_crops=160, measurements=(measured,)),
    )
