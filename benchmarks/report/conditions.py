"""The conditions of a measurement in one line for each machine, as they belong under a table."""

from __future__ import annotations

from edgebee.benchmarks.measure.devices import Device, Reading
from edgebee.benchmarks.measure.results import Results

__all__ = ["spell_conditions"]


def spell_conditions(results: Results, device: Device) -> str:
    """Machine, state, software and how it was measured; what could not be read is left out."""
    found = device.conditions
    if found is None:
        return f"{device.name}: not reached"
    cores = f"{found.cores} core{'s' if found.cores > 1 else ''}"
    parts = [found.board or found.processor, cores, *_state(found.readings)]
    if found.governor:
        parts.append(f"governor {found.governor}")
    runtimes = dict.fromkeys(run.runtime for run in device.runs)
    parts += [found.system, f"Python {found.python}", *runtimes]
    threads = sorted({run.threads for run in device.runs if run.threads is not None})
    if threads:
        parts.append(f"{'/'.join(map(str, threads))} thread{'s' if threads != [1] else ''}")
    rounds = max((len(run.rounds) for run in device.runs), default=0)
    spreads = [run.latency.whole.spread for run in device.runs]
    spread = max((one for one in spreads if one is not None), default=None)
    told = "" if spread is None else f" that differ by up to {spread:.0%}"
    parts += [f"{rounds} rounds of {results.settings.photos_a_round}{told}", results.date[:10]]
    return f"{device.name}: {', '.join(parts)}"


def _state(readings: tuple[Reading, ...]) -> list[str]:
    """Clock, heat, load and throttling, from the least to the most that was read."""
    parts = []
    for values, unit in (
        ([one.frequency_mhz for one in readings], " MHz"),
        ([one.temperature_c for one in readings], " °C"),
    ):
        known = [value for value in values if value is not None]
        if known:
            low, high = f"{min(known):.0f}", f"{max(known):.0f}"
            parts.append(f"{low if low == high else f'{low} to {high}'}{unit}")
    loads = [one.load for one in readings if one.load is not None]
    if loads:
        parts.append(f"load {loads[0]:.1f} before")
    throttled = [one.throttled for one in readings if one.throttled is not None]
    if throttled:
        causes = dict.fromkeys(cause for one in throttled for cause in one)
        parts.append(f"throttled ({', '.join(causes)})" if causes else "not throttled")
    return parts
