"""Names of classes in the pictures of a training: letters, or something readable."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

font_manager = pytest.importorskip("matplotlib.font_manager", reason="needs edgebee[train]")

from edgebee.train import letters, plots  # noqa: E402


@pytest.fixture
def only_dejavu(monkeypatch):
    """A machine without other fonts than matplotlib's own."""
    own = [one for one in font_manager.fontManager.ttflist if "matplotlib" in one.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])


LABELS = ["ants", "蜜蜂", "🐝 bee", "Käfer", "$a$ _x_", "❤️"]


@pytest.mark.usefixtures("only_dejavu")
def test_names_without_a_font_are_readable_and_said_once(caplog):
    shown = letters.readable_labels(LABELS)
    assert shown == ["ants", "class 2", "[honeybee] bee", "Käfer", "$a$ _x_", "❤️"]
    assert [line.split(":")[0] for line in caplog.messages] == ["蜜蜂", "🐝 bee"]
    assert all("sudo apt install" in line for line in caplog.messages)


def test_a_font_that_has_the_letters_is_taken(monkeypatch):
    entries = [SimpleNamespace(fname=name, name=name) for name in ("Nothing", "Hanzi")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])
    monkeypatch.setattr(font_manager, "findfont", lambda name: name)
    has = {"DejaVu Sans": "abc", "Nothing": "", "Hanzi": "蜜蜂"}

    def get_font(name):
        return SimpleNamespace(scalable=True, get_charmap=lambda: {ord(c): 1 for c in has[name]})

    monkeypatch.setattr(font_manager, "get_font", get_font)
    found = letters.find_letters("a b", "蜜蜂")
    assert found == letters.Letters(("DejaVu Sans", "Hanzi"), frozenset())


@pytest.mark.usefixtures("only_dejavu")
def test_no_picture_has_a_raw_warning(tmp_path):
    from PIL import Image

    paths = [tmp_path / f"{label.strip()} 1.png" for label in ("蜂", "$x", "🐝")]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    scores = np.eye(6, dtype=np.float32)[[1, 2, 3]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.plot_confusion(np.eye(6, dtype=np.int64), LABELS, "1 of 1 correct (蜜蜂)")
        plots.plot_mistakes(paths, np.array([0, 0, 0]), scores, LABELS, "photos")
        plots.plot_training([], "蜜蜂")
