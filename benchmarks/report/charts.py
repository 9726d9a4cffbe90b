"""How a chart of the report looks: a drawing, as SVG for the page.

Charts are as wide as a phone, so that their letters stay readable there; the page puts several
in a row where there is room. In the SVG each colour is a CSS variable of the page, which is how
a chart follows the reader's light or dark setting.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgebee.palette import ACCENT, GRID, INK, MUTED, PAPER, QUIET, SECOND

__all__ = ["Chart", "draw"]

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    QUIET: "--quiet",
    GRID: "--grid",
    PAPER: "--paper",
    ACCENT: "--accent",
    SECOND: "--second",
}

WIDTH_POINTS = 360
"""A point is a pixel of the page on a phone of that width."""

_FAMILIES = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans", "Arial Unicode MS")
"""matplotlib's own, then whatever is installed and has more scripts. The page takes its own."""

_STYLE = {
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters stay letters: small, sharp, found by the browser's search
    "svg.hashsalt": "edgebee",  # else the names inside differ from run to run
    "text.parse_math": False,  # a label may have a $ in it
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True)
class Chart:
    """A finished chart.

    Attributes:
        name: no two charts of a page share it.
        alt: what it shows, in words, for who cannot see it.
        svg: an `<svg>` element to put into an HTML page.
    """

    name: str
    alt: str
    svg: str


def draw(name: str, alt: str, height_points: float, paint: Callable[[Any], None]) -> Chart:
    """Draw a chart.

    Args:
        name: letters, digits and `_`; no two charts of a page share it.
        alt: what it shows, in words.
        height_points: of the chart, which is WIDTH_POINTS wide.
        paint: draws on the empty matplotlib figure that it is given.
    """
    import warnings

    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE | {"font.family": _families()}), warnings.catch_warnings():
        # A script that no installed font has: the page is drawn with the reader's fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(WIDTH_POINTS / 72, height_points / 72), layout="constrained")
        layout: Any = figure.get_layout_engine()
        layout.set(w_pad=3 / 72, h_pad=3 / 72)
        paint(figure)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Chart(name, alt, _for_page(svg.getvalue(), name, alt))


def _families() -> list[str]:
    """The fonts of _FAMILIES that are installed; asking for others would print warnings."""
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [family for family in _FAMILIES if family in installed]


def _for_page(svg: str, name: str, alt: str) -> str:
    """A file of matplotlib's as an element of a page that has other such elements."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", lambda tag: _tidy(tag.group(), name), svg)
    start = f'<svg class="chart" role="img" aria-label="{html.escape(alt)}"'
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None, "matplotlib writes a viewBox"
    return f"{start} {view.group()}>" + svg[svg.index(">") + 1 :].strip()


def _tidy(tag: str, name: str) -> str:
    """One tag with names of its own, the page's colours and no needless digits."""
    if tag.startswith("<!"):
        return ""
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, f"var({variable})")
    return re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number.group()):.1f}", tag)
