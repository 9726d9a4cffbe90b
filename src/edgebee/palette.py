"""The colours of every picture: the same colour, the same meaning.

Blue and orange differ for any colour vision, and the pair differs in lightness (Okabe and Ito,
"Color Universal Design", 2008).
"""

from __future__ import annotations

__all__ = ["INK", "MUTED", "PAPER", "SECOND"]

INK = "#1c2128"
"""Letters, the reference, validation photos."""
MUTED = "#5b6672"
"""Axes, notes, training photos, correct predictions."""
PAPER = "#fdfdfc"
SECOND = "#c4541a"
"""Incorrect predictions and warnings, and nothing else."""
