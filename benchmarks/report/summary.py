"""What the figures of a benchmark mean, in words: names, numbers and the verdict.

A difference is only called one where chance is no longer an explanation (p below 5 %), and a
number has only the digits that a repetition would give again.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgebee.benchmarks.measure.devices import Device, Run
from edgebee.benchmarks.measure.latency import spell_ms
from edgebee.benchmarks.measure.results import Results, Variant
from edgebee.stats import SIGNIFICANT_P

__all__ = [
    "NOTHING",
    "choose",
    "clip",
    "details",
    "device_place",
    "percent",
    "reached",
    "run_of",
    "short_names",
    "speed_up",
    "times",
    "verdict",
]

NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""


def short_names(variants: Sequence[Variant]) -> dict[str, str]:
    """A short name for each variant, by its name: `int8`, `Keras`, `Keras predict`.

    Where two would share one, both keep their file's name.
    """
    names = {variant.name: _short_name(variant) for variant in variants}
    given = list(names.values())
    return {name: one if given.count(one) == 1 else name for name, one in names.items()}


def _short_name(variant: Variant) -> str:
    stem = variant.file.rsplit(".", 1)[0]
    name = "Keras" if variant.format == "keras" else stem.removeprefix("model_")
    return f"{name} predict" if variant.engine == "keras-predict" else name


def run_of(device: Device, name: str | None) -> Run | None:
    """What was measured of a variant on a device; None when nothing was."""
    return next((run for run in device.runs if run.variant == name), None)


def reached(results: Results) -> list[Device]:
    """The devices on which something was measured."""
    return [device for device in results.devices if device.runs]


def choose(results: Results) -> Variant | None:
    """The variant to take: the fastest of those that are not shown to lose anything.

    The runner's own way of running a file goes before other engines, and the time counts on
    the device that was named last, which is the one it is for. Where every variant is shown to
    lose, it is the one that loses least.

    Returns:
        None when there is nothing but Keras.
    """
    models = [variant for variant in results.variants if variant.format != "keras"]
    models = [variant for variant in models if variant.engine == "tflite"] or models
    if not models:
        return None
    equal = [variant for variant in models if not loses(variant)]
    if not equal:
        return max(models, key=lambda variant: variant.accuracy.correct)
    devices = reached(results)

    def order(variant: Variant) -> tuple[float, int]:
        run = run_of(devices[-1], variant.name) if devices else None
        return (run.latency.invoke.p50 if run else float("inf")), variant.size_bytes

    return min(equal, key=order)


def loses(variant: Variant) -> bool:
    """Whether a variant gets so many fewer right than the reference that it is no chance."""
    against = variant.accuracy.against
    return against is not None and against.p < SIGNIFICANT_P and against.lost > against.gained


def verdict(results: Results) -> str:
    """The benchmark in one sentence."""
    variant = choose(results) or next(iter(results.variants), None)
    if variant is None:
        return "Nothing was measured."
    name = short_names(results.variants)[variant.name]
    devices = reached(results)
    device = devices[-1] if devices else None
    speed = _speed(results, device, variant, name)
    return f"{speed} and {_accuracy(results, variant)}."


def _speed(results: Results, device: Device | None, variant: Variant, name: str) -> str:
    """The first half of the verdict."""
    run = run_of(device, variant.name) if device else None
    if device is None or run is None:
        return f"{name} was not timed"
    place = device_place(device)
    if run.ratio is None or device.reference is None:
        return f"{place} {name} answers in {spell_ms(run.latency.invoke)} ms a photo"
    reference = short_names(results.variants).get(device.reference, device.reference)
    factor = 1 / run.ratio.median
    if 0.95 < factor < 1.05:  # within what no one would notice
        return f"{place} {name} answers as fast as {reference}"
    faster = "faster" if factor > 1 else "slower"
    return (
        f"{place} {name} answers {times(max(factor, 1 / factor), device.noisy)} times {faster} "
        f"than {reference}"
    )


def _accuracy(results: Results, variant: Variant) -> str:
    """The second half of the verdict."""
    accuracy = variant.accuracy
    photos = f"{accuracy.total} {'drawings' if results.data.drawn else 'photos'}"
    against = accuracy.against
    if against is None:
        return f"gets {accuracy.correct} of {photos} right"
    difference = against.gained - against.lost
    if against.p < SIGNIFICANT_P:
        more = "more" if difference > 0 else "fewer"
        return f"gets {abs(difference)} {more} of these {photos} right"
    if against.agreement == 1:
        return f"gives the same label for all of these {photos}"
    return f"loses nothing that these {photos} could show"


def details(results: Results) -> list[str]:
    """What belongs to the verdict: counts, uncertainty, times, and how far to believe them."""
    variant = choose(results) or next(iter(results.variants), None)
    if variant is None:
        return []
    name, accuracy = short_names(results.variants)[variant.name], variant.accuracy
    low, high = percent(accuracy.interval.low), percent(accuracy.interval.high)
    sentences = [
        f"{name} got {accuracy.correct} of {accuracy.total} right, "
        f"{percent(accuracy.correct / accuracy.total)}; with so many photos the true share lies "
        f"between {low} and {high}, nineteen times in twenty."
    ]
    against = accuracy.against
    if against is not None and against.agreement < 1:
        differing = round((1 - against.agreement) * accuracy.total)
        sentences.append(
            f"It answers {differing} of them otherwise than {_reference_name(results)}: "
            f"{against.gained} for the better, {against.lost} for the worse."
        )
    devices = reached(results)
    for device in devices:
        run = run_of(device, variant.name)
        if run is not None:
            factor = "" if device is devices[-1] else _times_faster(results, device, run)
            sentences.append(
                f"{device_place(device)} a photo takes {spell_ms(run.latency.whole)} ms "
                f"from file to scores, {spell_ms(run.latency.invoke)} of them to answer{factor}."
            )
        if device.noisy:
            sentences.append(_noise(device))
    if results.data.drawn:
        sentences.append("These are drawings: the times hold, the accuracy is no result.")
    return sentences


def _times_faster(results: Results, device: Device, run: Run) -> str:
    """A clause on a device that the verdict does not speak of; empty without a ratio."""
    if run.ratio is None:
        return ""
    reference = short_names(results.variants).get(device.reference or "", device.reference)
    return f", {speed_up(run, device.noisy)} times faster than {reference}"


def _noise(device: Device) -> str:
    spread = max((run.latency.invoke.spread or 0 for run in device.runs), default=0)
    return (
        f"The machine was busy with other things, or its clock went up and down: the rounds "
        f"differ by up to {100 * spread:.0f} %, so its times are rough."
    )


def _reference_name(results: Results) -> str:
    names = short_names(results.variants)
    return names.get(results.reference or "", "the reference")


def device_place(device: Device) -> str:
    """Where a device's figures hold, as the start of a sentence."""
    return "On this computer" if device.url is None else f"On {clip(device.name)}"


def speed_up(run: Run, noisy: bool) -> str:
    """How many times as fast as the reference a run was; a dash for the reference itself."""
    return times(1 / run.ratio.median, noisy) if run.ratio else NOTHING


def times(factor: float, noisy: bool) -> str:
    """A factor with the digits that it deserves: two, and one where the machine was noisy."""
    return _digits(factor, 1 if noisy and factor >= 2 else 2)


def _digits(value: float, digits: int) -> str:
    """A positive number, rounded to so many digits that count."""
    if value <= 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = int(f"{rounded:e}".split("e")[1])
    return f"{rounded:.{max(0, digits - 1 - exponent)}f}"


def clip(text: str, most: int = 32) -> str:
    """A text on one line that is cut in its middle where it is longer than `most` characters."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def percent(share: float, digits: int = 1) -> str:
    """A share as `96.7 %`; a whole one as `100 %`."""
    return "100 %" if share == 1 else f"{100 * share:.{digits}f} %"
