"""The conditions of a measurement in one line for each machine, as they belong under a table."""

from __future__ import annotations

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.results import Results

__all__ = ["spell_conditions"]


def spell_conditions(results: Results, device: Device) -> str:
    """Machine, state, software and how it was measured; what could not be read is left out."""
    found = device.conditions
    if found is None:
        return f"{device.name}: not reached"
    cores = f"{found.cores} core{'s' if found.cores > 1 else ''}"
    parts = [found.board or found.processor, cores]
    if found.temperature_c is not None:
        parts.append(f"{found.temperature_c:.0f} °C")
    if found.throttled is not None:
        causes = ", ".join(found.throttled)
        parts.append(f"throttled ({causes})" if causes else "not throttled")
    if found.governor:
        parts.append(f"governor {found.governor}")
    runtimes = dict.fromkeys(run.runtime for run in device.runs)
    parts += [found.system, f"Python {found.python}", *runtimes]
    threads = sorted({run.threads for run in device.runs if run.threads is not None})
    if threads:
        parts.append(f"{'/'.join(map(str, threads))} thread{'s' if threads != [1] else ''}")
    spreads = [run.latency.whole.spread for run in device.runs]
    spread = max((one for one in spreads if one is not None), default=None)
    differing = "" if spread is None else f" that differ by up to {100 * spread:.0f} %"
    parts += [
        f"{results.settings.rounds} rounds of {results.settings.photos_a_round}{differing}",
        results.date[:10],
    ]
    return f"{device.name}: {', '.join(parts)}"
