"""The charts: whole, true to the figures, and of every size of benchmark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from example_pages import NASTY, epochs, make_big  # beside this file
from examples import make_results

from edgebee.benchmarks.report.plots_predictions import (
    MOST_CLASSES_IN_A_MATRIX,
    _points,
    plot_confusions,
    plot_reliability,
    plot_training,
)
from edgebee.benchmarks.report.plots_speed import plot_accuracy

pytest.importorskip("matplotlib", reason="needs edgebee[train]")


def texts(chart) -> list[str]:
    """What is written in a chart, as a browser would read it."""
    root = ElementTree.fromstring(chart.svg)
    return ["".join(text.itertext()) for text in root.iter() if text.tag.endswith("text")]


@pytest.fixture(scope="module")
def charts(tmp_path_factory):
    """Every kind of chart."""
    results = make_big(tmp_path_factory.mktemp("photos"), classes=3, variants=3, devices=2)
    return [
        plot_accuracy(results, 0),
        plot_accuracy(results, 1),
        *(chart for _, chart in plot_confusions(results)),
        plot_reliability(results),
        plot_training(epochs()),
    ]


def test_the_page_can_hold_all_at_once(charts):
    # One page has one name for each thing, or a chart would take another's clipping and marks.
    seen: set[str] = set()
    for chart in charts:
        names = set(re.findall(r'\bid="([^"]+)"', chart.svg))
        wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', chart.svg))
        assert wanted <= names
        assert not names & seen
        seen |= names
        for foreign in ("<style", "<metadata", "<!DOCTYPE", "<?xml", "font-size: 0"):
            assert foreign not in chart.svg


def test_colours_are_the_pages_and_letters_are_letters(charts):
    for chart in charts:
        assert not re.findall(r"#[0-9a-f]{6}", chart.svg)
        assert "var(--muted)" in chart.svg
        assert texts(chart)


def test_each_says_in_words_what_it_shows(charts):
    for chart in charts:
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == chart.alt
        assert len(chart.alt) > 30
        assert chart.alt.endswith(".")


def test_labels_are_written_as_they_are(tmp_path):
    # As matplotlib's mathematics `$x_1$` would be an italic x, and half of one an error.
    labels = ("$x_1$", "$ & <b>", "100 %")
    (_, chart), *_ = plot_confusions(make_big(tmp_path, classes=3, labels=labels))
    assert set(labels) <= set(texts(chart))


def test_the_same_results_give_the_same_text(tmp_path):
    results = make_big(tmp_path)
    assert plot_accuracy(results, 0).svg == plot_accuracy(results, 0).svg


def test_small_data_has_a_matrix_for_each_different_set_of_answers():
    results = make_results(int8_wrong=4)
    (who, chart), (other, _) = plot_confusions(results)
    assert (who, other) == (("Keras",), ("int8",))
    # Keras has one of 40 wrong, an ant, and all 20 bees right.
    assert {"19", "1", "20"} <= set(texts(chart))
    assert chart.alt == "Confusion matrix of Keras: 1 ants predicted as bees."
    ((both, _),) = plot_confusions(make_results(int8_wrong=1))
    assert both == ("Keras", "int8")


def test_large_data_has_no_matrix(tmp_path):
    assert plot_confusions(make_big(tmp_path, classes=MOST_CLASSES_IN_A_MATRIX + 1)) == []
    assert plot_confusions(make_big(tmp_path, classes=MOST_CLASSES_IN_A_MATRIX)) != []


def test_a_point_of_the_reliability_curve_stands_for_enough_photos(tmp_path):
    results = make_big(tmp_path, photos=203)
    for variant in results.variants:
        points = _points(variant)
        assert sum(point.photos for point in points) == 203
        assert all(point.photos >= 10 for point in points[:-1])
        correct = sum(point.accuracy * point.photos for point in points)
        assert correct == pytest.approx(variant.accuracy.correct)
        assert [point.score for point in points] == sorted(point.score for point in points)


def test_reliability_of_one_model_alone(tmp_path):
    chart = plot_reliability(make_big(tmp_path, variants=1))
    assert any(text.startswith("Keras, ECE") for text in texts(chart))


def test_the_start_of_fine_tuning_is_marked():
    assert "fine-tuning" in texts(plot_training(epochs()))
    assert "fine-tuning" not in texts(plot_training(epochs()[:3]))


def test_nasty_names_do_not_break_a_chart(charts):
    for chart in charts:
        assert "<img" not in chart.svg
        ElementTree.fromstring(chart.svg)  # an error where it is no XML
    assert any(NASTY in chart.alt for chart in charts)
