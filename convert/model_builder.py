"""One Keras model on its way to several formats: traced once, calibrated once.

Imports TensorFlow at the top: import it only where converting happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgebee.convert.formats import Format, InputType
from edgebee.convert.gptq import copy_kernels, quantize_kernels
from edgebee.convert.quantize import calibrate, quantize_float, quantize_int8, trace
from edgebee.convert.representative import RepresentativeDataset
from edgebee.errors import ConversionError

__all__ = ["ModelBuilder"]

_GPTQ_PHOTOS = 32
"""The first of the representative dataset, in which every class has its share."""


@dataclass
class ModelBuilder:
    """Builds a TFLite flatbuffer, without metadata, in each format.

    Attributes:
        model: Keras, `float32 [N, H, W, 3]` in 0..255 -> `float32 [N, labels]`.
        representative: None when no format is made that needs it.
        io: type of int8's input and output.
    """

    model: Any
    representative: RepresentativeDataset | None
    io: InputType = "uint8"

    def build(self, format_: Format) -> bytes:
        """Make one format.

        Raises:
            ConversionError: the converter refuses the model.
        """
        if format_ == "float32":
            return self._float32
        if format_ == "float16":
            return quantize_float(self._graph, format_)
        if format_ == "dynamic":
            return copy_kernels(self._gptq, quantize_float(self._graph, format_))
        return quantize_int8(self._calibrated, self.io)

    @cached_property
    def _graph(self) -> Any:
        return trace(self.model)

    @cached_property
    def _float32(self) -> bytes:
        return quantize_float(self._graph, "float32")

    @cached_property
    def _photos(self) -> RepresentativeDataset:
        if self.representative is None:
            raise ConversionError("there are no training photos for the representative dataset")
        return self.representative

    @cached_property
    def _gptq(self) -> bytes:
        return quantize_kernels(self._float32, self._photos.pixels[:_GPTQ_PHOTOS])

    @cached_property
    def _calibrated(self) -> bytes:
        return calibrate(self._gptq, self._photos)
