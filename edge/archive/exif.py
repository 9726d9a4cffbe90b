"""Where a photo was taken, from its EXIF."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edgebee.edge.classify import LIBRARY_ERRORS, open_image

__all__ = ["read_place", "split_taken"]

_GPS = 0x8825
"""The tag that leads to the place (CIPA DC-008, 4.6.6); below it these."""
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4


def read_place(content: bytes) -> tuple[float, float] | None:
    """Latitude and longitude of a photo that could be decoded, in degrees; None if it has none."""
    if b"Exif" not in content[: 1 << 17] and content[:2] == b"\xff\xd8":
        return None
    with contextlib.suppress(*LIBRARY_ERRORS):  # the prediction is as good
        with open_image(io.BytesIO(content)) as image:
            tags = image.getexif().get_ifd(_GPS)
        return _degrees(tags) if tags else None
    return None


def _degrees(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    place = (
        _signed(tags[_LATITUDE], tags[_LATITUDE_REF], "S"),
        _signed(tags[_LONGITUDE], tags[_LONGITUDE_REF], "W"),
    )
    # Cameras without a fix write zeros, or 0/0.
    if place == (0.0, 0.0) or not (abs(place[0]) <= 90 and abs(place[1]) <= 180):
        return None
    return place


def _signed(parts: Any, reference: Any, negative: str) -> float:
    """Degrees of degrees, minutes and seconds."""
    degrees: float = sum(float(part) / 60**power for power, part in enumerate(parts))
    return -degrees if str(reference).upper().startswith(negative) else degrees


def split_taken(taken: str) -> tuple[datetime | None, str | None]:
    """A `Prediction.taken` as the camera's own clock, and its zone where it is known."""
    try:
        return datetime.fromisoformat(taken[:19]), taken[19:] or None
    except ValueError:  # none, or 30 February
        return None, None
