"""Latency on Raspberry Pis as others have published it, for whoever has none at hand.

Kept apart from what edgebee measures: never in one column with it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "PUBLISHED_MODEL", "PublishedLatency", "spell_published"]

PUBLISHED_MODEL = "MobileNetV2 1.0 at 224 pixels, pixels to scores, decoding comes on top"


@dataclass(frozen=True)
class PublishedLatency:
    """Milliseconds a photo on one board, with XNNPACK.

    Attributes:
        board: its name.
        float32_ms: of the float32 model.
        int8_ms: of the int8 model.
        source: who published it.
    """

    board: str
    float32_ms: float
    int8_ms: float
    source: str


PUBLISHED = (
    PublishedLatency("Raspberry Pi 3B+", 79, 30, "README of XNNPACK, 2022"),
    PublishedLatency("Raspberry Pi 4, 64-bit", 46, 17, "README of XNNPACK, 2022"),
    PublishedLatency("Raspberry Pi 5", 10.9, 4.0, "Arm's ExecuTorch course"),
)


def spell_published() -> str:
    """The int8 figures in one line, for a terminal."""
    figures = ", ".join(f"{one.board} {one.int8_ms:g} ms ({one.source})" for one in PUBLISHED)
    return f"Expected on a Raspberry Pi, published by others for int8 {PUBLISHED_MODEL}: {figures}"
