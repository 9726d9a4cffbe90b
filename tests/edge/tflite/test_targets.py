"""Where a model will run is said from the file, and it does: runtimes, microcontrollers, Edge TPU.

EDGEBEE_TFLITE_RUNTIME_PYTHON names a Python with tflite-runtime 2.14, EDGEBEE_MICRO_PYTHON one
with `tflite-micro`, the interpreter of TensorFlow Lite for Microcontrollers.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgebee.edge.tflite.runtimes import check_operators, list_operators
from edgebee.edge.tflite.targets import edge_tpu_violations, micro_violations

tf = pytest.importorskip("tensorflow", reason="needs edgebee[train]")

OLD_PYTHON = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")
MICRO_PYTHON = os.environ.get("EDGEBEE_MICRO_PYTHON")
LOAD = {
    OLD_PYTHON: "from tflite_runtime.interpreter import Interpreter as I; I(sys.argv[1])",
    MICRO_PYTHON: "from tflite_micro import runtime as r; "
    "i = r.Interpreter.from_file(sys.argv[1], arena_size=20_000_000); i.invoke()",
}


def load(python: str, model: Path) -> subprocess.CompletedProcess[str]:
    code = f"import sys; {LOAD[python]}"
    return subprocess.run(
        [python, "-c", code, str(model)], capture_output=True, text=True, check=False
    )


def convert(function, shape, *, quantize="dynamic", kind=None, per_channel=True) -> bytes:
    """A function of one tensor as a model, by TensorFlow's converter with its own defaults."""
    graph = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel
    if quantize != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        random = np.random.default_rng(0)
        inputs = [random.uniform(0, 255, shape).astype(np.float32) for _ in range(4)]
        converter.representative_dataset = lambda: ([one] for one in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = kind
    return converter.convert()


WEIGHTS = np.random.default_rng(0).normal(0, 0.05, (3, 3, 3, 16)).astype(np.float32)
DEPTHWISE = WEIGHTS[:, :, 0, :, None]
DENSE = np.random.default_rng(1).normal(0, 0.05, (16, 64)).astype(np.float32)


def classifier(pixels):
    """What MobileNetV2 is made of, in small."""
    maps = tf.nn.relu6(tf.nn.conv2d(pixels / 127.5 - 1.0, WEIGHTS, 2, "SAME"))
    maps = tf.nn.relu6(tf.nn.depthwise_conv2d(maps, DEPTHWISE, [1] * 4, "SAME"))
    return tf.nn.softmax(tf.matmul(tf.reduce_mean(maps, (1, 2)), DENSE))


SHAPE = (1, 32, 32, 3)


@pytest.mark.slow
@pytest.mark.skipif(OLD_PYTHON is None, reason="no Python with tflite-runtime is named")
@pytest.mark.parametrize("per_channel", [True, False])
def test_the_old_runtime_refuses_what_the_table_says(tmp_path, per_channel):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(classifier, SHAPE, per_channel=per_channel))
    problems = check_operators(path.read_bytes(), ["tflite-runtime==2.14"])
    assert bool(problems) == per_channel
    done = load(OLD_PYTHON, path)
    assert (done.returncode == 0) == (not per_channel), done.stderr
    for problem in problems:
        assert f"'{problem.operator}' version '{problem.version}'" in done.stderr


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's remark
@pytest.mark.slow
@pytest.mark.skipif(MICRO_PYTHON is None, reason="no Python with tflite-micro is named")
@pytest.mark.parametrize(
    ("settings", "runs"),
    [
        ({"quantize": "int8", "kind": tf.int8}, True),
        ({"quantize": "int8", "kind": tf.uint8}, True),
        ({"quantize": "int8", "kind": tf.float32}, True),
        ({"quantize": "float32"}, True),
        ({"quantize": "float16"}, False),
        ({"quantize": "dynamic"}, False),
    ],
    ids=lambda value: "-".join(getattr(one, "name", one) for one in value.values())
    if isinstance(value, dict) else None,
)  # fmt: skip
def test_microcontrollers_run_what_breaks_no_rule(tmp_path, settings, runs):
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(classifier, SHAPE, per_channel=False, **settings))
    violations = micro_violations(path.read_bytes())
    assert (violations == ()) == runs
    done = load(MICRO_PYTHON, path)
    assert (done.returncode == 0) == runs, done.stderr


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize("kind", [tf.int8, tf.uint8])
def test_an_integer_classifier_breaks_no_published_rule(kind):
    content = convert(classifier, SHAPE, quantize="int8", kind=kind, per_channel=False)
    assert "CONV_2D" in dict(list_operators(content))
    assert micro_violations(content) == ()
    assert edge_tpu_violations(content) == ()


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
@pytest.mark.parametrize(
    ("function", "shape", "operator", "rule"),
    [
        (lambda x: tf.reduce_mean(x, (1, 2, 3)), (1, 8, 8, 3), "MEAN", "multiple of 4"),
        (lambda x: tf.reduce_max(x, 0), (2, 8), "REDUCE_MAX", "batch"),
        (lambda x: tf.reduce_sum(x, 0), (2, 8), "SUM", "batch"),
        (lambda x: tf.pad(x, [(1, 0), (0, 0)]), (2, 8), "PAD", "batch"),
        (lambda x: x[:, ::2], (1, 8), "STRIDED_SLICE", "strides other than 1"),
        (tf.nn.softmax, (4, 8), "SOFTMAX", "more than one dimension"),
        (tf.nn.softmax, (1, 16_001), "SOFTMAX", "more than 16000"),
        (lambda x: tf.matmul(x, DENSE), (2, 16), "FULLY_CONNECTED", "more than one dimension"),
        (lambda x: tf.nn.relu6(x + x[:, ::-1]), (2, 1, 1, 8), None, "three innermost"),
        (lambda x: tf.exp(x / 255.0), (1, 8), "EXP", "not among the supported"),
        (lambda x: tf.split(x, 2, 0)[0], (2, 8), "SPLIT", "batch"),
    ],
)  # fmt: skip
def test_each_rule_of_the_edge_tpu(function, shape, operator, rule):
    content = convert(function, shape, quantize="int8", kind=tf.int8)
    broken = [one for one in edge_tpu_violations(content) if rule in one.rule]
    assert broken
    assert operator is None or broken[0].where.startswith(f"{operator} (operator")


def test_a_float_model_is_not_for_the_edge_tpu():
    violations = edge_tpu_violations(convert(classifier, SHAPE, quantize="float32"))
    assert any("float32, not 8-bit" in str(one) for one in violations)


def test_a_size_that_is_not_fixed_is_named():
    content = convert(tf.nn.relu, (None, 8), quantize="float32")
    assert any("not fixed" in str(one) for one in micro_violations(content))
    assert any("not fixed" in str(one) for one in edge_tpu_violations(content))
