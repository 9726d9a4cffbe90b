"""Questions to an archive, and its page."""

from __future__ import annotations

import csv
import html
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from archive_photos import MODEL, archived, make_photo
from PIL import Image

pytest.importorskip("duckdb", reason="needs edgebee[archive]")

from edgebee.benchmarks.report.archive_page import render_archive_page, write_archive_page
from edgebee.edge.archive.query import COUNT_LABELS, open_archive
from edgebee.edge.archive.summary import summarize
from edgebee.errors import DataError

BAD_CLOCK = datetime(2000, 1, 1)


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """60 photos, one a day from 1 June, one of them with a wrong clock; and two broken ones."""
    folder = tmp_path_factory.mktemp("dated")
    for number in range(60):
        taken = datetime(2025, 6, 1, 12) + timedelta(days=number) if number != 30 else BAD_CLOCK
        exif = Image.Exif()
        exif[0x8769] = {0x9003: taken.strftime("%Y:%m:%d %H:%M:%S")}
        make_photo(folder / "photos" / f"<b>{number:02d}</b>.jpg", 4 * number, exif=exif)
    for name in ("one.jpg", "two.jpg"):
        (folder / "photos" / name).write_bytes(b"<script>")
    return archived(folder / "photos", folder / "an 'archive' [1]?", part_size=25)


def test_without_sql_labels_are_counted(dated):
    names, rows = open_archive(dated.folder.parent).rows(COUNT_LABELS)
    counts = {row[0]: row[1] for row in rows}
    assert names[:2] == ["label", "photos"]
    assert counts == {**dated.labels, "error": 2}


def test_the_columns_answer_what_the_documentation_shows(dated):
    tables = open_archive(dated.folder.parent)
    months = "SELECT date_trunc('month', taken) AS m, count(*) FROM photos WHERE {} GROUP BY m"
    counts = [count for _, count in tables.rows(months.format("taken > '2001-01-01'"))[1]]
    assert sorted(counts) == [29, 30]  # of July, without the wrong clock, and June
    assert next(tables.rows("SELECT count(*) FROM photos WHERE scores['dark'] < 2")[1]) == (60,)
    joined = "SELECT count(*) FROM manifest JOIN photos USING (path, size, modified)"
    assert next(tables.rows(joined)[1]) == (62,)


def test_results_are_text_or_csv(dated):
    tables = open_archive(dated.folder.parent)
    sql = "SELECT label, scores, error FROM photos ORDER BY path DESC LIMIT 3"
    head, *lines = tables.text(sql)
    assert head.split() == ["label", "scores", "error"]
    assert lines[0].split(maxsplit=2) == ["-", "-", "unreadable (not a picture)"]
    rows = list(csv.DictReader(tables.csv(sql)))
    assert [row["error"] for row in rows] == ["unreadable (not a picture)"] * 2 + [""]


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("SELEC 1", "SQL: Parser Error"),
        ("SELECT lable FROM photos", 'SQL: Binder Error: .*"lable"'),
        ("SELECT CAST(path AS INTEGER) FROM photos", "SQL: Conversion Error"),
    ],
)
def test_sql_that_fails_is_a_line(dated, sql, complaint):
    with pytest.raises(DataError, match=complaint) as refused:
        list(open_archive(dated.folder.parent).rows(sql)[1])
    assert "\n" not in str(refused.value)


def test_photos_are_those_of_one_model_and_all_models_those_of_all(photos, tmp_path):
    tiny = archived(photos, tmp_path / "archive")
    other = archived(photos, tmp_path / "archive", model=MODEL)
    sql = "SELECT count(DISTINCT model), min(model), count(*) FROM"
    for chosen, folder in ((None, other.folder), (tiny.folder.name[:6], tiny.folder)):
        tables = open_archive(tmp_path / "archive", model=chosen)
        model = (tiny if folder == tiny.folder else other).model
        assert next(tables.rows(f"{sql} photos")[1]) == (1, model, 11)
        assert next(tables.rows(f"{sql} all_models")[1])[::2] == (2, 22)
    with pytest.raises(DataError, match="no results of model zzz; there are"):
        open_archive(tmp_path / "archive", model="zzz")
    with pytest.raises(DataError, match="not an archive"):
        open_archive(photos)


def test_the_summary_counts_labels_over_time(dated):
    summary = summarize(dated.folder)
    assert (summary.photos, summary.dated, summary.outside, summary.placed) == (62, 60, 1, 0)
    assert (summary.unit, summary.by_exif, len(summary.steps)) == ("day", True, 60)
    named = {one.label: one for one in summary.labels}
    assert {label: one.photos for label, one in named.items()} == {**dated.labels, None: 2}
    assert sum(sum(one.over_time) for one in summary.labels) == 59
    assert summary.errors == {"unreadable (not a picture)": 2}
    scores = [sample.score for sample in summary.uncertain]
    assert scores == sorted(scores)
    assert {label: len(sheet) for label, sheet in summary.sheets.items()} == {
        label: min(12, count) for label, count in dated.labels.items()
    }
    assert summarize(dated.folder) == summary  # the same photos are chosen each time


def test_photos_without_times_of_their_own_are_shown_by_those_of_their_files(photos, tmp_path):
    summary = summarize(archived(photos, tmp_path / "archive").folder)
    assert not summary.by_exif
    assert (summary.dated, summary.unit) == (11, "hour")


def test_the_page_holds_everything_and_nothing_that_runs(dated, tmp_path):
    summary = summarize(dated.folder)
    page = write_archive_page(tmp_path / "summary.html", summary).read_text("utf-8")
    assert "<script" not in page
    assert "<b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    shown = {one.path for one in summary.uncertain}
    shown |= {one.path for sheet in summary.sheets.values() for one in sheet}
    assert page.count("data:image/jpeg") >= len(shown)
    for path in shown:  # the name is markup, and has a slash
        assert html.escape("/".join(Path(path).parts[-2:])) in page
    assert "no longer there" not in page
    assert "no longer there" in render_archive_page(summary, {})


def test_an_archive_of_nothing_but_errors_has_a_page(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"")
    summary = summarize(archived(tmp_path / "photos", tmp_path / "archive").folder)
    page = render_archive_page(summary, {})
    assert "1 photo: 100 % could not be read" in page.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.slow  # a browser starts
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_fits_a_screen_and_asks_for_nothing(dated, tmp_path, width):
    chromium = pytest.importorskip("chromium")  # beside tests/conftest.py
    program = chromium.find_chromium()
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium")
    page = write_archive_page(tmp_path / "summary.html", summarize(dated.folder))
    with chromium.running_chromium(program) as running:
        opened = running.open(page, width)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
        assert opened.evaluate("document.querySelectorAll('rect').length") > 50
        assert opened.complaints == []
        assert [one for one in opened.requests if not one.startswith("data:")] == []
