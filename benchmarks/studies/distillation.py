"""Hardening: the whole backbone learns, without labels, to see through the field's damages.

A teacher, the backbone as it is, looks at undamaged pictures; a student that begins as its
copy looks at the same pictures blurred, shaken, noisy, dark, compressed or small, and learns
to say the same. Nothing is said of classes, so what comes out is a backbone for any of them,
and a few hundred photos are enough. Fine-tuning cannot do this: what blur does, it does in
the layers that are frozen there.

The student then goes part of the way back to the teacher (Wortsman et al., "Robust
fine-tuning of zero-shot models", CVPR 2022): a mean of their weights keeps nearly all that
was gained and forgets less of what undamaged photos look like.

Imports Keras at the top: import it only where training happens.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from edgebee.edge.classify import available_cpus, read_photo
from edgebee.errors import TrainingError
from edgebee.train.adam import Adam
from edgebee.train.augmentation import FIELD_VIEWS, crop_flip_turn, light, view_small
from edgebee.train.backbone import layers_above
from edgebee.train.fused import FusedLayers, multiplies_bfloat16

__all__ = ["DistillationExample", "harden", "make_distillation_example", "save_weights"]

Pixels = npt.NDArray[np.uint8]

EPOCHS = 16
LEARNING_RATE = 3e-4
"""Adam's, at its highest."""
STUDENT_SHARE = 0.5
"""Of the student in the mean of weights; the rest is the teacher's."""
PHOTOS_A_STEP = 2
SHARE_OF_AREA = (0.2, 1.0)
"""Of the photo in a crop: small ones make many pictures of few photos."""


@dataclass(frozen=True)
class DistillationExample:
    """Pictures of one photo: for the teacher undamaged, for the student those and damaged ones."""

    undamaged: tuple[Pixels, ...]
    """`uint8 [side, side, 3]` each."""
    shown: tuple[Pixels, ...]
    """`uint8 [side, side, 3]` each."""
    same_as: tuple[int, ...]
    """Of each shown picture, the undamaged one that it should look like."""
    in_place: tuple[bool, ...]
    """Whether it shows the same things in the same places."""


def make_distillation_example(
    path: Path, side_px: int, rng: np.random.Generator
) -> DistillationExample:
    """The photo as the runner sees it and two crops; each undamaged, damaged twice, and one small.

    Raises:
        PhotoError: the photo cannot be read.
    """
    plain = read_photo(path, (side_px, side_px))
    if rng.random() < 0.5:
        plain = np.ascontiguousarray(plain[:, ::-1])
    photo = Image.fromarray(read_photo(path, (2 * side_px, 2 * side_px)))
    crops = (light(rng, crop_flip_turn(rng, photo, side_px, scale=SHARE_OF_AREA)) for _ in range(2))
    undamaged = (plain, *crops)
    places = [place % len(undamaged) for place in range(len(FIELD_VIEWS))]
    damages = [FIELD_VIEWS[number] for number in rng.permutation(len(FIELD_VIEWS))]
    damaged = (damage(rng, undamaged[place]) for damage, place in zip(damages, places, strict=True))
    small = light(rng, view_small(rng, photo, side_px))
    shown = (*undamaged, *damaged, small)
    same_as = (*range(len(undamaged)), *places, 0)
    return DistillationExample(undamaged, shown, same_as, (*([True] * (len(shown) - 1)), False))


def harden(
    backbone: Any,
    photos: Sequence[Path],
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Callable[[float], object] = lambda distance: None,
) -> None:
    """Harden a backbone in place.

    Args:
        backbone: from `build_backbone`, with weights that know photos.
        photos: readable ones, of anything.
        epochs: how often each is shown, in new views; 0 leaves the backbone as it is.
        seed: of the views and their order.
        progress: called after each step with the student's distance from the teacher: the mean
            square of what differs in the features, 1 for those of another photo.

    Raises:
        PhotoError: a photo cannot be read.
    """
    side_px = int(backbone.input_shape[1])
    steps = epochs * -(-len(photos) // PHOTOS_A_STEP)
    hardening = _Hardening(backbone, photos, steps)
    for lessons in _lessons(photos, side_px, epochs, seed):
        progress(hardening.learn(lessons))
    hardening.go_back()


def _lessons(
    photos: Sequence[Path], side_px: int, epochs: int, seed: int
) -> Iterator[list[DistillationExample]]:
    """The lessons of every step, made on other cores while a step is taken."""

    def lesson(epoch: int, photo: int) -> DistillationExample:
        return make_distillation_example(
            photos[photo], side_px, np.random.default_rng([seed, epoch, photo])
        )

    order = np.random.default_rng(seed)
    with ThreadPoolExecutor(available_cpus()) as pool:
        waiting: list[list[Future[DistillationExample]]] = []
        for epoch in range(epochs):
            shuffled = iter(order.permutation(len(photos)).tolist())
            while step := list(islice(shuffled, PHOTOS_A_STEP)):
                waiting.append([pool.submit(lesson, epoch, photo) for photo in step])
                if len(waiting) > 2 * available_cpus():
                    yield [future.result() for future in waiting.pop(0)]
        for futures in waiting:
            yield [future.result() for future in futures]


class _Hardening:
    """A student that learns from its teacher; the student is the backbone itself."""

    def __init__(self, backbone: Any, photos: Sequence[Path], steps: int) -> None:
        self.backbone = backbone
        self.before = backbone.get_weights()
        teacher = keras.models.clone_model(backbone)
        teacher.set_weights(self.before)
        backbone.trainable = True
        student = layers_above(backbone, 0)
        self._teach = FusedLayers(layers_above(teacher, 0))
        self._learn = FusedLayers(student, bfloat16=multiplies_bfloat16())
        self._adam = Adam(
            [one.value for one in student.trainable_variables],
            steps=steps,
            learning_rate=LEARNING_RATE,
        )
        self._spreads = self._spread(photos)
        picture = (None, *backbone.input_shape[1:])
        self._take_step = tf.function(
            self._step,
            input_signature=[
                tf.TensorSpec(picture, tf.uint8),
                tf.TensorSpec(picture, tf.uint8),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((3,), tf.float32),
            ],
            autograph=False,  # there is no Python control flow to rewrite
        )

    def _spread(self, photos: Sequence[Path]) -> tuple[float, float]:
        """Variance between photos, summed over the features: of pooled ones and of each place."""
        side_px = int(self.backbone.input_shape[1])
        maps = np.concatenate(
            [
                self._teach(_scaled(read_photo(path, (side_px, side_px))[np.newaxis])).numpy()
                for path in photos
            ]
        )
        spreads = maps.mean(axis=(1, 2)).var(axis=0).sum(), maps.var(axis=(0, 1, 2)).sum()
        return max(float(spreads[0]), 1e-6), max(float(spreads[1]), 1e-6)

    def learn(self, lessons: Sequence[DistillationExample]) -> float:
        """One step; the distance before it."""
        firsts = np.cumsum([0, *(len(lesson.undamaged) for lesson in lessons)])
        distance = self._take_step(
            np.stack([picture for lesson in lessons for picture in lesson.undamaged]),
            np.stack([picture for lesson in lessons for picture in lesson.shown]),
            np.concatenate(
                [first + np.array(one.same_as) for first, one in zip(firsts, lessons, strict=False)]
            ).astype(np.int32),
            np.concatenate([lesson.in_place for lesson in lessons]).astype(np.float32),
            self._adam.next_rates(),
        )
        return float(distance)

    def _step(self, undamaged: Any, shown: Any, same_as: Any, in_place: Any, rates: Any) -> Any:
        wanted = tf.gather(self._teach(_scaled(undamaged)), same_as)
        pooled_spread, map_spread = self._spreads
        with tf.GradientTape() as tape:
            maps = self._learn(_scaled(shown))
            pooled = tf.reduce_mean(maps - wanted, axis=(1, 2))
            distance = tf.reduce_mean(tf.reduce_sum(tf.square(pooled), axis=1)) / pooled_spread
            # What a map says place by place is many times what its mean says.
            apart = tf.reduce_sum(tf.reduce_mean(tf.square(maps - wanted), axis=(1, 2)), axis=1)
            objective = distance + tf.reduce_mean(in_place * apart) / map_spread
        self._adam.apply(tape.gradient(objective, self._adam.variables), rates)
        return distance

    def go_back(self) -> None:
        """Part of the way to the teacher."""
        pairs = zip(self.before, self.backbone.get_weights(), strict=True)
        self.backbone.set_weights(
            [before + STUDENT_SHARE * (after - before) for before, after in pairs]
        )


def _scaled(pixels: Any) -> Any:
    """`uint8` pixels -> what the backbone takes, -1..1."""
    return tf.cast(pixels, tf.float32) * (1 / 127.5) - 1.0


def save_weights(model: Any, path: Path) -> None:
    """Write a model's weights, rounded to `float16`, in the format of `model.load_weights`.

    A weight loses less than a thousandth of itself, and the file half its bytes.

    Raises:
        OSError: it could not be written.
        TrainingError: a weight is too large for `float16`, or no number.
    """
    import h5py

    with tempfile.TemporaryDirectory(prefix="edgebee-keras-") as temporary:
        whole = Path(temporary, "model.weights.h5")
        model.save_weights(whole)
        content = io.BytesIO()  # a full disk is then met by one plain write
        with h5py.File(whole) as source, h5py.File(content, "w") as target:

            def copy(name: str, item: Any) -> None:
                if isinstance(item, h5py.Group):
                    copied = target.require_group(name)
                else:
                    with np.errstate(over="ignore"):  # refused below
                        rounded = item[()].astype(np.float16)
                    if not np.isfinite(rounded).all():
                        raise TrainingError(
                            f"{path}: not written: {name} holds a weight too large for float16, or "
                            "no number; start from other weights or photos"
                        )
                    copied = target.create_dataset(name, data=rounded)
                copied.attrs.update(item.attrs)

            source.visititems(copy)
            target.attrs.update(source.attrs)
    path.write_bytes(content.getvalue())
