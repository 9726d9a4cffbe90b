"""A fit learns as Keras' own model and optimizer would, and goes on where it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from edgebee.train.backbone import build_backbone, cut_below, layers_above
from edgebee.train.batches import Examples
from edgebee.train.fit import Fit, cosine_schedule, multiplies_bfloat16

FEATURES, CLASSES, STEPS, BATCH = 24, 3, 12, 16
FINE_TUNE_AT = 140


def examples(shape, heads=1, seed=0, targets=FEATURES):
    """As many as `STEPS` steps take."""
    rng = np.random.default_rng(seed)
    count = STEPS * BATCH
    return Examples(
        stored=rng.normal(size=(count, *shape)).astype(np.float32),
        classes=rng.integers(0, CLASSES, count),
        weights=rng.uniform(0.5, 2, (count, heads)).astype(np.float32),
        targets=rng.uniform(0, 1, (count, targets)).astype(np.float32),
    )


def head_fit(rates=(0.01,), **settings):
    defaults = {"steps": STEPS, "batch_size": BATCH, "dropout": 0.0, "seed": 3}
    return Fit(FEATURES, CLASSES, learning_rates=rates, **defaults | settings)


class Tuned:
    """Always the same backbone, cut and partly released, with a fit above the cut."""

    def __init__(self, **settings) -> None:
        keras.utils.set_random_seed(0)
        self.backbone = build_backbone(32, 0.35, "none")
        for place, layer in enumerate(self.backbone.layers):
            layer.trainable = place >= FINE_TUNE_AT
        self.above = layers_above(self.backbone, cut_below(self.backbone, FINE_TUNE_AT))
        features = self.above.output_shape[-1]
        defaults = {"steps": STEPS, "batch_size": BATCH, "dropout": 0.0, "seed": 3}
        self.fit = Fit(
            features, CLASSES, learning_rates=[1e-3], layers=self.above, **defaults | settings
        )
        self.examples = examples(self.above.input_shape[1:], targets=features)


def test_a_head_learns_as_keras_fit_does():
    shown, fit = examples((FEATURES,)), head_fit()
    measures = fit.learn([shown])
    head = keras.layers.Dense(CLASSES, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((FEATURES,)), head])
    model.compile(
        keras.optimizers.Adam(cosine_schedule(0.01, STEPS, warm_up=False)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = model.fit(
        shown.stored, shown.classes, sample_weight=shown.weights[:, 0],
        batch_size=BATCH, shuffle=False, verbose=0,
    ).history  # fmt: skip
    assert measures.accuracy == pytest.approx(history["accuracy"][0], abs=1e-6)
    # float32 in another order, over twelve steps.
    for ours, theirs in zip(fit.head.get_weights(), head.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def learn_plainly(start, distillation_weight):
    """The same loss and Keras' own Adam, a batch at a time; the mean cross-entropy."""
    head, shown = start.fit.head, start.examples
    variables = [*start.above.trainable_variables, *head.variables]
    optimizer = keras.optimizers.Adam(cosine_schedule(1e-3, STEPS, warm_up=True))
    reported = []
    for first in range(0, STEPS * BATCH, BATCH):
        batch = Examples(*(array[first : first + BATCH] for array in shown))
        with tf.GradientTape() as tape:
            features = tf.reduce_mean(start.above(batch.stored, training=False), axis=(1, 2))
            scores = tf.nn.softmax(head(features))
            losses = keras.losses.sparse_categorical_crossentropy(batch.classes, scores)
            loss = tf.reduce_mean(batch.weights[:, 0] * losses)
            distance = tf.reduce_mean(tf.reduce_sum((features - batch.targets) ** 2, axis=1))
            objective = loss + distillation_weight * distance
        optimizer.apply(tape.gradient(objective, variables), variables)
        reported.append(float(loss))
    return np.mean(reported)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_layers_learn_as_a_plain_loop_does_and_distillation_is_not_in_the_loss(weight, monkeypatch):
    monkeypatch.setattr("edgebee.train.fit.multiplies_bfloat16", lambda: False)
    ours, theirs, before = Tuned(distillation_weight=weight), Tuned(), Tuned()
    measures = ours.fit.learn([ours.examples])
    assert measures.loss == pytest.approx(learn_plainly(theirs, weight), rel=1e-4)
    for one, other, start in zip(
        ours.above.trainable_variables,
        theirs.above.trainable_variables,
        before.above.trainable_variables,
        strict=True,
    ):
        # Adam divides by the gradient's own size: where that is next to nothing, float32's
        # rounding decides the sign of a step. On the whole they part by little of their way.
        apart, moved = (np.abs(one - than).mean() for than in (other, start))
        assert apart < 0.02 * moved


def test_heads_side_by_side_learn_as_each_alone_at_its_own_rate():
    shown, rates = examples((FEATURES,), heads=2), (0.01, 0.03)
    both = head_fit(rates)
    both.learn([shown])
    logits = both.logits([shown.stored])
    for place, rate in enumerate(rates):
        alone = head_fit([rate])
        alone.learn([shown._replace(weights=shown.weights[:, place : place + 1])])
        # Adam adds 1e-7 to its denominator, which the smallest gradients feel: they are three
        # times as large in the head that learns three times as fast. Logits go up to 4.
        np.testing.assert_allclose(logits[:, place], alone.logits([shown.stored])[:, 0], atol=0.01)


def test_a_head_learns_nothing_from_examples_that_count_nothing_for_it():
    shown = examples((FEATURES,), heads=2)
    shown.weights[:, 1] = 0
    both = head_fit((0.01, 0.01))
    both.learn([shown])
    np.testing.assert_array_equal(both.head.get_weights()[0][:, CLASSES:], 0)


def test_how_examples_are_handed_over_changes_nothing():
    shown, whole, parts = examples((FEATURES,)), head_fit(dropout=0.3), head_fit(dropout=0.3)
    whole.learn([shown])
    parts.learn(
        Examples(*(array[start : start + 4 * BATCH] for array in shown))
        for start in range(0, STEPS * BATCH, 4 * BATCH)
    )
    np.testing.assert_array_equal(whole.head.get_weights()[0], parts.head.get_weights()[0])


def test_dropout_follows_from_the_seed():
    def kernel(seed):
        fit = head_fit(dropout=0.5, seed=seed)
        fit.learn([examples((FEATURES,))])
        return fit.head.get_weights()[0]

    np.testing.assert_array_equal(kernel(3), kernel(3))
    assert not np.array_equal(kernel(3), kernel(4))


@pytest.mark.slow
def test_the_released_variables_learn_and_no_others():
    tuned, before = Tuned(), Tuned()
    tuned.fit.learn([tuned.examples])
    for layer, same in zip(tuned.backbone.layers, before.backbone.layers, strict=True):
        for now, then in zip(layer.variables, same.variables, strict=True):
            moved = not np.array_equal(now, then)
            assert moved == (now.trainable and layer.trainable), now.path


def test_logits_are_those_of_the_float32_layers(monkeypatch):
    monkeypatch.setattr("edgebee.train.fit.multiplies_bfloat16", lambda: True)
    tuned = Tuned()
    tuned.fit.learn([tuned.examples])
    stored = tuned.examples.stored[:8]
    features = np.asarray(tuned.above(stored, training=False)).mean(axis=(1, 2))
    kernel, bias = tuned.fit.head.get_weights()
    np.testing.assert_allclose(
        tuned.fit.logits([stored[:5], stored[5:]])[:, 0], features @ kernel + bias, atol=1e-5
    )
    assert {layer.dtype_policy.name for layer in tuned.above.layers} == {"float32"}


@pytest.mark.slow
def test_rounded_factors_learn_nearly_the_same(monkeypatch):
    kernels = []
    for rounded in (False, True):
        monkeypatch.setattr("edgebee.train.fit.multiplies_bfloat16", lambda r=rounded: r)
        tuned = Tuned()
        tuned.fit.learn([tuned.examples])
        kernels.append(tuned.fit.head.get_weights()[0])
    one, other = kernels
    assert not np.array_equal(one, other)
    # bfloat16 keeps eight bits; of thousands of such errors few add up.
    assert np.abs(one - other).mean() < 0.1 * np.abs(one).mean()


@pytest.mark.slow
def test_learning_goes_on_where_it_was():
    settings = {"steps": 2 * STEPS, "dropout": 0.2, "distillation_weight": 0.05}
    whole, first, second = (Tuned(**settings) for _ in range(3))
    for _ in range(2):
        whole.fit.learn([whole.examples])
    first.fit.learn([first.examples])
    second.fit.restore(first.fit.state())
    second.fit.learn([second.examples])
    for one, other in zip(whole.fit.state(), second.fit.state(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("line", "multiplies"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("Features\t: fp asimd bf16", False),  # ARM, where nobody has measured it
        ("", False),
    ],
)
def test_factors_are_rounded_where_the_processor_multiplies_them_itself(tmp_path, line, multiplies):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is multiplies
    assert not multiplies_bfloat16(tmp_path / "missing")
