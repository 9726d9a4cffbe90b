"""The colours of every picture: the same colour, the same meaning.

Blue and orange differ for any colour vision, and the pair differs in lightness (Okabe and Ito,
"Color Universal Design", 2008).
"""

from __future__ import annotations

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "PAPER", "QUIET", "SECOND"]

INK = "#1c2128"
"""Letters, the reference, validation photos."""
MUTED = "#5b6672"
"""Axes, notes, training photos, correct predictions."""
QUIET = "#b4bcc5"
"""Areas behind."""
GRID = "#e1e5ea"
PAPER = "#fdfdfc"
ACCENT = "#1f6fb4"
"""The model to take, and nothing else."""
SECOND = "#c4541a"
"""Incorrect predictions and warnings, and nothing else."""
