"""What an archive holds, in figures: labels over time, uncertain photos, samples of each label."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edgebee.edge.archive.archive import MODEL_NAME
from edgebee.edge.archive.query import ArchiveTables, open_results
from edgebee.edge.classify import label_order

__all__ = ["ArchiveSummary", "LabelCounts", "Sample", "summarize"]

MOST_SAMPLES = 12
"""Photos of a contact sheet."""
MOST_UNCERTAIN = 24
MOST_SHEETS = 20
"""Labels that have a contact sheet: the most frequent."""
MOST_ROWS = 40
MOST_REASONS = 8
_OUTSIDE = 0.02
"""Share of the photos at each end that may be of cameras with a wrong clock: they are left out of
the chart where they lie further out than it is long."""
_UNITS = (("year", 25 * 365), ("month", 730), ("week", 90), ("day", 3))
"""A bar stands for such a time where the chart spans more than so many days; else for an hour."""


@dataclass(frozen=True)
class Sample:
    """A photo of a contact sheet."""

    path: str
    label: str
    score: float
    """0-1."""
    taken: datetime | None


@dataclass(frozen=True)
class LabelCounts:
    """A label over time."""

    label: str | None
    """None: photos without a prediction."""
    photos: int
    mean_score: float | None
    """0-1."""
    over_time: tuple[int, ...]
    """Photos in each step of the chart."""


@dataclass(frozen=True)
class ArchiveSummary:
    """The figures of an archive."""

    folder: Path
    model: str
    """The name of the model file."""
    photos: int
    labels: tuple[LabelCounts, ...]
    """The most frequent first, at most `MOST_ROWS`; photos without a prediction last."""
    all_labels: int
    errors: Mapping[str, int]
    """The most frequent reasons, with … for numbers in them -> photos."""
    steps: tuple[datetime, ...]
    """Where each bar of the chart begins."""
    unit: str
    """`year`, `month`, `week`, `day` or `hour`."""
    by_exif: bool
    """Whether times are those of EXIF; else of the files."""
    dated: int
    """Photos with such a time."""
    outside: int
    """Of these, photos before or after the chart."""
    placed: int
    """Photos with a place."""
    uncertain: tuple[Sample, ...]
    """The lowest scores first."""
    sheets: Mapping[str, tuple[Sample, ...]]
    """Label -> photos chosen at random, but the same ones each time."""


def summarize(folder: Path) -> ArchiveSummary:
    """The figures of a model's results.

    Args:
        folder: of the parts, `Archive.folder`.

    Raises:
        DataError: there are no parts, or they are of another version.
    """
    tables = open_results(folder)
    model = json.loads((folder / MODEL_NAME).read_text("utf-8"))["model"]
    photos, exif_dated, placed = _one(
        tables, "SELECT count(*), count(taken), count(latitude) FROM photos"
    )
    by_exif = 2 * exif_dated >= photos
    time = "taken" if by_exif else "make_timestamp(epoch_us(modified))"
    first, early, late, last, dated = _one(
        tables,
        f"SELECT min({time}), quantile_disc({time}, {_OUTSIDE}), "
        f"quantile_disc({time}, {1 - _OUTSIDE}), max({time}), count({time}) FROM photos",
    )
    if dated and early - first > late - early:
        first = early
    if dated and last - late > late - early:
        last = late
    unit = _choose_unit(first, last) if dated else "day"
    steps = _steps(tables, unit, first, last) if dated else ()
    counts = _count_over_time(tables, time, unit, steps)
    frequent = sorted(
        (one for one in counts if one.label is not None),
        key=lambda one: (-one.photos, label_order(str(one.label))),
    )
    unpredicted = [one for one in counts if one.label is None]
    return ArchiveSummary(
        folder=folder,
        model=model,
        photos=photos,
        labels=(*frequent[:MOST_ROWS], *unpredicted),
        all_labels=len(frequent),
        errors=_reasons(tables),
        steps=steps,
        unit=unit,
        by_exif=by_exif,
        dated=dated,
        outside=dated - sum(sum(one.over_time) for one in counts),
        placed=placed,
        uncertain=_samples(tables, f"ORDER BY score, path LIMIT {MOST_UNCERTAIN}"),
        sheets=_sheets(tables, [str(one.label) for one in frequent[:MOST_SHEETS]]),
    )


def _one(tables: ArchiveTables, sql: str) -> tuple[Any, ...]:
    _, rows = tables.rows(sql)
    return next(rows)


def _choose_unit(first: datetime, last: datetime) -> str:
    days = (last - first).total_seconds() / 86_400
    return next((unit for unit, least in _UNITS if days > least), "hour")


def _steps(
    tables: ArchiveTables, unit: str, first: datetime, last: datetime
) -> tuple[datetime, ...]:
    """Where the bars begin, without gaps."""
    _, rows = tables.rows(
        f"SELECT unnest(generate_series(date_trunc('{unit}', ?::TIMESTAMP), "
        f"date_trunc('{unit}', ?::TIMESTAMP), INTERVAL 1 {unit}))",
        [first, last],
    )
    return tuple(row[0] for row in rows)


def _count_over_time(
    tables: ArchiveTables, time: str, unit: str, steps: tuple[datetime, ...]
) -> list[LabelCounts]:
    _, rows = tables.rows(
        f"SELECT label, date_trunc('{unit}', {time})::TIMESTAMP, count(*), sum(score) "
        "FROM photos GROUP BY ALL"
    )
    place = {step: index for index, step in enumerate(steps)}
    photos: dict[str | None, int] = {}
    scores: dict[str | None, float] = {}
    bars: dict[str | None, list[int]] = {}
    for label, step, count, score in rows:
        photos[label] = photos.get(label, 0) + count
        scores[label] = scores.get(label, 0.0) + (score or 0.0)
        bar = bars.setdefault(label, [0] * len(steps))
        if step in place:
            bar[place[step]] += count
    return [
        LabelCounts(
            label,
            photos[label],
            None if label is None else scores[label] / photos[label],
            tuple(bars[label]),
        )
        for label in photos
    ]


def _reasons(tables: ArchiveTables) -> dict[str, int]:
    _, rows = tables.rows(
        r"SELECT regexp_replace(error, '\d+', '…', 'g') AS reason, count(*) AS photos FROM photos "
        "WHERE error IS NOT NULL GROUP BY reason ORDER BY photos DESC, reason "
        f"LIMIT {MOST_REASONS}"
    )
    return dict(rows)


def _samples(tables: ArchiveTables, rest: str, values: Any = None) -> tuple[Sample, ...]:
    columns = "SELECT path, label, score, taken FROM photos WHERE label IS NOT NULL"
    _, rows = tables.rows(f"{columns} {rest}", values)
    return tuple(Sample(*row) for row in rows)


def _sheets(tables: ArchiveTables, labels: list[str]) -> dict[str, tuple[Sample, ...]]:
    order = f"AND label = ? ORDER BY md5(path), path LIMIT {MOST_SAMPLES}"
    return {label: _samples(tables, order, [label]) for label in labels}
