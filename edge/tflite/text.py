"""Strings from a file that nobody vouches for, made fit for a terminal."""

from __future__ import annotations

__all__ = ["LONGEST", "decoded", "shown"]

LONGEST = 500
"""Characters of a name or description that are shown."""


def shown(text: str) -> str:
    """The text without control characters, and not endless."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST]).strip()


def decoded(raw: bytes) -> str:
    """`shown`, for bytes that should be UTF-8."""
    return shown(raw[: 4 * LONGEST].decode("utf-8", "replace"))
