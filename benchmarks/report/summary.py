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
    "machine_name",
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
    """A short name for each variant, by its name: `int8`, `Keras`.

    Where two would share one, both keep their file's name.
    """
    names = {variant.name: _short_name(variant) for variant in variants}
    given = list(names.values())
    return {name: one if given.count(one) == 1 else name for name, one in names.items()}


def _short_name(variant: Variant) -> str:
    stem = variant.name.rsplit(".", 1)[0]
    return "Keras" if variant.format == "keras" else stem.removeprefix("model_")


def run_of(device: Device, name: str | None) -> Run | None:
    """What was measured of a variant on a device; None when nothing was."""
    return next((run for run in device.runs if run.variant == name), None)


def reached(results: Results) -> list[Device]:
    """The devices on which something was measured."""
    return [device for device in results.devices if device.runs]


def choose(results: Results) -> Variant | None:
    """The variant to take: int8, unless it is shown to lose accuracy.

    Then it is the fastest of those that are not shown to lose any, by the device that was named
    last; where all are, the one that loses least.

    Returns:
        None when there is nothing but Keras.
    """
    models = [variant for variant in results.variants if variant.format != "keras"]
    if not models:
        return None
    equal = [variant for variant in models if not loses(variant)]
    if not equal:
        return max(models, key=lambda variant: variant.accuracy.correct)
    devices = reached(results)

    def order(variant: Variant) -> tuple[bool, float, int]:
        run = run_of(devices[-1], variant.name) if devices else None
        latency = run.latency.invoke.p50 if run else float("inf")
        return variant.format != "int8", latency, variant.size_bytes

    return min(equal, key=order)


def loses(variant: Variant) -> bool:
    """Whether a variant has significantly fewer photos correct than the reference."""
    against = variant.accuracy.against
    return against is not None and against.p < SIGNIFICANT_P and against.lost > against.gained


def verdict(results: Results) -> str:
    """The benchmark in one sentence: the model for the Pi, its accuracy, what it loses."""
    variant = choose(results) or next(iter(results.variants), None)
    if variant is None:
        return "Nothing was measured."
    name, accuracy = short_names(results.variants)[variant.name], variant.accuracy
    target = "" if variant.format == "keras" else " on the Raspberry Pi"
    kind = "drawings" if results.data.drawn else "photos"
    low, high = percent(accuracy.interval.low), percent(accuracy.interval.high)
    return (
        f"{name}{target}: {percent(accuracy.correct / accuracy.total)} of {kind} correct "
        f"(95 % confidence interval {low} to {high}){_loss(results, variant)}."
    )


def _loss(results: Results, variant: Variant) -> str:
    """The last clause of the verdict; empty without a reference."""
    against, reference = variant.accuracy.against, _reference_name(results)
    if against is None:
        return ""
    difference = against.gained - against.lost
    if against.p < SIGNIFICANT_P:
        return f", {abs(difference)} {'more' if difference > 0 else 'fewer'} than {reference}"
    if against.agreement == 1:
        return f", the same predictions as {reference}"
    return f", no loss against {reference}"


def details(results: Results) -> list[str]:
    """What belongs to the verdict: counts, uncertainty, times, and how far to believe them."""
    variant = choose(results) or next(iter(results.variants), None)
    if variant is None:
        return []
    name, accuracy = short_names(results.variants)[variant.name], variant.accuracy
    kind = "drawings" if results.data.drawn else "photos"
    sentences = [f"{name} has {accuracy.correct} of {accuracy.total} {kind} correct."]
    against = accuracy.against
    if against is not None and against.agreement < 1:
        differing = round((1 - against.agreement) * accuracy.total)
        sentences.append(
            f"Its prediction differs from {_reference_name(results)} on {differing}: "
            f"{against.gained} gained, {against.lost} lost (exact McNemar p = {against.p:.2g}). "
            "Differences that are not statistically significant are reported as none."
        )
    seen = accuracy.as_seen
    if seen is not None:
        taken = [f"{one.accepted} of {one.count} {one.source}" for one in variant.rejections]
        sentences.append(
            f"As its user sees it, {seen.correct} are correct: {seen.neither} are called neither "
            f"and {seen.unknown} unknown. It takes {' and '.join(taken)} for a class."
        )
    if variant.format == "int8":
        sentences.append(
            "The file gives the same scores on a 64-bit Raspberry Pi as here, so the accuracy "
            "holds there; times do not."
        )
    for device in reached(results):
        run = run_of(device, variant.name)
        if run is not None:
            sentences.append(
                f"{device_place(device)} a photo takes {spell_ms(run.latency.whole)} ms "
                f"from file to scores, {spell_ms(run.latency.invoke)} ms of them in the model"
                f"{_times_faster(results, device, run)}."
            )
        if device.noisy:
            sentences.append(_noise(device))
    if results.data.drawn:
        sentences.append("These are drawings: the times hold, the accuracy is no result.")
    return sentences


def _times_faster(results: Results, device: Device, run: Run) -> str:
    """How its speed compares with the device's reference; empty without a ratio."""
    if run.ratio is None:
        return ""
    reference = short_names(results.variants).get(device.reference or "", device.reference)
    factor = 1 / run.ratio
    if 0.95 < factor < 1.05:  # within what no one would notice
        return f", as fast as {reference}"
    faster = "faster" if factor > 1 else "slower"
    return f", {times(max(factor, 1 / factor), device.noisy)} times {faster} than {reference}"


def _noise(device: Device) -> str:
    spread = max((run.latency.invoke.spread or 0 for run in device.runs), default=0)
    return (
        f"The machine was noisy, busy with other things or with a clock that changed: rounds "
        f"differ by up to {100 * spread:.0f} %, so its times are rough."
    )


def _reference_name(results: Results) -> str:
    names = short_names(results.variants)
    return names.get(results.reference or "", "the reference")


def machine_name(device: Device) -> str:
    """What a device is called beside its figures: `x86 workstation`, a board, or its address."""
    if device.url is not None:
        return clip(device.name)
    if device.conditions is None:
        return device.name
    architecture = device.conditions.architecture
    kind = "x86" if architecture.lower() in ("x86_64", "amd64", "i686") else architecture
    return device.conditions.board or f"{kind} workstation"


def device_place(device: Device) -> str:
    """Where a device's figures hold, as the start of a sentence."""
    name = machine_name(device)
    return f"On this {name}" if device.url is None else f"On {name}"


def speed_up(run: Run, noisy: bool) -> str:
    """How many times as fast as the reference a run was; a dash for the reference itself."""
    return times(1 / run.ratio, noisy) if run.ratio else NOTHING


def times(factor: float, noisy: bool) -> str:
    """A factor with two digits, and as a whole number where the machine was noisy."""
    return f"{factor:.0f}" if factor >= (2 if noisy else 99.5) else f"{factor:#.2g}".rstrip(".")


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
