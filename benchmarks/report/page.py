"""The page `report.html`: one file with everything in it, made from a `Results`.

It asks for nothing from anywhere: pictures are inside, there is no script, and a content
security policy in it forbids both. The words and figures are put together here; how they are set
is in `report.html.j2` and `report.css` beside this file.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebee.benchmarks.measure.devices import Device, Reading
from edgebee.benchmarks.measure.latency import spell_ms
from edgebee.benchmarks.measure.results import ClassFigures, Results
from edgebee.benchmarks.report.charts import Chart
from edgebee.benchmarks.report.gallery import Gallery, make_gallery, worth_a_look
from edgebee.benchmarks.report.plots_answers import (
    Curves,
    plot_confusions,
    plot_reliability,
    plot_training,
    plot_worst_pairs,
)
from edgebee.benchmarks.report.plots_speed import (
    plot_accuracy,
    plot_devices,
    plot_distribution,
    plot_stages,
    plot_threads,
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
from edgebee.files import prepare_directory, write_bytes, write_text
from edgebee.run import MODEL_NAME

__all__ = ["Charts", "draw_charts", "render_page", "write_page"]

MOST_CLASSES_LISTED = 12


@dataclass(frozen=True)
class Charts:
    """Every chart of a page; what could not be drawn is empty or None.

    Attributes:
        accuracy: one a device that was reached.
        stages: likewise.
        distribution: likewise.
        threads: likewise; None where no other numbers of threads were tried.
        devices: all devices in one.
        confusion: one for each different matrix, or the worst pairs.
        confusion_titles: which variants each is of.
        reliability: of the reference and the variant to take.
        training: of the training.
    """

    accuracy: tuple[Chart, ...]
    stages: tuple[Chart, ...]
    distribution: tuple[Chart, ...]
    threads: tuple[Chart | None, ...]
    devices: Chart | None
    confusion: tuple[Chart, ...]
    confusion_titles: tuple[str, ...]
    reliability: Chart | None
    training: Chart | None

    def all(self) -> list[Chart]:
        """Every chart, in the order of the page."""
        charts = (
            *self.accuracy, *self.distribution, *self.stages, *self.threads, self.devices,
            *self.confusion, self.reliability, self.training,
        )  # fmt: skip
        return [chart for chart in charts if chart is not None]


def draw_charts(results: Results, history: object) -> Charts:
    """Draw what there is to draw.

    Args:
        results: of the benchmark.
        history: the content of `history.json`; None when there is none.
    """
    places = range(len(reached(results)))
    confusion, titles = _draw_confusion(results)
    curves = Curves.of(history)
    return Charts(
        accuracy=tuple(plot_accuracy(results, place) for place in places),
        stages=tuple(plot_stages(results, place) for place in places),
        distribution=tuple(plot_distribution(results, place) for place in places),
        threads=tuple(plot_threads(results, place) for place in places),
        devices=plot_devices(results),
        confusion=confusion,
        confusion_titles=titles,
        reliability=plot_reliability(results),
        training=None if curves is None else plot_training(curves),
    )


def _draw_confusion(results: Results) -> tuple[tuple[Chart, ...], tuple[str, ...]]:
    """The matrices, or where they would be too large the worst pairs, and their titles."""
    matrices = plot_confusions(results)
    if matrices:
        return tuple(chart for _, chart in matrices), tuple(", ".join(who) for who, _ in matrices)
    pairs = plot_worst_pairs(results)
    return ((pairs,), ("The most frequent mistakes",)) if pairs else ((), ())


def write_page(page: Path, results: Results) -> Path:
    """Write the page and, in a folder beside it, its charts as PNG.

    Args:
        page: as `report.html`; the charts go to `report/`.
        results: of the benchmark. The training's record and the Keras model, for Grad-CAM, are
            read from its `artifacts`, where they are still those that were measured.

    Returns:
        The page's path.

    Raises:
        OutputError: a file could not be written.
    """
    charts = draw_charts(results, _read_history(results))
    # Loading the model takes seconds; where every prediction is correct there is no need.
    model = _load_keras(results) if worth_a_look(results)[0] else None
    gallery = make_gallery(results, model)
    _write_plots(page.with_suffix(""), charts.all())
    write_text(page, render_page(results, charts, gallery, page.stem))
    return page


def _read_history(results: Results) -> object:
    """The content of `history.json`; None when it is not there or damaged, which the page says."""
    if results.history is None:
        return None
    try:
        content: object = json.loads(Path(results.artifacts, results.history).read_bytes())
    except (OSError, ValueError):
        return None
    return content


def _load_keras(results: Results) -> Any:
    """The Keras model that was measured; None when it is not there, or is another one now."""
    measured = next((one for one in results.variants if one.format == "keras"), None)
    path = Path(results.artifacts, MODEL_NAME)
    if not (measured and results.artifacts and path.is_file()):
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != measured.sha256:
        return None
    from edgebee.tensorflow_runtime import start_tensorflow

    start_tensorflow()
    from edgebee.convert.keras_model import load_keras

    return load_keras(path)


def _write_plots(folder: Path, charts: Sequence[Chart]) -> None:
    """Write the charts as PNG, and take away those of an earlier benchmark that had more."""
    prepare_directory(folder)
    for chart in charts:
        write_bytes(folder / f"{chart.name}.png", chart.png)
    names = {chart.name for chart in charts}
    for path in folder.glob("*.png"):
        if _CHART_NAME.fullmatch(path.stem) and path.stem not in names:
            path.unlink()


_CHART_NAME = re.compile(
    r"(accuracy|latency|stages|threads|confusion)_\d+|confusion|devices|reliability|training_curves"
)


def render_page(
    results: Results, charts: Charts, gallery: Gallery, plots_folder: str = "report"
) -> str:
    """The page's HTML, with nothing outside it.

    Args:
        results: of the benchmark.
        charts: from `draw_charts`.
        gallery: from `make_gallery`.
        plots_folder: name of the folder beside the page that has the charts as PNG.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_beside), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {
        "ms": spell_ms, "percent": percent, "data_uri": _data_uri, "shown": _shown,
        "clip": clip, "unbroken": _unbroken,
    }  # fmt: skip
    page = environment.get_template("report.html.j2").render(
        results=results,
        charts=charts,
        gallery=gallery,
        verdict=verdict(results),
        details=details(results),
        chosen=choose(results),
        names=short_names(results.variants),
        devices=reached(results),
        unreached=[device for device in results.devices if device.failure],
        rows=_rows(results),
        scale=_scale(results),
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
        over_time=_over_time,
        throttling=_throttling,
        plots_folder=plots_folder,
        css=_beside("report.css"),
    )
    # File names in no known encoding have lone surrogates, which UTF-8 cannot carry.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def _beside(name: str) -> str:
    """The text of a file that lies beside this module."""
    return (importlib.resources.files("edgebee.benchmarks.report") / name).read_text(
        encoding="utf-8"
    )


def _unbroken(text: str) -> str:
    """A text in which no line begins with the unit of the number before it."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" ms", "\N{NO-BREAK SPACE}ms")


def _data_uri(jpeg: bytes) -> str:
    """A JPEG as the address of a picture."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _shown(value: float | None, digits: int = 0) -> str:
    """A number, or a dash where there is none."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _over_time(readings: Sequence[Reading], field: str, unit: str, digits: int = 0) -> str:
    """The range of a figure's readings, as `1,500 to 1,800 MHz`; empty where unreadable."""
    values = [value for one in readings if (value := getattr(one, field)) is not None]
    if not values:
        return ""
    low, high = _shown(min(values), digits), _shown(max(values), digits)
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _throttling(readings: Sequence[Reading]) -> str:
    """What held the clock down at any time."""
    known = [one.throttled for one in readings if one.throttled is not None]
    causes = sorted({cause for one in known for cause in one})
    return ", ".join(causes) or ("none" if known else "not readable")


def _heading(results: Results, device: Device) -> str:
    """The heading of a device's times, which names it where there is more than one."""
    several = len(reached(results)) > 1
    return f"{clip(device.name, 20)}, invoke ms" if several else "invoke, ms"


@dataclass(frozen=True)
class _Row:
    """One variant in the table of accuracy; places are percent of the interval's scale."""

    name: str
    file: str
    chosen: bool
    megabytes: str
    correct: int
    total: int
    share: str
    interval: str
    left: float
    width: float
    dot: float
    agreement: str
    changes: str
    p: str
    calibration: str


def _rows(results: Results) -> list[_Row]:
    """The table of accuracy."""
    names, chosen, (start, end) = short_names(results.variants), choose(results), _scale(results)
    rows = []
    for variant in results.variants:
        accuracy, against = variant.accuracy, variant.accuracy.against
        share = accuracy.correct / accuracy.total
        low, high, dot = (
            100 * (value - start) / (end - start)
            for value in (accuracy.interval.low, accuracy.interval.high, share)
        )
        rows.append(
            _Row(
                name=names[variant.name],
                file=variant.name,
                chosen=variant is chosen,
                megabytes=f"{variant.size_bytes / 1e6:.1f}",
                correct=accuracy.correct,
                total=accuracy.total,
                share=percent(share),
                interval=f"{percent(accuracy.interval.low)} to {percent(accuracy.interval.high)}",
                left=round(low, 2),
                width=round(high - low, 2),
                dot=round(dot, 2),
                agreement=percent(against.agreement) if against else NOTHING,
                changes=f"+{against.gained} \N{MINUS SIGN}{against.lost}" if against else NOTHING,
                p=_p(against.p) if against else NOTHING,
                calibration=percent(accuracy.calibration_error),
            )
        )
    return rows


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
