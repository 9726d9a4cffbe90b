"""Distillation: the whole backbone learns, without labels, features that survive corruption.

A teacher, the backbone as it is, gets clean images; a student that begins as its copy gets the
same images blurred, shaken, noisy, dark, compressed or small, and learns to give the same
features. No classes are involved, so the result is a backbone for any of them, and a few hundred
photos are enough. Fine-tuning cannot do this: what blur does, it does in the layers that are
frozen there.

The student then goes part of the way back to the teacher (Wortsman et al., "Robust
fine-tuning of zero-shot models", CVPR 2022): a mean of their weights keeps nearly all that
was gained and forgets less of what clean photos look like.

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
from edgebee.train.augmentation import CORRUPTIONS, light, random_crop, small_subject
from edgebee.train.backbone import pixel_scaling
from edgebee.train.fit import bfloat16_products, cosine_schedule

__all__ = ["DistillationExample", "distill", "make_distillation_example", "save_weights"]

Pixels = npt.NDArray[np.uint8]

EPOCHS = 16
LEARNING_RATE = 3e-4
"""Adam's, at its highest."""
STUDENT_SHARE = 0.5
"""Of the student in the mean of weights; the rest is the teacher's."""
PHOTOS_A_STEP = 2
SHARE_OF_AREA = (0.2, 1.0)
"""Of the photo in a crop: small ones make many images of few photos."""


@dataclass(frozen=True)
class DistillationExample:
    """Images of one photo: clean for the teacher, clean and corrupted for the student."""

    clean: tuple[Pixels, ...]
    """`uint8 [side, side, 3]` each."""
    shown: tuple[Pixels, ...]
    """`uint8 [side, side, 3]` each."""
    same_as: tuple[int, ...]
    """Of each shown image, the clean one whose features it should have."""
    in_place: tuple[bool, ...]
    """Whether it shows the same things in the same places."""


def make_distillation_example(
    path: Path, side_px: int, rng: np.random.Generator
) -> DistillationExample:
    """The photo as the runner sees it and two crops; each clean, corrupted twice, and one small.

    Raises:
        PhotoError: the photo cannot be read.
    """
    plain = read_photo(path, (side_px, side_px))
    if rng.random() < 0.5:
        plain = np.ascontiguousarray(plain[:, ::-1])
    photo = Image.fromarray(read_photo(path, (2 * side_px, 2 * side_px)))
    crops = (light(rng, random_crop(rng, photo, side_px, scale=SHARE_OF_AREA)) for _ in range(2))
    clean = (plain, *crops)
    places = [place % len(clean) for place in range(len(CORRUPTIONS))]
    corruptions = [CORRUPTIONS[number] for number in rng.permutation(len(CORRUPTIONS))]
    corrupted = (
        corrupt(rng, clean[place]) for corrupt, place in zip(corruptions, places, strict=True)
    )
    small = light(rng, small_subject(rng, photo, side_px))
    shown = (*clean, *corrupted, small)
    same_as = (*range(len(clean)), *places, 0)
    return DistillationExample(clean, shown, same_as, (*([True] * (len(shown) - 1)), False))


def distill(
    backbone: Any,
    photos: Sequence[Path],
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Callable[[float], object] = lambda distance: None,
) -> None:
    """Distill a backbone into itself, in place.

    Args:
        backbone: from `build_backbone`, with weights that know photos.
        photos: readable ones, of anything.
        epochs: how often each is shown, augmented differently; 0 leaves the backbone as it is.
        seed: of the augmentation and the order.
        progress: called after each step with the student's distance from the teacher: the mean
            square of what differs in the features, 1 for those of another photo.

    Raises:
        PhotoError: a photo cannot be read.
    """
    side_px = int(backbone.input_shape[1])
    steps = epochs * -(-len(photos) // PHOTOS_A_STEP)
    distillation = _Distillation(backbone, photos, steps)
    for examples in _examples(photos, side_px, epochs, seed):
        progress(distillation.learn(examples))
    distillation.go_back()


def _examples(
    photos: Sequence[Path], side_px: int, epochs: int, seed: int
) -> Iterator[list[DistillationExample]]:
    """The examples of every step, made on other cores while a step is taken."""

    def example(epoch: int, photo: int) -> DistillationExample:
        return make_distillation_example(
            photos[photo], side_px, np.random.default_rng([seed, epoch, photo])
        )

    order = np.random.default_rng(seed)
    with ThreadPoolExecutor(available_cpus()) as pool:
        waiting: list[list[Future[DistillationExample]]] = []
        for epoch in range(epochs):
            shuffled = iter(order.permutation(len(photos)).tolist())
            while step := list(islice(shuffled, PHOTOS_A_STEP)):
                waiting.append([pool.submit(example, epoch, photo) for photo in step])
                if len(waiting) > 2 * available_cpus():
                    yield [future.result() for future in waiting.pop(0)]
        for futures in waiting:
            yield [future.result() for future in futures]


class _Distillation:
    """A student that learns from its teacher; the student is the backbone itself."""

    def __init__(self, backbone: Any, photos: Sequence[Path], steps: int) -> None:
        self.backbone = backbone
        self.before = backbone.get_weights()
        teacher = keras.models.clone_model(backbone)
        teacher.set_weights(self.before)
        backbone.trainable = True
        self._teacher = teacher
        self._adam = keras.optimizers.Adam(cosine_schedule(LEARNING_RATE, steps, warm_up=True))
        self._adam.build(backbone.trainable_variables)
        self._spreads = self._spread(photos)
        image = (None, *backbone.input_shape[1:])
        self._take_step = tf.function(
            self._step,
            input_signature=[
                tf.TensorSpec(image, tf.uint8),
                tf.TensorSpec(image, tf.uint8),
                tf.TensorSpec((None,), tf.int32),
                tf.TensorSpec((None,), tf.float32),
            ],
            autograph=False,  # there is no Python control flow to rewrite
        )
        with bfloat16_products(backbone):
            self._take_step.get_concrete_function()

    def _features(self, model: Any, pixels: Any) -> Any:
        """`uint8 [n, side, side, 3]` -> maps `[n, h, w, features]`."""
        scale, offset = pixel_scaling(self.backbone)
        # BatchNorm stays in inference mode.
        return model(tf.cast(pixels, tf.float32) * scale + offset, training=False)

    def _spread(self, photos: Sequence[Path]) -> tuple[float, float]:
        """Variance between photos, summed over the features: of pooled ones and of each place."""
        side_px = int(self.backbone.input_shape[1])
        maps = np.concatenate(
            [
                self._features(
                    self._teacher, read_photo(path, (side_px, side_px))[np.newaxis]
                ).numpy()
                for path in photos
            ]
        )
        spreads = maps.mean(axis=(1, 2)).var(axis=0).sum(), maps.var(axis=(0, 1, 2)).sum()
        return max(float(spreads[0]), 1e-6), max(float(spreads[1]), 1e-6)

    def learn(self, examples: Sequence[DistillationExample]) -> float:
        """One step; the distance before it."""
        firsts = np.cumsum([0, *(len(example.clean) for example in examples)])
        distance = self._take_step(
            np.stack([image for example in examples for image in example.clean]),
            np.stack([image for example in examples for image in example.shown]),
            np.concatenate(
                [
                    first + np.array(one.same_as)
                    for first, one in zip(firsts, examples, strict=False)
                ]
            ).astype(np.int32),
            np.concatenate([example.in_place for example in examples]).astype(np.float32),
        )
        return float(distance)

    def _step(self, clean: Any, shown: Any, same_as: Any, in_place: Any) -> Any:
        wanted = tf.gather(self._features(self._teacher, clean), same_as)
        pooled_spread, map_spread = self._spreads
        with tf.GradientTape() as tape:
            maps = self._features(self.backbone, shown)
            pooled = tf.reduce_mean(maps - wanted, axis=(1, 2))
            distance = tf.reduce_mean(tf.reduce_sum(tf.square(pooled), axis=1)) / pooled_spread
            # What a map says place by place is many times what its mean says.
            apart = tf.reduce_sum(tf.reduce_mean(tf.square(maps - wanted), axis=(1, 2)), axis=1)
            objective = distance + tf.reduce_mean(in_place * apart) / map_spread
        variables = self.backbone.trainable_variables
        self._adam.apply(tape.gradient(objective, variables), variables)
        return distance

    def go_back(self) -> None:
        """Part of the way to the teacher."""
        pairs = zip(self.before, self.backbone.get_weights(), strict=True)
        self.backbone.set_weights(
            [before + STUDENT_SHARE * (after - before) for before, after in pairs]
        )


def save_weights(model: Any, path: Path) -> None:
    """Write a model's weights, rounded to `float16`, in the format of `model.load_weights`.

    A weight loses less than a thousandth of itself, and the file half its bytes.

    Raises:
        OSError: it could not be written.
        TrainingError: a weight is too large for `float16`, or NaN.
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
                            "NaN; start from other weights or photos"
                        )
                    copied = target.create_dataset(name, data=rounded)
                copied.attrs.update(item.attrs)

            source.visititems(copy)
            target.attrs.update(source.attrs)
    path.write_bytes(content.getvalue())
