"""The tables: what is printed, and what is not claimed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_pages import make_big  # beside this file
from examples import make_device, make_results, make_run  # beside this file

from edgebee.benchmarks.measure.results import PairedTest
from edgebee.benchmarks.report.conditions import spell_conditions
from edgebee.benchmarks.report.summary import verdict
from edgebee.benchmarks.report.tables import print_tables, spell_against, tables, to_markdown
from edgebee.stats import mcnemar_p


def cells(text: str) -> list[list[str]]:
    """The cells of all rows of Markdown, without rules."""
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_one_photo_is_not_printed_as_a_loss(example):
    (row,) = [row for row in cells(to_markdown(example)) if row[0] == "`int8`"][:1]
    headings = cells(to_markdown(example))[0]
    shown = dict(zip(headings, row, strict=True))
    assert shown["correct"] == "38/40"
    assert shown["95 % interval"] == "83.5 % to 98.6 %"
    assert shown["agreement"] == "97.5 %"
    assert shown["against Keras"] == "no difference (p 1.00)"


@pytest.mark.parametrize(
    ("gained", "lost", "words"),
    [
        (0, 0, "no difference (p 1.00)"),
        (0, 5, "no difference (p 0.06)"),
        (0, 6, "6 fewer (p 0.03)"),
        (9, 0, "9 more (p 0.004)"),
        (3, 30, "27 fewer (p 1e-06)"),
    ],
)
def test_a_difference_is_one_where_chance_does_not_explain_it(gained, lost, words):
    assert spell_against(PairedTest(0.9, gained, lost, mcnemar_p(gained, lost))) == words


def test_each_machine_has_its_table(example):
    titles = [table.title for table in tables(example)]
    assert titles == [
        "",
        "this x86 workstation: milliseconds a photo, medians",
        "pi@bee: milliseconds a photo, medians",
    ]


def test_a_machine_that_was_not_reached_has_no_table(example):
    alone = replace(example, devices=(example.devices[0], make_device("pi@gone", (), "no route")))
    assert not [table for table in tables(alone) if "pi@gone" in (table.title, *table.headings)]


def test_a_disturbed_machine_gives_fewer_digits():
    (_, row) = tables(make_results(drift=1.0))[1].rows
    # Rounds of 3, 6 and 9 ms.
    assert row[3:6] == ("6", "9", "9")


def test_the_terminal_shows_what_markdown_shows(example, capsys):
    print_tables(example, wide=True)
    printed = capsys.readouterr().out
    for row in cells(to_markdown(example)):
        for cell in row:
            assert cell.strip("`") in printed
    assert printed.splitlines()[-1] == verdict(example)


def test_by_default_tables_fit_80_characters(tmp_path, capsys):
    results = make_big(tmp_path, variants=10)
    # As wide as figures get: seconds a photo, and ratios that vary.
    slow = tuple(replace(make_run(one.name, 1234.5, 2345.6, 0.02)) for one in results.variants)
    print_tables(replace(results, devices=(make_device("this machine", slow),)))
    *tabled, _conditions, _published, _said = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in tabled), max(tabled, key=len)


def test_what_others_published_is_never_in_a_table(example):
    *_, last = to_markdown(example).splitlines()
    assert "published by others" in last
    assert "Raspberry Pi 4, 64-bit 17 ms (README of XNNPACK, 2022)" in last
    assert not [table for table in tables(example) if "published" in str(table)]


def test_conditions_are_under_the_tables(example):
    *_, here, there, _published = to_markdown(example).splitlines()
    assert here == (
        "- this machine: Some CPU, 2 cores, 52 °C, not throttled, "
        "governor ondemand, Linux, Python 3.11.7, ai-edge-litert 2.3.0, 2 threads, 3 rounds of 4 "
        "that differ by up to 0 %, 2026-11-25"
    )
    assert there.startswith("- pi@bee: Some CPU, ")


def test_a_hot_pi_is_told(example):
    here = example.devices[0]
    conditions = replace(
        here.conditions, board="Raspberry Pi 5", temperature_c=84.6, throttled=("throttled",)
    )
    line = spell_conditions(example, replace(here, conditions=conditions))
    assert "Raspberry Pi 5, 2 cores, 85 °C" in line
    assert "throttled (throttled)" in line


def test_what_was_not_read_is_left_out(example):
    here = example.devices[0]
    nothing = {"governor": None, "temperature_c": None, "throttled": None}
    conditions = replace(here.conditions, **nothing)
    line = spell_conditions(example, replace(here, conditions=conditions))
    assert line.startswith("this machine: Some CPU, 2 cores, Linux, ")
    lost = replace(here, conditions=None, runs=())
    assert spell_conditions(example, lost) == "this machine: not reached"
