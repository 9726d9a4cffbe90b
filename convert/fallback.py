"""The ladder that a model climbs when plain int8 loses too much.

Every rung costs more than the one before: time to calibrate, then speed on the device, in the
end the integer arithmetic that int8 is chosen for. The first one that holds is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgebee.convert.layers import LayerError, find_layer_errors, names_around
from edgebee.convert.quantize import Format, InputType, calibrate, quantize_16x8, quantize_int8
from edgebee.convert.ranges import RangeMethod, clip_ranges
from edgebee.convert.representative import Calibration
from edgebee.errors import ConversionError

__all__ = ["Fallback", "climb"]

_RANGE_PHOTOS = 32
_LAYER_PHOTOS = 16
"""Photos whose activations are looked at one by one; a layer has thousands of values in each."""

_MAX_FLOAT_LAYERS = 8
_NAMED_LAYERS = 5


@dataclass(frozen=True)
class Fallback:
    """One way of making a smaller model that may hold."""

    name: str
    format: Format
    content: bytes
    """A TFLite flatbuffer without metadata."""
    calibration: Calibration


def climb(
    float32: bytes,
    calibration: Calibration,
    read_more: Callable[[], Calibration | None],
    *,
    io: InputType,
    say: Callable[[str], object],
) -> Iterator[Fallback]:
    """Make one rung after another, for as long as the caller asks for the next.

    Args:
        float32: the model as a float32 `.tflite`.
        calibration: what plain int8 was calibrated on.
        read_more: reads all training photos; None when they are in `calibration` already.
        io: type of int8's input and output.
        say: takes a line of progress.
    """
    more = read_more()
    if more is not None:
        calibration = more
    calibrated = calibrate(float32, calibration)
    if more is not None:
        name = f"calibrated on {len(more.paths)} photos"
        yield Fallback(name, "int8", quantize_int8(calibrated, io), calibration)
    methods: tuple[RangeMethod, ...] = ("mse", "percentile")
    for method in methods:
        clipped = clip_ranges(calibrated, calibration.pixels[:_RANGE_PHOTOS], method)
        yield Fallback(f"{method} ranges", "int8", quantize_int8(clipped, io), calibration)
    yield from _float_layers(calibrated, calibration, io, say)
    yield Fallback("16-bit activations", "int16x8", quantize_16x8(calibrated), calibration)


def _float_layers(
    calibrated: bytes, calibration: Calibration, io: InputType, say: Callable[[str], object]
) -> Iterator[Fallback]:
    """Keep the worst layer in float, then the worst of what is left as well, and so on.

    Measured anew each time: a layer behind one that loses everything has nothing to lose.
    """
    pictures = calibration.pixels[:_LAYER_PHOTOS]
    worst: list[LayerError] = []
    kept: list[str] = []
    for _ in range(_MAX_FLOAT_LAYERS):
        try:
            layers = find_layer_errors(calibrated, pictures, kept)
        except ConversionError as error:
            say(str(error))
            return
        if not layers:
            return
        if not worst:
            say("share of its signal that a layer loses by int8, the worst first:")
            for layer in layers[:_NAMED_LAYERS]:
                say(f"  {layer.error:.3f}  {layer.operator}  {layer.name}")
        worst.append(layers[0])
        kept = names_around(calibrated, [layer.tensor for layer in worst])
        named = ", ".join(f"{layer.name} {layer.error:.2f}" for layer in worst)
        content = quantize_int8(calibrated, io, float_layers=kept)
        yield Fallback(
            f"{len(kept)} layers in float (around {named})", "int8", content, calibration
        )
