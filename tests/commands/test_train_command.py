"""`edgebee train`: its options are the recipe's, and say so."""

from __future__ import annotations

from dataclasses import fields

import click
import pytest

from edgebee.commands.train import BACKBONE_NAMES, command
from edgebee.train.backbone import BACKBONES
from edgebee.train.recipe import Recipe

OPTIONS = {one.name: one for one in command.params if isinstance(one, click.Option)}


@pytest.mark.parametrize("field", [field.name for field in fields(Recipe)])
def test_every_setting_is_an_option_with_the_same_default(field):
    given = command.make_context("train", []).params
    assert given[field] == getattr(Recipe(), field)


def test_the_backbones_are_those_that_there_are():
    assert tuple(BACKBONES) == BACKBONE_NAMES
    first_layers = ", ".join(f"{one.fine_tune_at} for {name}" for name, one in BACKBONES.items())
    assert OPTIONS["fine_tune_at"].show_default == first_layers


def test_help_shows_every_default_under_headings(edgebee):
    done = edgebee("train", "--help")
    text = " ".join(done.out.split())
    for heading in ("Photos:", "Recipe:", "Fine-tuning:", "Output:"):
        assert heading in text
    # Flags, patterns to leave out and --help itself have none.
    assert text.count("[default: ") == len(OPTIONS) - 2
    assert "..." not in text.replace("[OPTIONS]", "")


def test_photos_are_named_once(edgebee, tmp_path):
    done = edgebee("train", tmp_path / "one", "--data", tmp_path / "other")
    assert done.status == 2
    assert "name the photos once" in done.errors[-1]
    # As an argument they are the same as with --data.
    for arguments in (["train", tmp_path / "one"], ["train", "--data", tmp_path / "one"]):
        done = edgebee(*arguments)
        assert done.status == 1
        assert f"{tmp_path / 'one'}: no such folder" in done.errors[-1]
