"""Other people's runtimes, given the same `.tflite` file: OpenVINO, ONNX Runtime, MediaPipe Tasks.

A lone file beside `probe.py` and `classify.py`, so that a peer can be measured with another Python
that has it installed: they do not all fit beside TensorFlow, or each other.
"""

import importlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or not Path(__file__).with_name("classify.py").is_file():
    from edgebee.benchmarks.measure.probe import Engine, runner
else:
    from probe import Engine, runner

__all__ = ["FAILURES", "PEERS", "load"]

FAILURES: tuple[type[Exception], ...] = (ImportError, RuntimeError, ValueError, OSError)
"""What peers raise when they are missing or do not take a file, told in one line. onnxruntime has
types of its own, which end the process with their message as the last line."""

_SOFTMAX_SCALE = np.float32(1 / 256)
"""The scale that TFLite's quantization specification fixes for the output of a softmax
(ai.google.dev/edge/litert/models/quantization_spec); its zero point is 0 for uint8 and -128 for
int8. OpenVINO and ONNX hand over the bare integers."""


def load(peer: str, path: str, threads: int | None, size: tuple[int, int]) -> Engine:
    """Load a model with a peer.

    Args:
        peer: one of PEERS.
        path: a `.tflite` file; for onnxruntime the `.onnx` file made from it.
        threads: for invoking; MediaPipe chooses itself.
        size: height and width of the model's input, in pixels; not every peer tells it.

    Raises:
        ImportError: the peer is not installed.
        RuntimeError: it does not take the file.
        ValueError: the same.
    """
    return PEERS[peer](path, threads or runner().available_cpus(), size)


def _entry(pixels: Any, kind: str) -> Any:
    """`uint8 [H, W, 3]` pixels as the input `[1, H, W, 3]` of a model of that dtype."""
    if kind == "int8":
        pixels = (pixels ^ np.uint8(0x80)).view(np.int8)
    return pixels.astype(kind, copy=False)[np.newaxis]


def _scores(output: Any) -> Any:
    """One row of a softmax' output as `float32`, 0-1."""
    if output.dtype == np.uint8:
        return output.astype(np.float32) * _SOFTMAX_SCALE
    if output.dtype == np.int8:
        return (output.astype(np.float32) + 128) * _SOFTMAX_SCALE
    return output.astype(np.float32)


def _load_openvino(path: str, threads: int, size: tuple[int, int]) -> Engine:
    openvino = importlib.import_module("openvino")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    model = openvino.Core().compile_model(path, "CPU", settings)
    kind = model.input(0).element_type.to_dtype().name
    request = model.create_infer_request()

    def score(pixels: Any) -> Any:
        return _scores(request.infer({0: _entry(pixels, kind)})[model.output(0)][0])

    return Engine(
        runtime=f"openvino {version('openvino')}",
        threads=threads,
        size=size,
        labels=None,
        outputs=model.output(0).shape[1],
        score=score,
    )


_ONNX_KINDS = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int8)": "int8"}


def _load_onnxruntime(path: str, threads: int, size: tuple[int, int]) -> Engine:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    kind = _ONNX_KINDS[entry.type]

    def score(pixels: Any) -> Any:
        return _scores(session.run(None, {entry.name: _entry(pixels, kind)})[0][0])

    return Engine(
        runtime=f"onnxruntime {version('onnxruntime')}",
        threads=threads,
        size=size,
        labels=None,
        outputs=session.get_outputs()[0].shape[1],
        score=score,
    )


def _load_mediapipe(path: str, threads: int, size: tuple[int, int]) -> Engine:
    """MediaPipe hides its threads, and its time includes making a picture of the pixels."""
    mediapipe = importlib.import_module("mediapipe")
    python = importlib.import_module("mediapipe.tasks.python")
    vision = importlib.import_module("mediapipe.tasks.python.vision")
    labels = runner().read_labels(path)
    options = vision.ImageClassifierOptions(base_options=python.BaseOptions(model_asset_path=path))
    classifier = vision.ImageClassifier.create_from_options(options)

    def score(pixels: Any) -> Any:
        picture = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)
        )
        scores = np.zeros(len(labels), np.float32)
        for category in classifier.classify(picture).classifications[0].categories:
            scores[category.index] = category.score
        return scores

    return Engine(
        runtime=f"mediapipe {version('mediapipe')}",
        threads=None,
        size=size,
        labels=labels,
        outputs=len(labels),
        score=score,
    )


PEERS: dict[str, Callable[[str, int, tuple[int, int]], Engine]] = {
    "openvino": _load_openvino,
    "onnxruntime": _load_onnxruntime,
    "mediapipe": _load_mediapipe,
}
