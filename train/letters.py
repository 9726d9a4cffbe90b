"""Letters of class names in pictures: from any font that is installed, else something readable."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Letters", "find_letters", "readable_labels"]

_log = logging.getLogger("edgebee.train")

_DEFAULT = "DejaVu Sans"  # which comes with matplotlib


@dataclass(frozen=True)
class Letters:
    """Where the letters of some texts are found."""

    families: tuple[str, ...]
    """Of fonts, in the order to try them."""
    missing: frozenset[str]
    """Characters that no font has."""

    def shown(self, text: str) -> str:
        """The text with what no font has in words, as `[honeybee]`, or `?`."""
        return "".join(_in_words(char) if char in self.missing else char for char in text)


def _in_words(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "So":  # symbols, emoji among them
        return f"[{unicodedata.name(char, '?').lower()}]"
    return "" if kind in ("Cf", "Mn", "Me") else "?"  # joiners, variants, accents


def find_letters(*texts: str) -> Letters:
    """Find fonts that have the letters of texts."""
    from matplotlib.font_manager import findfont, findSystemFonts, fontManager, get_font

    def letters_of(path: str) -> Any:
        font = get_font(path)
        return font.get_charmap() if font.scalable else {}  # colour emoji are small pictures

    wanted = {char for text in texts for char in text if not char.isspace()}
    families = [_DEFAULT]
    wanted -= {char for char in wanted if ord(char) in letters_of(findfont(_DEFAULT))}
    if wanted:
        known = {entry.fname for entry in fontManager.ttflist}
        for path in set(findSystemFonts()) - known:  # installed since matplotlib made its list
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):  # no font of a kind that it reads
                continue
    for entry in fontManager.ttflist:
        if not wanted:
            break
        if "Last Resort" in entry.name:  # boxes with the name of a script
            continue
        found = {char for char in wanted if ord(char) in letters_of(entry.fname)}
        if found:
            families.append(entry.name)
            wanted -= found
    return Letters(tuple(families), frozenset(wanted))


def readable_labels(labels: Sequence[str]) -> list[str]:
    """Labels as they are where a font has their letters, else their number, with a warning."""
    letters = find_letters(*labels)
    shown = []
    for number, label in enumerate(labels, 1):
        nameless = any(_in_words(char) == "?" for char in label if char in letters.missing)
        shown.append(f"class {number}" if nameless else letters.shown(label))
        if shown[-1] != label:
            _log.warning(
                "%s: no font here has all its letters, so pictures say %s: sudo apt install "
                "fonts-noto-cjk fonts-noto-core fonts-symbola",
                label,
                shown[-1],
            )
    return shown
