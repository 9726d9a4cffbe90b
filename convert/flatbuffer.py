"""Write a TFLite model whose Python objects were changed.

Models are read with `edgebee.edge.tflite`, which checks every offset and runs on any device. Only
GPTQ and the metadata change one, and only LiteRT's generated schema can write; its objects for a
MobileNetV2 hold every weight a second time, and older runtimes do not bring it.
"""

from __future__ import annotations

from typing import Any

import flatbuffers

__all__ = ["pack_model"]


def pack_model(model: Any, expected_bytes: int = 0) -> bytes:
    """Write a model out.

    Args:
        model: a `ModelT` of `ai_edge_litert.schema_py_generated`.
        expected_bytes: about how large it becomes; less copying when it is known.

    Returns:
        A TFLite flatbuffer.
    """
    builder = flatbuffers.Builder(expected_bytes)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
