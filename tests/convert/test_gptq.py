"""GPTQ changes layers less than rounding does, and leaves the quantizer nothing to round."""

from __future__ import annotations

import numpy as np
import pytest
from fragile_models import smooth_picture  # beside this file

from edgebee.convert.gptq import (
    STEPS,
    _columns,
    _convolutions,
    _from_columns,
    _Layer,
    _patches,
    quantize_kernels,
    round_with_feedback,
)
from edgebee.convert.model_builder import ModelBuilder
from edgebee.convert.quantize import quantize_float, trace
from edgebee.convert.representative import RepresentativeDataset

tf = pytest.importorskip("tensorflow", reason="converts with TensorFlow")


def make_inputs(groups, inputs, seed=0):
    """Samples `[groups, samples, inputs]` that go together, as activations do; the last is 0."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(groups, 400, 3)) @ rng.normal(size=(groups, 3, inputs))
    samples = np.maximum(mixed + 0.2 * rng.normal(size=mixed.shape), 0)
    samples[..., -1] = 0  # a dead channel
    return samples


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(1, 40, 6), (12, 9, 1), (1, 1, 3)])
def test_what_a_layer_gives_changes_less_than_by_rounding_to_the_nearest(groups, inputs, outputs):
    samples = make_inputs(groups, inputs)
    weights = np.random.default_rng(1).normal(size=(groups, inputs, outputs))
    rounded = round_with_feedback(weights, samples.transpose(0, 2, 1) @ samples)

    step = np.abs(weights).max(axis=1, keepdims=True) / STEPS
    whole = rounded / step
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-6)  # float64's last bits
    np.testing.assert_allclose(np.abs(rounded).max(axis=1), np.abs(weights).max(axis=1))

    def error(kernel):
        return np.square(samples @ kernel - samples @ weights).sum()

    nearest = np.rint(weights / step) * step
    if inputs > 1:  # else the only weight is the largest, which is kept
        assert error(rounded) < 0.5 * error(nearest)


def test_each_group_is_rounded_by_its_own_inputs():
    samples = make_inputs(3, 9)
    moments = samples.transpose(0, 2, 1) @ samples
    weights = np.random.default_rng(2).normal(size=(3, 9, 1))
    alone = [round_with_feedback(weights[i : i + 1], moments[i : i + 1]) for i in range(3)]
    np.testing.assert_array_equal(round_with_feedback(weights, moments), np.concatenate(alone))


def test_weights_that_are_all_zero_stay_so():
    np.testing.assert_array_equal(round_with_feedback(np.zeros((1, 4, 2)), np.zeros((1, 4, 4))), 0)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("depthwise", [True, False])
def test_patches_times_columns_are_the_convolution(depthwise, side, strides, padded):
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(9, 8, 5)).astype(np.float32)
    shape = (1, side, side, 5) if depthwise else (4, side, side, 5)
    kernel = rng.normal(size=shape).astype(np.float32)
    layer = _Layer(0, 0, 0, shape, depthwise, strides, padded)
    columns, seen = _columns(kernel, layer), _patches(activations, layer)
    np.testing.assert_array_equal(_from_columns(columns, layer), kernel)
    padding, step = "SAME" if padded else "VALID", (1, *strides, 1)
    if depthwise:
        ours = np.einsum("pic,cio->pc", seen, columns)
        filters = kernel[0][..., np.newaxis]
        theirs = tf.nn.depthwise_conv2d(activations[np.newaxis], filters, step, padding)
    else:
        ours = seen.reshape(len(seen), -1) @ columns[0]
        theirs = tf.nn.conv2d(activations[np.newaxis], kernel.transpose(1, 2, 3, 0), step, padding)
    # All 72 places are looked at; the sums of up to 45 products add up in another order.
    np.testing.assert_allclose(ours, np.reshape(theirs, ours.shape), atol=1e-4)


def kernels(content):
    """Kernels of a model's convolutions in order, `float64`, integers times their scale."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, found = model.subgraphs[0], []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code not in {schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D}:
            continue
        tensor = graph.tensors[operator.inputs[1]]
        kind = np.int8 if tensor.type == schema.TensorType.INT8 else np.float32
        values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind)
        values = values.reshape(tensor.shape).astype(np.float64)
        if kind is np.int8:
            axis = tensor.quantization.quantizedDimension
            scale = np.array(tensor.quantization.scale, np.float64)
            values *= scale.reshape([-1 if place == axis else 1 for place in range(4)])
        found.append(values)
    return found


def small_model():
    """An image classifier of plain and depthwise convolutions, one kernel of over 1,024 weights."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((40, 50, 3)),
            layers.Rescaling(1 / 127.5, offset=-1.0),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu6"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu6"),
            layers.Conv2D(128, 1, activation="relu6"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def builder():
    """What makes the formats of a small model, with soft pictures to calibrate on."""
    rng = np.random.default_rng(0)
    pixels = np.stack([smooth_picture(rng, rng.uniform(40, 215, 3), 60) for _ in range(16)])
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
    tf.keras.utils.set_random_seed(3)
    return ModelBuilder(small_model(), RepresentativeDataset(pixels, ("a.png",) * 16, (0,) * 16))


def test_the_quantizer_finds_nothing_left_to_round(builder):
    float32 = builder.build("float32")
    before, int8 = kernels(float32), kernels(builder.build("int8"))
    rounded = kernels(quantize_kernels(float32, builder.representative.pixels))
    assert len(int8) == len(before) == len(rounded) == 3
    for was, now, quantized in zip(before, rounded, int8, strict=True):
        # Scales are float32; to weights of a dead channel, next to 0, the quantizer gives 0.
        np.testing.assert_allclose(quantized, now, rtol=1e-5, atol=1e-7)
        assert not np.allclose(was, now, rtol=1e-5), "rounding changes something"


def test_every_convolution_of_the_backbone_is_known(artifacts):
    from ai_edge_litert import schema_py_generated as schema

    content = (artifacts / "model_float32.tflite").read_bytes()
    network = content[: content.index(b"PK\x03\x04")]
    assert len(_convolutions(schema.ModelT.InitFromPackedBuf(network, 0))) == 52


def unusual(layer, scale=1.0):
    """A float32 model of two convolutions, the second one plain."""
    keras = tf.keras
    model = keras.Sequential(
        [keras.Input((8, 8, 4)), layer, keras.layers.Conv2D(3, 1), keras.layers.Flatten()]
    )
    model.set_weights([scale * weights for weights in model.get_weights()])
    return quantize_float(trace(model), "float32")


@pytest.mark.parametrize(
    ("layer", "rounded"),
    [
        (tf.keras.layers.Conv2D(6, 3), 2),
        (tf.keras.layers.DepthwiseConv2D(3, strides=2, padding="same"), 2),
        (tf.keras.layers.Conv2D(6, 3, groups=2), 1),
        (tf.keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 1),
        (tf.keras.layers.Conv2D(6, 3, dilation_rate=2), 1),
    ],
    ids=["plain", "depthwise", "grouped", "multiplied", "dilated"],
)
def test_a_layer_that_it_does_not_know_is_left_alone(layer, rounded):
    content = unusual(layer)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 4), np.uint8)
    pairs = zip(kernels(content), kernels(quantize_kernels(content, pictures)), strict=True)
    assert sum(not np.array_equal(before, after) for before, after in pairs) == rounded


def test_activations_that_are_no_numbers_round_nothing():
    content = unusual(tf.keras.layers.Conv2D(6, 3), scale=1e30)
    pictures = np.full((2, 8, 8, 4), 255, np.uint8)
    first, second = zip(kernels(content), kernels(quantize_kernels(content, pictures)), strict=True)
    assert not np.array_equal(*first), "its activations are still numbers"
    np.testing.assert_array_equal(*second)


def test_dynamic_has_the_same_kernels_where_they_are_int8(builder):
    """Kernels of fewer than 1,024 weights the converter leaves in float."""
    dynamic, int8 = kernels(builder.build("dynamic")), kernels(builder.build("int8"))
    same = [np.allclose(*pair, rtol=1e-5, atol=1e-7) for pair in zip(dynamic, int8, strict=True)]
    assert same == [kernel.size >= 1024 for kernel in int8]
