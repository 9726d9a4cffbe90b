"""The results of a benchmark: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edgebee.benchmarks.measurement import Latency, Measurement

__all__ = ["print_table", "to_json"]


def to_json(
    measurements: Sequence[Measurement],
    reference: Measurement | None,
    *,
    machine: dict[str, object],
    data: dict[str, object],
) -> dict[str, Any]:
    """The content of `benchmark.json`.

    Args:
        measurements: one per model.
        reference: the Keras model's, which agreement is held against; None when there is none.
        machine: from `describe_machine`.
        data: which photos.
    """
    return {
        "machine": machine,
        "data": data,
        "models": [
            {
                "name": measurement.contender.name,
                "format": measurement.contender.format,
                "path": measurement.contender.path.name,
                "size_bytes": measurement.size_bytes,
                "correct": measurement.correct,
                "total": measurement.total,
                "agreement": measurement.agreement(reference) if reference else None,
                "latency_ms": {
                    part: {name: round(value, 3) for name, value in asdict(latency).items()}
                    for part, latency in _parts(measurement).items()
                },
            }
            for measurement in measurements
        ],
    }


def _parts(measurement: Measurement) -> dict[str, Latency]:
    return {"decode": measurement.decode, "invoke": measurement.invoke}


def print_table(measurements: Sequence[Measurement], reference: Measurement | None) -> None:
    """Print one row per model on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    for heading in ("MB", "correct", "agrees", "decode ms", "p95", "invoke ms", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for measurement in measurements:
        agrees = f"{measurement.agreement(reference):.1%}" if reference else "-"
        table.add_row(
            measurement.contender.path.name,
            f"{measurement.size_bytes / 1e6:.2f}",
            f"{measurement.correct}/{measurement.total}",
            agrees,
            f"{measurement.decode.p50:.1f}",
            f"{measurement.decode.p95:.1f}",
            f"{measurement.invoke.p50:.1f}",
            f"{measurement.invoke.p95:.1f}",
        )
    Console(width=100).print(table)
