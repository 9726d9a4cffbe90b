"""What the pages have in common: their style, and how templates are filled."""

from __future__ import annotations

import base64
import importlib.resources
import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    import jinja2

__all__ = ["THUMBNAIL_PIXELS", "encode_thumbnail", "make_environment", "read_beside"]

THUMBNAIL_PIXELS = 208
"""A side; twice what a phone shows of it, for its dense screen."""
JPEG_QUALITY = 80


def make_environment() -> jinja2.Environment:
    """Templates of this folder, with names escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_beside),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"data_uri": _data_uri, "unbroken": _unbroken}
    return environment


def read_beside(name: str) -> str:
    """The text of a file that lies beside this module."""
    return (importlib.resources.files("edgebee.benchmarks.report") / name).read_text(
        encoding="utf-8"
    )


def encode_thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A JPEG of at most `THUMBNAIL_PIXELS` a side, from `uint8 [H, W, 3]`."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def _unbroken(text: str) -> str:
    """A text in which no line begins with the unit of the number before it."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace(" ms", "\N{NO-BREAK SPACE}ms")


def _data_uri(picture: bytes, kind: str = "jpeg") -> str:
    """A picture as its own address."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
