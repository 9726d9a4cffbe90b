"""What the report and the tables say of `neither`; nothing where no model knows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from example_neither import OTHERS, make_knowing  # beside this file's folder
from examples import make_results
from PIL import Image

from edgebee.benchmarks.measure.results import Results
from edgebee.benchmarks.report.gallery import make_gallery, worth_a_look
from edgebee.benchmarks.report.neither import accepted_strangers, bin_sureness, read_stranger
from edgebee.benchmarks.report.page import render_page
from edgebee.benchmarks.report.summary import details, verdict
from edgebee.benchmarks.report.tables import tables
from edgebee.errors import PhotoError


@pytest.fixture
def knowing():
    return make_knowing()


def test_the_file_has_it_all_and_files_without_it_are_still_read(knowing, tmp_path):
    knowing.write(tmp_path / "known.json")
    assert Results.read(tmp_path / "known.json") == knowing
    make_results().write(tmp_path / "plain.json")
    assert Results.read(tmp_path / "plain.json").variants[0].accuracy.as_seen is None


def test_a_table_of_what_the_user_sees_and_one_of_strangers_fit_80_columns(knowing):
    _, seen, strangers, *_ = tables(knowing, wide=False)
    assert seen.rows[1][:2] == ("int8", "36/40")
    assert strangers.rows[2][:3] == ("int8", "other photos", "3/10")
    assert strangers.rows[-1][:3] == ("in training", "background crops", "12/80")
    for table in (seen, strangers):
        columns = zip(table.headings, *table.rows, strict=True)
        assert sum(max(map(len, column)) + 2 for column in columns) <= 80
    wide = tables(knowing)[2]
    assert {"AUROC interval", "FPR95 interval"} < set(wide.headings)


def test_the_verdict_is_by_the_best_class_and_its_details_as_the_user_sees_it(knowing):
    assert verdict(knowing) == verdict(make_results())
    text = " ".join(details(knowing))
    assert "As its user sees it, 36 are correct: 2 are called neither and 0 unknown." in text
    assert "It takes 3 of 10 other photos and 0 of 60 blank frames for a class." in text


def test_bins_of_sureness_hold_every_picture(knowing):
    bins = bin_sureness(knowing.variants[1])
    assert [(one.low, one.known, one.strange) for one in bins if one.known or one.strange] == [
        (0.9, 38, 3),
        (pytest.approx(0.3), 2, 0),
        (pytest.approx(0.1), 0, 67),
    ]
    assert sum(one.known_share for one in bins) == pytest.approx(1)


def test_strangers_that_are_taken_for_a_class_have_a_card(knowing, tmp_path):
    photo = tmp_path / "stranger.png"
    Image.new("RGB", (50, 40), "gold").save(photo)
    there = (replace(OTHERS[0], name=str(photo)), *knowing.data.strangers[1:])
    results = replace(knowing, data=replace(knowing.data, strangers=there))
    assert accepted_strangers(results.variants[1]) == [0, 1, 2]
    gallery = make_gallery(results)
    assert (gallery.accepted, len(gallery.strangers)) == (3, 3)
    first, second, _ = gallery.strangers
    assert (first.label, first.predictions[0].label) == ("other photos", "bees")
    assert first.photo
    assert second.photo is None  # it is no longer there


def test_blank_frames_are_drawn_again(knowing):
    frame = read_stranger(knowing, len(OTHERS) + 30, (32, 32))  # noise
    assert np.ptp(frame) > 100
    with pytest.raises(PhotoError):
        read_stranger(knowing, 0, (32, 32))


def test_a_refused_friend_is_a_photo_to_look_at(knowing):
    places, _ = worth_a_look(knowing)
    assert {38, 39} <= set(places)
    cards = {card.name: card for card in make_gallery(knowing).cards}
    assert cards["val/bees/39.jpg"].predictions[0].label == "neither"


def test_the_page_has_a_section_only_where_a_model_knows_it(knowing):
    page = render_page(knowing, make_gallery(knowing), None)
    for part in ("What it does not know", "AUROC", "background crops", '<th scope="col">unknown'):
        assert part in page
    plain = make_results()
    without = render_page(plain, make_gallery(plain), None)
    for word in ("neither</", "AUROC", "stranger"):
        assert word not in without.partition("<body>")[2]


def test_one_model_that_knows_it_beside_one_that_does_not(knowing):
    mixed = replace(knowing, variants=(make_results().variants[0], knowing.variants[1]))
    assert "What it does not know" in render_page(mixed, make_gallery(mixed), None)
    assert len(tables(mixed)[1].rows) == 1
