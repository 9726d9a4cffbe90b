"""The colours of every picture: the same colour, the same meaning.

Blue and orange differ for any colour vision, and the pair differs in lightness (Okabe and Ito,
"Color Universal Design", 2008).
"""

from __future__ import annotations

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "OTHERS", "PAPER", "QUIET", "SECOND"]

INK = "#1c2128"
"""Letters, and the reference."""
MUTED = "#5b6672"
"""Axes, notes and what is not in question."""
QUIET = "#b4bcc5"
"""Areas behind."""
GRID = "#e1e5ea"
PAPER = "#fdfdfc"
ACCENT = "#1f6fb4"
"""The variant in question, correct predictions, validation photos."""
SECOND = "#c4541a"
"""What it is set against, incorrect predictions, training photos."""
OTHERS = ("#0b7d62", "#9a4d8e", "#7d6608")
"""Further series, beside ACCENT and SECOND; each has a shape of its own as well."""
