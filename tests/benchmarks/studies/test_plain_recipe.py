"""The recipe that edgebee is compared with learns as well as its description says."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs edgebee[train]")


@pytest.mark.slow
@pytest.mark.hymenoptera
def test_it_learns_as_well_as_was_measured(hymenoptera):
    from edgebee.benchmarks.studies.plain_recipe import train_plainly
    from edgebee.photos.dataset import load_dataset
    from edgebee.train.backbone import bundled_weights

    photos = load_dataset(str(hymenoptera), exclude=("imageNotFound.gif",))
    with bundled_weights() as weights:
        training = train_plainly(
            (photos.train.paths, photos.train.classes),
            (photos.validation.paths, photos.validation.classes),
            len(photos.labels),
            weights=weights,
            seed=0,
        )
    # Measured with three seeds: all 244 training photos before fine-tuning.
    assert training.accuracy[9] > 0.99
    # Measured from stored features: 145, 143, 146; by the recipe itself with seed 0: 141. Sums run
    # in any order, which moves a photo or two.
    assert training.val_accuracy[-1] * 153 > 140.5
