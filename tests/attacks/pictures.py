"""Pictures of every kind the runner reads, and ways to damage them."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["Picture", "bombs", "make_pictures", "mutate"]


@dataclass(frozen=True)
class Picture:
    """A sound picture file."""

    kind: str
    """Format and what is special about it, as `png 16-bit`."""
    content: bytes

    @property
    def suffix(self) -> str:
        """The ending of such a file."""
        name = self.kind.split(maxsplit=1)[0]
        return {"jpeg": ".jpg", "mpo": ".jpg", "tiff": ".tif"}.get(name, f".{name}")


def _texture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Something that compresses as photos do: smooth colours with grain."""
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(0, 256, (6, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = chance.normal(0, 6, smooth.shape).astype(np.int16)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def _save(image: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if "append_images" in options:  # saving leaves settings on an image
        options = options | {"append_images": [one.copy() for one in options["append_images"]]}
    image.copy().save(file, format_, **options)
    return file.getvalue()


def make_pictures() -> list[Picture]:
    """One small picture of each kind, and a few of the size of a photo."""
    rgb, second = _texture(64, 48), _texture(64, 48, seed=1)
    grey, alpha = rgb.convert("L"), rgb.copy()
    alpha.putalpha(second.convert("L"))
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) << 8) + 77)
    palette = rgb.quantize(64)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9003] = 6, "A Maker", "2024:01:01 00:00:00"
    frames = {"save_all": True, "append_images": [second, second.rotate(9)]}
    icc = {"icc_profile": b"\0\0\x02\x0c" + b"profile " * 64}
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (rgb, "JPEG", {}),
        "jpeg photo": (_texture(640, 480), "JPEG", {"exif": exif}),
        "jpeg progressive": (rgb, "JPEG", {"progressive": True}),
        "jpeg 4:4:4 restarts": (rgb, "JPEG", {"subsampling": 0, "restart_marker_rows": 1}),
        "jpeg grey": (grey, "JPEG", {"exif": exif}),
        "jpeg cmyk": (rgb.convert("CMYK"), "JPEG", icc),
        "mpo": (rgb, "MPO", frames),
        "png": (rgb, "PNG", {"exif": exif} | icc),
        "png photo": (_texture(320, 240), "PNG", {}),
        "png transparent": (alpha, "PNG", {}),
        "png 16-bit": (deep, "PNG", {}),
        "png palette": (palette, "PNG", {"transparency": 3}),
        "png 1-bit": (grey.convert("1"), "PNG", {}),
        "png grey transparent": (alpha.convert("LA"), "PNG", {}),
        "png animated": (rgb, "PNG", frames),
        "gif": (palette, "GIF", {"transparency": 3}),
        "gif animated": (rgb, "GIF", frames),
        "bmp": (rgb, "BMP", {}),
        "bmp palette": (palette, "BMP", {}),
        "bmp 1-bit": (grey.convert("1"), "BMP", {}),
        "bmp transparent": (alpha, "BMP", {}),
        "ppm": (rgb, "PPM", {}),
        "ppm grey": (grey, "PPM", {}),
        "tiff": (rgb, "TIFF", {"exif": exif}),
        "tiff lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
        "tiff fax": (grey.convert("1"), "TIFF", {"compression": "group4"}),
        "tiff packbits": (alpha, "TIFF", {"compression": "packbits"}),
        "tiff cmyk": (rgb.convert("CMYK"), "TIFF", {}),
        "tiff pages": (rgb, "TIFF", frames),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "webp lossless": (alpha, "WEBP", {"lossless": True}),
        "webp transparent": (alpha, "WEBP", {}),
        "webp animated": (rgb, "WEBP", frames),
    }
    made = [
        Picture(kind, _save(image, format_, **options))
        for kind, (image, format_, options) in kinds.items()
    ]
    return [*made, Picture("bmp rle", _rle_bmp())]


def _rle_bmp() -> bytes:
    """An 8-bit BMP with run lengths, which Pillow reads and does not write."""
    palette = bytes(value for grey in range(256) for value in (grey, grey, grey, 0))
    runs = b"".join(
        bytes((16, row * 8 % 256, 0, 4, 1, 2, 3, 4, 12, row, 0, 0)) for row in range(32)
    )
    data = runs + b"\0\1"
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 32, 32, 1, 8, 1, len(data), 2835, 2835, 256, 0)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + palette + data


def bombs(side_px: int = 13_300) -> list[Picture]:
    """Small files that unpack to 177 megapixels, just under what Pillow itself refuses."""
    size, made = (side_px, side_px), []
    for mode in ("RGB", "RGBA", "I;16", "L", "P", "LA", "1"):
        made.append(Picture(f"png bomb {mode}", _save(Image.new(mode, size), "PNG")))
    options = {"compression": "tiff_lzw"}
    made.append(Picture("tiff bomb CMYK", _save(Image.new("CMYK", size), "TIFF", **options)))
    made.append(Picture("gif bomb", _save(Image.new("P", size), "GIF")))
    made.append(
        Picture("jpeg bomb progressive", _save(Image.new("L", size), "JPEG", progressive=True))
    )
    return made


# ------------------------------------------------------------------------ damages

EDGES = (0, 1, 2, 3, 4, 7, 8, 16, 0x7F, 0x80, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF,
         0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)  # fmt: skip
"""Values at which sizes, counts and offsets go wrong."""
HEAD_BYTES = 512

Damage = Callable[[random.Random, bytearray, Sequence[Picture]], bytearray]


def _place(chance: random.Random, data: bytearray, width: int = 1) -> int:
    """Somewhere in the file, in most cases near its start, where the sizes are."""
    reach = min(len(data), HEAD_BYTES) if chance.random() < 0.6 else len(data)
    return chance.randrange(max(1, reach - width + 1))


def _flip(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    for _number in range(chance.choice((1, 1, 2, 4, 16, 64))):
        data[_place(chance, data)] ^= 1 << chance.randrange(8)
    return data


def _overwrite(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    for _number in range(chance.choice((1, 1, 2, 4, 8))):
        code = chance.choice(("B", "<H", ">H", "<I", ">I"))
        width = struct.calcsize(code)
        place, value = _place(chance, data, width), chance.choice(EDGES) % (1 << 8 * width)
        data[place : place + width] = struct.pack(code, value)
    return data


def _nudge(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    place = _place(chance, data)
    data[place] = (data[place] + chance.randint(-4, 4)) % 256
    return data


def _cut(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    return data[: chance.randrange(len(data))]


def _remove(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    place = _place(chance, data)
    del data[place : place + chance.choice((1, 2, 4, 16, 256))]
    return data


def _insert(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    place = _place(chance, data)
    data[place:place] = chance.randbytes(chance.choice((1, 2, 4, 16, 256)))
    return data


def _repeat(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    place, length = _place(chance, data), chance.choice((2, 8, 64, 512))
    data[place:place] = data[place : place + length] * chance.choice((1, 2, 50))
    return data


def _blank(chance: random.Random, data: bytearray, _: Sequence[Picture]) -> bytearray:
    place, length = _place(chance, data), chance.choice((4, 64, 512, 4096))
    here = len(data[place : place + length])
    data[place : place + length] = bytes([chance.choice((0, 255))]) * here
    return data


def _splice(chance: random.Random, data: bytearray, others: Sequence[Picture]) -> bytearray:
    other = chance.choice(others).content
    return data[: _place(chance, data)] + other[chance.randrange(len(other)) :]


DAMAGES: tuple[Damage, ...] = (
    _flip, _overwrite, _overwrite, _nudge, _cut, _remove, _insert, _repeat, _blank, _splice
)  # fmt: skip


def mutate(chance: random.Random, pictures: Sequence[Picture]) -> tuple[Picture, bytes]:
    """Take one of `pictures` and damage it, in most cases once.

    Returns:
        What it was, and what it is now.
    """
    picture = chance.choice(pictures)
    data = bytearray(picture.content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(DAMAGES)(chance, data or bytearray(1), pictures)
    if picture.kind.startswith("png") and chance.random() < 0.8:
        data = _mend_checksums(data)
    return picture, bytes(data)


def _mend_checksums(data: bytearray) -> bytearray:
    """Make the CRC of every PNG chunk right, so that the damage gets past it."""
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return data
