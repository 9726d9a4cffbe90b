"""The table of operator versions, held to the installed runtime; what it refuses and why."""

import importlib
import importlib.metadata
import os
import struct
import subprocess

import numpy as np
import pytest

pytest.importorskip("edgebee", reason="the lone runner has no table")
import classify

from edgebee.edge.tflite.runtimes import (
    RUNTIMES,
    UnknownRuntimeError,
    check_operators,
    known_versions,
    list_operators,
    resolve_runtime,
)
from edgebee.edge.tflite.schema import OPERATORS

OLD_PYTHON = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")
"""With tflite-runtime 2.14, which cannot live beside TensorFlow."""
PROBE = bytes.fromhex(
    "1800000054464c3300000e00140010000c000800000004000e000000100000001c00000074000000"
    "030000000100000008000000040004000400000001000000100000000c00140010000c0008000400"
    "0c000000100000001000000014000000180000000000000001000000000000000100000000000000"
    "010000000c0000000000060008000400060000000400000001000000010000000100000010000000"
    "0c0010000f000000080004000c000000c8000000130000000000007f"
)
"""The smallest `.tflite` file that names an operator: one tensor, no step (by `flatbuffers`)."""
OPERATOR_AT, VERSION_AT, BYTE_AT = 176, 180, 187
NEWEST_ASKED = 20
"""No runtime knows a version above 14."""


def model_with(operator: int, version: int) -> bytes:
    content = bytearray(PROBE)
    struct.pack_into("<i", content, OPERATOR_AT, operator)
    struct.pack_into("<i", content, VERSION_AT, version)
    content[BYTE_AT] = min(operator, 127)  # where files from before TensorFlow 2.4 have it
    return bytes(content)


def installed() -> tuple[str, type]:
    for package, module in (
        ("ai-edge-litert", "ai_edge_litert.interpreter"),
        ("tflite-runtime", "tflite_runtime.interpreter"),
    ):
        try:
            interpreter = importlib.import_module(module).Interpreter
        except ImportError:
            continue
        return f"{package}=={importlib.metadata.version(package)}", interpreter
    pytest.skip("no runtime")


def takes(interpreter: type, operator: int, version: int) -> bool:
    try:
        interpreter(model_content=model_with(operator, version))
    except ValueError as error:
        if "Registration failed" not in str(error):
            raise  # damage, not a refusal
        return False
    return True


def test_the_table_is_what_the_installed_runtime_answers():
    runtime, interpreter = installed()
    differing = {}
    for number, operator in enumerate(OPERATORS):
        if operator in {"CUSTOM", "DELEGATE"}:  # not looked up by version
            continue
        versions = range(1, NEWEST_ASKED + 1)
        answered = {version for version in versions if takes(interpreter, number, version)}
        if answered != set(known_versions(runtime, operator)):
            differing[operator] = sorted(answered)
    assert differing == {}


def test_it_reads_the_operator_that_was_written():
    assert list_operators(model_with(OPERATORS.index("CONV_2D"), 8)) == (("CONV_2D", 8),)
    assert list_operators(model_with(OPERATORS.index("DILATE"), 1)) == (("DILATE", 1),)
    assert list_operators(model_with(5000, 1)) == (("operator 5000", 1),)


def test_a_version_that_is_too_new_is_named_with_runtime_and_remedy():
    content = model_with(OPERATORS.index("FULLY_CONNECTED"), 12)
    (problem,) = check_operators(content, ["tflite-runtime==2.14", "ai-edge-litert==2.3"])
    assert (problem.operator, problem.version, problem.highest) == ("FULLY_CONNECTED", 12, 10)
    line = str(problem)
    assert "tflite-runtime==2.14" in line
    assert "FULLY_CONNECTED version 12" in line
    assert "pip install 'ai-edge-litert>=1.0.0'" in line


def test_an_operator_that_no_version_is_known_of():
    content = model_with(OPERATORS.index("STABLEHLO_CASE"), 1)
    problems = check_operators(content, ["tflite-runtime==2.14.0", "ai-edge-litert==1.0.1"])
    assert [problem.highest for problem in problems] == [None, None]
    assert "ai-edge-litert>=1.1.0" in str(problems[0])
    assert check_operators(content, ["ai-edge-litert==1.1"]) == ()


def test_an_operator_that_nothing_knows_has_no_update_as_its_remedy():
    (problem,) = check_operators(model_with(5000, 1), ["ai-edge-litert==2.3.0"])
    assert "pip install" not in problem.remedy


def test_the_model_that_ships_runs_on_every_runtime_that_the_package_allows(model):
    assert check_operators(model.read_bytes()) == ()


@pytest.mark.parametrize(
    ("spec", "release"),
    [
        ("tflite-runtime==2.14", "tflite-runtime==2.14.0"),
        ("ai-edge-litert==1.0.1", "ai-edge-litert==1.0.0"),  # which added nothing
        ("ai-edge-litert==2.1", "ai-edge-litert==2.1.0"),
        ("ai-edge-litert==2.1.5", "ai-edge-litert==2.1.3"),  # the older of its neighbours
        ("ai-edge-litert==2.2.0rc1", "ai-edge-litert==2.2.0"),
        ("ai-edge-litert==9", "ai-edge-litert==2.2.0"),
    ],
)
def test_a_version_is_answered_for_by_the_newest_that_is_not_newer(spec, release):
    assert resolve_runtime(spec) == release


@pytest.mark.parametrize("spec", ["tflite-runtime==2.13", "ai-edge-litert==0.9"])
def test_older_runtimes_are_refused(spec):
    with pytest.raises(UnknownRuntimeError, match="edgebee knows"):
        resolve_runtime(spec)


def test_each_runtime_knows_what_the_older_ones_do():
    older, *newer = RUNTIMES
    for operator in OPERATORS:
        for runtime in newer:
            assert set(known_versions(older, operator)) <= set(known_versions(runtime, operator))


def test_damage_is_a_model_error():
    with pytest.raises(classify.ModelError, match="damaged"):
        check_operators(b"\xff" * 4 + b"TFL3" + b"\xff" * 40)


@pytest.mark.slow
@pytest.mark.skipif(OLD_PYTHON is None, reason="no Python with tflite-runtime is named")
@pytest.mark.parametrize("per_channel", [True, False])
def test_the_old_runtime_refuses_what_the_table_says(tmp_path, per_channel):
    tf = pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 64), tf.float32)])
    def dense(values):
        return tf.matmul(values, tf.constant(weights))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([dense.get_concrete_function()])
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not per_channel
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    problems = check_operators(path.read_bytes(), ["tflite-runtime==2.14"])
    assert bool(problems) == per_channel
    code = (
        "import sys; from tflite_runtime.interpreter import Interpreter; Interpreter(sys.argv[1])"
    )
    command = [OLD_PYTHON, "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not per_channel), done.stderr
    for problem in problems:
        assert f"'{problem.operator}' version '{problem.version}'" in done.stderr
