"""The probe of a Keras model, as a traced call: as fast as TensorFlow gets for one photo.

    python -m edgebee.benchmarks.measure.keras_engine artifacts/model.keras --first photo.jpg

Imports TensorFlow, in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebee.benchmarks.measure.probe import Engine, parse_arguments, serve
from edgebee.tensorflow_runtime import start_tensorflow

__all__ = ["main"]


def load(path: str, threads: int | None) -> Engine:
    """Load a Keras model.

    Args:
        path: a `.keras` file.
        threads: within one operation.

    Raises:
        ConversionError: it is no image classifier.
    """
    import tensorflow as tf

    from edgebee.convert.keras_model import load_keras

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = load_keras(Path(path))
    height, width = model.input_shape[1:3]

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((1, height, width, 3), tf.uint8)]
    )
    def traced(pixels: Any) -> Any:
        return model(tf.cast(pixels, tf.float32), training=False)

    return Engine(
        runtime=f"tensorflow {tf.__version__}",
        threads=threads,
        size=(height, width),
        labels=None,
        outputs=model.output_shape[1],
        score=lambda pixels: np.asarray(traced(pixels[np.newaxis])[0]),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the probe; returns the exit status."""
    given = parse_arguments(argv)

    def start() -> Engine:
        start_tensorflow()
        return load(given.model, given.threads)

    return serve(start, given.first)


if __name__ == "__main__":
    sys.exit(main())
