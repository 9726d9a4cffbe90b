"""The values of the tensors inside a float model, photo by photo."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["observed"]


def observed(float32: bytes, pictures: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Any]:
    """Invoke a model on one photo after another, with every tensor kept.

    Args:
        float32: a TFLite flatbuffer that takes `float32 [1, H, W, 3]`.
        pictures: `[H, W, 3]` each.

    Yields:
        The same interpreter after each photo; `get_tensor(number)` gives the values of a tensor.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`")
        interpreter = Interpreter(
            model_content=float32,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    for picture in pictures:
        interpreter.set_tensor(entry, picture[np.newaxis].astype(np.float32))
        interpreter.invoke()
        yield interpreter
