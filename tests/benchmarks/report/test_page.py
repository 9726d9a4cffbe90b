"""The page: whole in one file, safe with any name, and as a browser shows it.

The tests with a browser need Chromium (`apt-get install chromium`).
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import Chromium, find_chromium, running_chromium  # beside conftest.py
from example_pages import NASTY, make_big, with_failure, write_noise
from PIL import Image

from edgebee.benchmarks.report.page import MOST_MISTAKES_LISTED, render_page, write_page

pytest.importorskip("jinja2", reason="needs edgebee[train]")

MOST_BYTES = 3_000_000
"""A page goes by mail and opens on a phone."""


SETTINGS = {
    "two classes": {},
    "several devices": {"classes": 7, "photos": 140, "variants": 2, "devices": 3},
    "hundreds": {"classes": 150, "photos": 450, "variants": 10, "devices": 2},
    "keras alone": {"variants": 1},
    "no keras": {"variants": 2, "keras": False},
}

EVERY = pytest.mark.parametrize(
    "word",
    [word if word in ("two classes", "several devices") else
     pytest.param(word, marks=pytest.mark.slow) for word in SETTINGS],
)  # fmt: skip
"""A browser takes seconds for each, so the odd ones wait for the slow tests."""


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """Makes a page of one of the SETTINGS, once."""

    @functools.cache
    def make(word: str) -> Path:
        folder = tmp_path_factory.mktemp("artifacts")
        results = make_big(folder, **SETTINGS[word])
        if word == "hundreds":
            write_noise(folder, results.data.photos, 230)
        if word == "several devices":
            results = with_failure(results)
        if word == "two classes":
            Image.new("RGB", (800, 300)).save(folder / "training.png")
        return write_page(folder / "report.html", results)

    return make


# ------------------------------------------------------------------ the file


@EVERY
def test_it_is_one_file_that_asks_for_nothing(page_of, word):
    page = page_of(word).read_text()
    assert "<script" not in page
    addresses = re.findall(r"""(?:src|href|action|data)\s*=\s*["']([^"']*)""", page)
    addresses += re.findall(r"url\(([^)]*)\)", page)
    outside = [one for one in addresses if not one.startswith(("#", "data:"))]
    assert [one for one in outside if "onerror" not in one and one != "x onerror="] == []
    assert "default-src 'none'" in page
    assert len(page.encode()) < MOST_BYTES


@EVERY
def test_every_name_is_text_and_nothing_else(page_of, word):
    text = page_of(word).read_text()
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text  # a template engine that ran over it would have put 49 there
    assert "&lt;img src=x onerror=&#34;boom()&#34;&gt;&amp;amp;" in text


def test_a_name_in_no_known_encoding_can_be_written(tmp_path):
    results = make_big(tmp_path, photos=20)
    photos = tuple(replace(photo, name=f"val/\udcff{photo.label}.jpg") for photo in
                   results.data.photos)  # fmt: skip
    results = replace(results, data=replace(results.data, photos=photos))
    wrong = replace(results.variants[0], scores=tuple((0.5, 0.5) for _ in photos))
    results = replace(results, variants=(wrong, *results.variants[1:]))
    assert "val/\\udcff1.jpg" in write_page(tmp_path / "report.html", results).read_text()


def test_a_figure_has_one_name_on_the_page_and_in_the_terminal(page_of):
    page = page_of("two classes").read_text(encoding="utf-8")
    for name in ("decode", "resize", "invoke", "invoke p95", "total", "load", "cold start"):
        assert f'<th scope="col">{name}, ms</th>' in page
    for name in ("calibration error", "agreement with Keras", "x faster than Keras"):
        assert f'<th scope="col">{name}</th>' in page


def test_the_median_latency_of_each_model_is_visible_without_unfolding(page_of):
    page = page_of("two classes").read_text(encoding="utf-8")
    section = page.partition("<h2>Latency on this ")[2].partition("</section>")[0]
    visible = section.partition("<details>")[0]
    assert "both are the median of a photo" in visible
    assert visible.count('<td data-label="invoke, ms">') == visible.count('scope="row"') > 1
    assert visible.count('<td data-label="total, ms">') == visible.count('scope="row"')


@pytest.mark.parametrize("there", [False, True])
def test_the_training_is_shown_where_its_curves_are(tmp_path, there):
    if there:
        Image.new("RGB", (8, 3)).save(tmp_path / "training.png")
    page = write_page(tmp_path / "report.html", make_big(tmp_path, variants=1, photos=20))
    assert ("data:image/png;base64," in page.read_text()) == there


def test_a_confusion_matrix_has_every_photo_once(tmp_path):
    results = make_big(tmp_path, classes=3, photos=60, variants=1, labels=("ants", "bees", "flies"))
    page = write_page(tmp_path / "report.html", results).read_text()
    table = page.partition('<table class="confusion">')[2].partition("</table>")[0]
    counts = [int(one) for one in re.findall(r"<td[^>]*>(\d+)</td>", table)]
    assert counts == [one for row in results.variants[0].accuracy.confusion for one in row]
    assert sum(counts) == 60
    assert table.count('class="hit"') == 3


@pytest.mark.parametrize("name", ["site.html", "site/index.html"])
def test_the_page_of_edgebee_web_is_linked_where_it_lies_beside(tmp_path, name):
    results = make_big(tmp_path, variants=1, photos=20)
    link = f'<a href="{name}">Try a model in this browser</a>'
    assert link not in write_page(tmp_path / "report.html", results).read_text()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    assert link in write_page(tmp_path / "report.html", results).read_text()


def test_large_data_has_its_worst_mistakes_in_a_table(page_of):
    page = page_of("hundreds").read_text()
    assert 'class="confusion"' not in page
    listed = page.partition("Most frequent mistakes")[2].partition("</table>")[0]
    assert listed.count('data-label="predicted"') == MOST_MISTAKES_LISTED


def test_conditions_and_failures_are_shown(tmp_path):
    results = with_failure(make_big(tmp_path, photos=20, variants=2, devices=2))
    here = results.devices[0]
    here = replace(
        here, conditions=replace(here.conditions, throttled=("too hot",), board="Pi <4>")
    )
    results = replace(
        results,
        devices=(here, *results.devices[1:]),
        data=replace(results.data, skipped=("a.jpg: unreadable",)),
    )
    page = write_page(tmp_path / "report.html", results).read_text()
    for words in ("52 °C", "throttled (too hot)", "Pi &lt;4&gt;",
                  "connection refused; check that ssh runs there",
                  "1 more could not be read"):  # fmt: skip
        assert words in page


def test_it_is_made_from_the_results_alone(tmp_path):
    results = make_big(tmp_path, photos=20)
    from edgebee.benchmarks.report.gallery import make_gallery

    gallery = make_gallery(results)
    assert render_page(results, gallery, None) == render_page(results, gallery, None)


# ------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser():
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with running_chromium(program) as running:
        yield running


@EVERY
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_it_fits_every_screen(browser: Chromium, page_of, word, width):
    page = browser.open(page_of(word), width)
    assert page.complaints == []
    assert [one for one in page.requests if not one.startswith("data:")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_complaint_and_a_request_would_be_seen(browser: Chromium, tmp_path):
    # Otherwise the test above could not fail.
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='missing.png'><script>console.log('x'); boom()</script>")
    page = browser.open(bad, 360)
    assert any("missing.png" in one for one in page.requests)
    assert len(page.complaints) >= 2


@EVERY
def test_every_picture_is_there_and_has_words(browser: Chromium, page_of, word):
    page = browser.open(page_of(word), 800)
    pictures = page.evaluate(
        "[...document.querySelectorAll('img')].map(one => [one.alt, one.naturalWidth])"
    )
    assert all(alt.strip() and width > 0 for alt, width in pictures)
    drawings = page.evaluate(
        "[...document.querySelectorAll('[role=img]')].map(one => "
        "[one.getAttribute('aria-label') || '', one.getBoundingClientRect().width])"
    )
    assert drawings  # an interval for each model
    assert all(len(label) > 10 and width > 50 for label, width in drawings)
    assert (len(pictures) > 0) == (word in ("hundreds", "two classes"))  # photos, curves


@EVERY
def test_it_is_well_formed(browser: Chromium, page_of, word):
    page = browser.open(page_of(word), 800)
    assert page.evaluate("document.compatMode") == "CSS1Compat"
    twice = """(() => { const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
        return ids.filter((id, place) => ids.indexOf(id) !== place) })()"""
    assert page.evaluate(twice) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate("document.title") == "insects: edgebee benchmark"
    assert page.evaluate("document.querySelectorAll('[onerror], script').length") == 0


def test_nasty_names_are_read_as_they_are(browser: Chromium, page_of):
    page = browser.open(page_of("several devices"), 800)
    assert NASTY in page.evaluate("document.body.innerText")


COLOURS = """[document.body, ...document.querySelectorAll('h1, td, figcaption')]
    .map(one => getComputedStyle(one).color)"""


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of `rgb(…)`."""
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * c for part, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_readers_colours_and_can_be_read(browser: Chromium, page_of, scheme):
    page = browser.open(page_of("two classes"), 800, scheme)
    paper = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (paper > 0.5) == (scheme == "light")
    letters = set(page.evaluate(COLOURS))
    for colour in letters:
        light, dark = sorted((paper, luminance(colour)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour  # WCAG 2.2, level AA
