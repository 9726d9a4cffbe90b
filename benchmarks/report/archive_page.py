"""The page of an archive, `summary.html`: one file with everything in it, as the report is."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgebee.benchmarks.report.templates import (
    THUMBNAIL_PIXELS,
    encode_thumbnail,
    make_environment,
    read_beside,
)
from edgebee.edge.archive.summary import ArchiveSummary, LabelCounts, Sample
from edgebee.edge.classify import PhotoError, read_photo
from edgebee.files import write_text
from edgebee.progress import Progress, ProgressCallback, ignore_progress
from edgebee.store import PhotoReader

__all__ = ["render_archive_page", "write_archive_page"]

_READERS = 8
_SIZE = (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
_FORMATS = {
    "year": "%Y",
    "month": "%b %Y",
    "week": "%d %b %Y",
    "day": "%d %b %Y",
    "hour": "%d %b %Y %H:00",
}
"""Of a week its Monday."""
_MOST_NAME = 40


@dataclass(frozen=True)
class _Card:
    """A photo on the page."""

    photo: bytes | None
    """JPEG, as the model sees it; None where it can no longer be read."""
    label: str
    score: float
    name: str
    """The end of its path: its folder and its own name."""
    taken: str


@dataclass(frozen=True)
class _Row:
    """A label over time."""

    name: str
    counts: LabelCounts
    bars: tuple[tuple[int, float], ...]
    """Place and height, 0-100, of each bar that is there."""
    most: int
    when: str
    """The step with most photos."""


def write_archive_page(
    page: Path,
    summary: ArchiveSummary,
    *,
    reader: PhotoReader | None = None,
    progress: ProgressCallback = ignore_progress,
) -> Path:
    """Write the page.

    Args:
        page: as `summary.html`.
        summary: the figures.
        reader: of the archive's source, where its photos lie in a store that the environment
            alone does not lead to.
        progress: called while photos are read for the contact sheets.

    Returns:
        The page's path.

    Raises:
        StoreError: the photos' store cannot be reached.
        OutputError: the page could not be written.
    """
    samples = (*summary.uncertain, *(one for sheet in summary.sheets.values() for one in sheet))
    thumbnails = _read_thumbnails(samples, reader or PhotoReader(), progress)
    write_text(page, render_archive_page(summary, thumbnails))
    return page


def _read_thumbnails(
    samples: Iterable[Sample], reader: PhotoReader, progress: ProgressCallback
) -> dict[str, bytes]:
    """JPEGs by path, of the photos that are still there."""

    def read(path: str) -> tuple[str, bytes | None]:
        try:
            return path, encode_thumbnail(read_photo(reader.read(path), _SIZE))
        except (OSError, PhotoError):
            return path, None

    paths = list(dict.fromkeys(sample.path for sample in samples))
    found = {}
    with ThreadPoolExecutor(_READERS) as pool:
        for number, (path, thumbnail) in enumerate(pool.map(read, paths), 1):
            progress(Progress("reading photos for the page", number, len(paths)))
            if thumbnail is not None:
                found[path] = thumbnail
    return found


def render_archive_page(summary: ArchiveSummary, thumbnails: dict[str, bytes]) -> str:
    """The page's HTML, with nothing outside it.

    Args:
        summary: the figures.
        thumbnails: path -> JPEG, of the photos that can be shown.
    """
    page = (
        make_environment()
        .get_template("archive.html.j2")
        .render(
            summary=summary,
            rows=[_row(summary, counts) for counts in summary.labels],
            span=_span(summary),
            uncertain=[_card(sample, thumbnails) for sample in summary.uncertain],
            sheets={
                label: [_card(sample, thumbnails) for sample in samples]
                for label, samples in summary.sheets.items()
            },
            sheet_counts={one.label: one.photos for one in summary.labels},
            verdict=_verdict(summary),
            side=THUMBNAIL_PIXELS,
            css=read_beside("report.css"),
        )
    )
    # File names in no known encoding have lone surrogates, which UTF-8 cannot carry.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def _verdict(summary: ArchiveSummary) -> str:
    """`1,000,000 photos: 61.2 % bees, 38.1 % ants, 0.7 % errors`, four of them at most."""
    named = [one for one in summary.labels if one.label is not None][:4]
    parts = [f"{_percent(one.photos, summary.photos)} {one.label}" for one in named]
    if summary.all_labels > len(named):
        parts.append(f"and {summary.all_labels - len(named)} other labels")
    failed = sum(one.photos for one in summary.labels if one.label is None)
    if failed:
        parts.append(f"{_percent(failed, summary.photos)} could not be read")
    plural = "s" if summary.photos != 1 else ""
    return f"{summary.photos:,} photo{plural}: {', '.join(parts)}"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "100 %" if part == whole else "< 0.1 %" if share < 0.1 else f"{share:.1f} %"


def _row(summary: ArchiveSummary, counts: LabelCounts) -> _Row:
    most = max(counts.over_time, default=0)
    heights = [100 * count / most if most else 0.0 for count in counts.over_time]
    bars = tuple((place, round(height, 1)) for place, height in enumerate(heights) if height)
    when = _spell(summary.steps[counts.over_time.index(most)], summary.unit) if most else ""
    return _Row(counts.label or "no prediction", counts, bars, most, when)


def _span(summary: ArchiveSummary) -> tuple[str, str] | None:
    """The first and the last step of the chart."""
    if not summary.steps:
        return None
    return _spell(summary.steps[0], summary.unit), _spell(summary.steps[-1], summary.unit)


def _spell(step: datetime, unit: str) -> str:
    return step.strftime(_FORMATS[unit]).lstrip("0")


def _card(sample: Sample, thumbnails: dict[str, bytes]) -> _Card:
    name = "/".join(Path(sample.path).parts[-2:])
    name = name if len(name) <= _MOST_NAME else "…" + name[-_MOST_NAME:]
    taken = sample.taken.strftime("%Y-%m-%d %H:%M") if sample.taken else ""
    return _Card(thumbnails.get(sample.path), sample.label, sample.score, name, taken)
