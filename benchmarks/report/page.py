"""The page `report.html`: one file with everything in it, made from a `Results`.

It asks for nothing from anywhere: pictures are inside, there is no script, and a content
security policy in it forbids both. The words and figures are put together here; how they are set
is in `report.html.j2` and `report.css` beside this file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebee.benchmarks.measure.devices import Device
from edgebee.benchmarks.measure.latency import spell_ms
from edgebee.benchmarks.measure.results import ClassFigures, Results
from edgebee.benchmarks.report.conditions import spell_conditions
from edgebee.benchmarks.report.gallery import Gallery, make_gallery, worth_a_look
from edgebee.benchmarks.report.neither import (
    bin_sureness,
    column_labels,
    find_knowing,
    seen_confusion,
)
from edgebee.benchmarks.report.published import PUBLISHED, PUBLISHED_MODEL
from edgebee.benchmarks.report.summary import (
    NOTHING,
    choose,
    clip,
    details,
    machine_name,
    percent,
    reached,
    run_of,
    short_names,
    speed_up,
    verdict,
)
from edgebee.benchmarks.report.templates import make_environment, read_beside
from edgebee.files import write_text
from edgebee.run import MODEL_NAME, TRAINING_PLOT_NAME

__all__ = ["render_page", "write_page"]

WEB_PAGES = ("site.html", "site/index.html")
"""Where `edgebee web` puts its page, seen from the report."""
MOST_CLASSES_LISTED = 12
MOST_MISTAKES_LISTED = 15


def write_page(page: Path, results: Results) -> Path:
    """Write the page.

    Args:
        page: as `report.html`.
        results: of the benchmark. The training's curves and the Keras model, for Grad-CAM, are
            read from its `artifacts`, where they are still there.

    Returns:
        The page's path.

    Raises:
        OutputError: the page could not be written.
    """
    plot = Path(results.artifacts, TRAINING_PLOT_NAME)
    curves = plot.read_bytes() if plot.exists() else None
    # Loading the model takes seconds; where every prediction is correct there is no need.
    model = _load_keras(results) if worth_a_look(results)[0] else None
    gallery = make_gallery(results, model)
    web_page = next((name for name in WEB_PAGES if (page.parent / name).is_file()), None)
    write_text(page, render_page(results, gallery, curves, web_page))
    return page


def _load_keras(results: Results) -> Any:
    """The Keras model that was measured; None when it is not there, or is another one now."""
    measured = next((one for one in results.variants if one.format == "keras"), None)
    path = Path(results.artifacts, MODEL_NAME)
    if not (measured and path.is_file()):
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != measured.sha256:
        return None
    from edgebee.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    from edgebee.convert.keras_model import load_keras

    return load_keras(path)


def render_page(
    results: Results, gallery: Gallery, curves: bytes | None, web_page: str | None = None
) -> str:
    """The page's HTML, with nothing outside it.

    Args:
        results: of the benchmark.
        gallery: from `make_gallery`.
        curves: PNG, of the training; None where there is none.
        web_page: the page of `edgebee web`, seen from this one; None where there is none.
    """
    (start, end), knowing = _scale(results), find_knowing(results)
    environment = make_environment()
    environment.filters |= {
        "ms": spell_ms,
        "p_value": _p,
        "place": lambda share: round(100 * (share - start) / (end - start), 2),
        "percent": percent,
        "shown": _shown,
        "clip": clip,
    }
    page = environment.get_template("report.html.j2").render(
        results=results,
        confusion=_confusions(results),
        columns=column_labels(results),
        knowing=knowing,
        sureness=bin_sureness(knowing) if knowing else (),
        mistakes=_mistakes(results),
        curves=curves,
        web_page=web_page,
        gallery=gallery,
        verdict=verdict(results),
        details=details(results),
        chosen=choose(results),
        names=short_names(results.variants),
        devices=reached(results),
        unreached=[device for device in results.devices if device.failure],
        scale=(start, end),
        classes=_classes(results),
        run_of=run_of,
        machine_name=machine_name,
        published=PUBLISHED,
        published_model=PUBLISHED_MODEL,
        speed_up=speed_up,
        has_ratios=lambda device: any(run.ratio for run in device.runs),
        heading=lambda device: _heading(results, device),
        kind="drawings" if results.data.drawn else "photos",
        nothing=NOTHING,
        conditions=[spell_conditions(results, device) for device in reached(results)],
        css=read_beside("report.css"),
    )
    # File names in no known encoding have lone surrogates, which UTF-8 cannot carry.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def _shown(value: float | None) -> str:
    """A number, or a dash where there is none."""
    return NOTHING if value is None else f"{value:,.0f}"


def _heading(results: Results, device: Device) -> str:
    """The heading of a device's times, which names it where there is more than one."""
    several = len(reached(results)) > 1
    return f"{clip(device.name, 20)}, invoke ms" if several else "invoke, ms"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _scale(results: Results) -> tuple[float, float]:
    """What the small intervals in the table run over: down to a whole 5 %, up to 1."""
    low = min(variant.accuracy.interval.low for variant in results.variants)
    return min(0.95, int(low * 20) / 20), 1.0


@dataclass(frozen=True)
class _Classes:
    """The table of classes: of the variant to take, the worst ones where there are many."""

    name: str
    listed: Sequence[ClassFigures]
    total: int


def _classes(results: Results) -> _Classes:
    """Precision and recall, the classes with the lowest recall first."""
    variant = choose(results) or results.variants[0]
    figures = variant.accuracy.classes
    if len(figures) > MOST_CLASSES_LISTED:
        with_photos = [one for one in figures if one.recall is not None]
        figures = tuple(sorted(with_photos, key=lambda one: one.recall or 0)[:MOST_CLASSES_LISTED])
    name = short_names(results.variants)[variant.name]
    return _Classes(name, figures, len(variant.accuracy.classes))


def _confusions(results: Results) -> list[tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]]:
    """The confusion matrix of each set of variants that share one, with their short names.

    Empty where there are more than MOST_CLASSES_LISTED labels: too wide for a phone.
    """
    if len(results.data.labels) > MOST_CLASSES_LISTED:
        return []
    names = short_names(results.variants)
    groups: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for variant in results.variants:
        groups.setdefault(seen_confusion(variant.accuracy), []).append(names[variant.name])
    return [(tuple(members), matrix) for matrix, members in groups.items()]


def _mistakes(results: Results) -> list[tuple[int, str, str]]:
    """Photos, true class and prediction of the most frequent mistakes of the variant to take."""
    variant, labels = choose(results) or results.variants[0], column_labels(results)
    matrix = seen_confusion(variant.accuracy)
    mistakes = [
        (-photos, row, column)
        for row, counts in enumerate(matrix)
        for column, photos in enumerate(counts)
        if photos and row != column
    ]
    return [
        (-photos, labels[row], labels[column])
        for photos, row, column in sorted(mistakes)[:MOST_MISTAKES_LISTED]
    ]
