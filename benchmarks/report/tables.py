"""The tables of a benchmark, for a terminal and as Markdown for a README."""

from __future__ import annotations

from dataclasses import dataclass

from edgebee.benchmarks.measure.devices import Device, Run
from edgebee.benchmarks.measure.latency import spell_ms
from edgebee.benchmarks.measure.results import PairedTest, Rejection, Results, Variant
from edgebee.benchmarks.report.conditions import spell_conditions
from edgebee.benchmarks.report.published import spell_published
from edgebee.benchmarks.report.summary import (
    clip,
    machine_name,
    percent,
    short_names,
    speed_up,
    verdict,
)
from edgebee.run import NeitherRecord, RejectionRecord
from edgebee.stats import SIGNIFICANT_P, Interval

__all__ = ["Table", "print_tables", "tables", "to_markdown"]

NOTHING = "-"

_LONGEST_NAME = 20
_WIDE_ONLY = frozenset(
    {
        "agreement",
        "calibration error",
        "load",
        "cold start",
        "kept interval",
        "AUROC interval",
        "FPR95 interval",
    }
)
"""Columns that a terminal of 80 characters has no room for."""

_LONGEST_NAME_OF_STRANGERS = 12
_OF_STRANGERS = (
    "model",
    "strangers",
    "accepted",
    "95 % interval",
    "AUROC",
    "AUROC interval",
    "FPR95",
    "FPR95 interval",
)

_WIDEST = 1000
"""Characters; no table comes near."""


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; all columns but the first are figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def without(self, headings: frozenset[str]) -> Table:
        """The same without these columns."""
        kept = [place for place, one in enumerate(self.headings) if one not in headings]
        rows = tuple(tuple(row[place] for place in kept) for row in self.rows)
        return Table(self.title, tuple(self.headings[place] for place in kept), rows)


def tables(results: Results, *, wide: bool = True) -> list[Table]:
    """Accuracy, and the latency on each machine.

    Args:
        results: of the benchmark.
        wide: with all columns; without, those that fit a terminal of 80 characters.
    """
    names = {name: clip(one, _LONGEST_NAME) for name, one in short_names(results.variants).items()}
    reached = [device for device in results.devices if device.runs]
    shown = [_accuracy_table(results, names), *_neither_tables(results, names)]
    shown += [_speed_table(device, names) for device in reached]
    return shown if wide else [table.without(_WIDE_ONLY) for table in shown]


def _accuracy_table(results: Results, names: dict[str, str]) -> Table:
    """Models and what they have correct."""
    headings = (
        "model",
        "MB",
        "correct",
        "95 % interval",
        "agreement",
        "against Keras",
        "calibration error",
    )
    rows = tuple(_accuracy_row(one, names[one.name]) for one in results.variants)
    return Table("", headings, rows)


def _accuracy_row(variant: Variant, name: str) -> tuple[str, ...]:
    accuracy = variant.accuracy
    against = accuracy.against
    return (
        name,
        f"{variant.size_bytes / 1e6:.2f}",
        f"{accuracy.correct}/{accuracy.total}",
        _spell(accuracy.interval),
        percent(against.agreement) if against else NOTHING,
        spell_against(against) if against else NOTHING,
        percent(accuracy.calibration_error),
    )


def _neither_tables(results: Results, names: dict[str, str]) -> list[Table]:
    """What the user sees, and what becomes of strangers; none where no model knows `neither`."""
    knowing = [one for one in results.variants if one.accuracy.as_seen]
    if not knowing:
        return []
    seen = Table(
        "As its user sees it, neither and unknown count as incorrect",
        ("model", "correct", "95 % interval", "neither", "unknown", "kept", "kept interval"),
        tuple(_seen_row(one, names[one.name]) for one in knowing),
    )
    short = {name: clip(shown, _LONGEST_NAME_OF_STRANGERS) for name, shown in names.items()}
    rows = [_rejection_row(short[one.name], each) for one in knowing for each in one.rejections]
    rows += [_recorded_row(each) for each in (results.neither or NeitherRecord()).measurements]
    return [seen, Table("Strangers: pictures of none of the classes", _OF_STRANGERS, tuple(rows))]


def _seen_row(variant: Variant, name: str) -> tuple[str, ...]:
    accuracy, seen = variant.accuracy, variant.accuracy.as_seen
    assert seen is not None
    return (
        name,
        f"{seen.correct}/{accuracy.total}",
        _spell(seen.interval),
        str(seen.neither),
        str(seen.unknown),
        percent(seen.correct / accuracy.correct) if seen.kept_interval else NOTHING,
        _spell(seen.kept_interval) if seen.kept_interval else NOTHING,
    )


def _rejection_row(name: str, one: Rejection) -> tuple[str, ...]:
    return (
        name,
        one.source,
        f"{one.accepted}/{one.count}",
        _spell(one.accepted_interval),
        f"{one.auroc:.3f}",
        f"{one.auroc_interval.low:.3f} to {one.auroc_interval.high:.3f}",
        percent(one.fpr95),
        _spell(one.fpr95_interval),
    )


def _recorded_row(one: RejectionRecord) -> tuple[str, ...]:
    """What training measured, on pictures of which there is only its record."""
    return (
        "in training",
        one.source,
        f"{round(one.accepted * one.count)}/{one.count}",
        _spell(Interval(*one.interval)),
        f"{one.auroc:.3f}",
        NOTHING,
        percent(one.fpr95),
        NOTHING,
    )


def _spell(interval: Interval) -> str:
    return f"{percent(interval.low)} to {percent(interval.high)}"


def spell_against(against: PairedTest) -> str:
    """A difference only where chance does not explain it."""
    difference = against.gained - against.lost
    if against.p >= SIGNIFICANT_P:
        return f"no difference (p {against.p:.2f})"
    return f"{abs(difference)} {'more' if difference > 0 else 'fewer'} (p {against.p:.1g})"


def _speed_table(device: Device, names: dict[str, str]) -> Table:
    """Where the time of a photo goes on one machine."""
    headings = (
        "model",
        "decode",
        "resize",
        "invoke",
        "p95",
        "total",
        "x faster",
        "load",
        "cold start",
        "memory MB",
    )
    title = f"{_titled(device)}: milliseconds a photo, medians"
    rows = tuple(
        _speed_row(device, run, names.get(run.variant, run.variant)) for run in device.runs
    )
    return Table(title, headings, rows)


def _titled(device: Device) -> str:
    """What a machine is called above its table."""
    return f"this {machine_name(device)}" if device.url is None else device.name


def _speed_row(device: Device, run: Run, name: str) -> tuple[str, ...]:
    latency = run.latency
    return (
        name,
        spell_ms(latency.decode),
        spell_ms(latency.resize),
        spell_ms(latency.invoke),
        spell_ms(latency.invoke, latency.invoke.p95),
        spell_ms(latency.whole),
        speed_up(run, device.noisy) if run.ratio else NOTHING,
        f"{run.load_ms:.0f}",
        f"{run.cold_start_ms:.0f}",
        NOTHING if run.peak_memory_mb is None else f"{run.peak_memory_mb:.0f}",
    )


def _conditions(results: Results) -> list[str]:
    measured = [spell_conditions(results, device) for device in results.devices if device.runs]
    return [*measured, spell_published()]


def to_markdown(results: Results) -> str:
    """The verdict, all tables and the conditions as Markdown."""
    parts = [f"**{verdict(results)}**"]
    for table in tables(results):
        rule = ("---", *("---:" for _ in table.headings[1:]))
        lines = [f"{table.title}:\n"] if table.title else []
        for row in (table.headings, rule, *((f"`{r[0]}`", *r[1:]) for r in table.rows)):
            lines.append("| " + " | ".join(row) + " |")
        parts.append("\n".join(lines))
    parts.append("\n".join(f"- {line}" for line in _conditions(results)))
    return "\n\n".join(parts)


def print_tables(results: Results, *, wide: bool = False) -> None:
    """Print tables, conditions and the verdict on standard output; figures are never cut off.

    Args:
        results: of the benchmark.
        wide: with all columns and tables.
    """
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(width=_WIDEST, highlight=False)
    for number, table in enumerate(tables(results, wide=wide)):
        if number:
            console.print()
        if table.title:
            console.print(table.title, style="bold", markup=False)
        drawn = RichTable(box=None, pad_edge=False, header_style="bold")
        for place, heading in enumerate(table.headings):
            drawn.add_column(heading, justify="right" if place else "left", no_wrap=True)
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)
    console.print()
    for line in [*_conditions(results), verdict(results)]:
        console.print(line, markup=False)
