"""How a photo becomes a tensor: the one preprocessing that everything in edgebee shares."""

import contextlib
import io
import random
import struct
import sys
import zlib
from pathlib import Path

import classify
import numpy as np
import pytest
from PIL import Image

Transpose = Image.Transpose
# How the upright picture must be stored so that the EXIF orientation turns it upright again.
STORED = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
LOSSLESS = {"PNG": {"compress_level": 1}, "TIFF": {}, "WEBP": {"lossless": True, "method": 0}}
FINE_JPEG = {"quality": 95, "subsampling": 0}


def encode(image, format_, **options):
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def plain(mode, colour, size=(40, 30)):
    return Image.new(mode, size, colour)


def difference(one, other):
    """Mean and greatest difference in grey levels, 0-255."""
    gap = np.abs(one.astype(int) - other.astype(int))
    return gap.mean(), gap.max()


# ---------------------------------------------------------------- geometry


@pytest.mark.parametrize("size", [(224, 224), (96, 160), (160, 96), (1, 1)])
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_result_is_rgb_of_the_size_asked_for(landscape, format_, size):
    pixels = classify.read_photo(encode(Image.fromarray(landscape).reduce(2), format_), size)
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("width", "height"), [(600, 400), (400, 600), (500, 500), (1999, 333), (333, 1999)]
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_a_disc_in_the_middle_stays_there_and_stays_round(format_, width, height):
    y, x = np.mgrid[:height, :width]
    radius = min(width, height) / 4
    inside = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) < radius
    image = Image.fromarray(np.where(inside, 0, 255).astype(np.uint8)).convert("RGB")
    dark = classify.read_photo(encode(image, format_))[..., 0] < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    # A quarter of the short side is 56 of 224 pixels; the edges may round either way.
    for seen in (rows, columns):
        assert (seen[0] + seen[-1]) / 2 == pytest.approx(111.5, abs=1)
        assert len(seen) == pytest.approx(112, abs=2)


def test_what_is_left_and_right_of_the_centre_square_is_cut_off():
    stripes = np.zeros((100, 300, 3), np.uint8)
    stripes[:, :100], stripes[:, 100:200], stripes[:, 200:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    pixels = classify.read_photo(stripes)
    # A filter may reach a pixel or two over the cut, as it does over any edge.
    assert (pixels[:, 4:-4] == (0, 255, 0)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (30000, 2), (2, 30000), (10000, 10), (7, 5)])
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_tiny_and_very_long_pictures(format_, size):
    pixels = classify.read_photo(encode(plain("RGB", (200, 30, 60), size), format_, quality=95))
    assert difference(pixels, np.full((224, 224, 3), (200, 30, 60)))[1] <= 3  # JPEG's rounding


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("size", [(224, 224), (100, 160), (160, 100)])
@pytest.mark.parametrize("format_", LOSSLESS)
def test_exif_orientation_gives_the_pixels_of_the_upright_picture(
    landscape, format_, size, orientation
):
    upright = Image.fromarray(landscape).reduce(4)  # 301 by 226
    stored = upright if orientation == 1 else upright.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = classify.read_photo(encode(stored, format_, exif=exif, **LOSSLESS[format_]), size)
    # Rows are resampled before columns, and what overshoots 0 or 255 is cut in between: a side
    # view may round the other way, and differ by some levels where the contrast is greatest.
    mean, most = difference(turned, classify.read_photo(upright, size))
    assert mean <= 0.3
    assert most <= 8


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_of_a_jpeg_that_is_scaled_while_decoding(landscape, orientation):
    # 901 rows do not fill JPEG's blocks of 8, so that a stored side must not take the padding
    # of the other for picture.
    upright = Image.fromarray(landscape)
    stored = upright if orientation == 1 else upright.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = classify.read_photo(encode(stored, "JPEG", exif=exif, **FINE_JPEG))
    straight = classify.read_photo(encode(upright, "JPEG", **FINE_JPEG))
    # JPEG's blocks start at another corner, and so round and blur a little elsewhere. With the
    # padding taken for picture, everything shifts and the mean difference is 5 levels or more.
    assert difference(turned, straight)[0] <= 2


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_changes_nothing(landscape, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(landscape).reduce(4)
    pixels = classify.read_photo(encode(image, "PNG", exif=exif))
    assert np.array_equal(pixels, classify.read_photo(image))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"", b"MM", bytes(range(64)), b"II*\x00\xff\xff\xff\xff"])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_spoil_a_good_picture(format_, exif):
    data = encode(plain("RGB", "red"), format_, exif=b"Exif\x00\x00" + exif, quality=95)
    # JPEG and WebP round in their own colours.
    assert difference(classify.read_photo(data), np.full((224, 224, 3), (255, 0, 0)))[1] <= 3


# ---------------------------------------------------------------- modes


def png_16_bit_rgb(red, green, blue):
    """A 16-bit RGB PNG, which Pillow reads but does not write."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    row = b"\x00" + struct.pack(">HHH", red, green, blue) * 4
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def grey_16(value):
    return Image.fromarray(np.full((30, 40), value, np.uint16))


def indexed(colour):
    image = plain("P", 3)
    image.putpalette([0, 0, 0] * 3 + list(colour))
    return image


def half_transparent_palette():
    image = indexed((255, 0, 0)).convert("PA")
    image.putalpha(128)
    return image


HALF_RED = (255, 127, 127)  # red at half strength on white
MODES = {
    "L": (lambda: encode(plain("L", 90), "PNG"), (90, 90, 90)),
    "1": (lambda: encode(plain("1", 1), "PNG"), (255, 255, 255)),
    "P": (lambda: encode(indexed((9, 99, 199)), "PNG"), (9, 99, 199)),
    "P, transparent": (lambda: encode(indexed((9, 99, 199)), "PNG", transparency=3), (255,) * 3),
    "P, half transparent": (
        lambda: encode(indexed((255, 0, 0)), "PNG", transparency=bytes([255] * 3 + [128])),
        HALF_RED,
    ),
    "RGB, one colour transparent": (
        lambda: encode(plain("RGB", (9, 99, 199)), "PNG", transparency=(9, 99, 199)),
        (255, 255, 255),
    ),
    "RGBA": (lambda: encode(plain("RGBA", (255, 0, 0, 128)), "PNG"), HALF_RED),
    "LA": (lambda: encode(plain("LA", (0, 128)), "PNG"), (127, 127, 127)),
    "PA": (half_transparent_palette, HALF_RED),
    "WebP with alpha": (
        lambda: encode(plain("RGBA", (255, 0, 0, 128)), "WEBP", lossless=True),
        HALF_RED,
    ),
    "CMYK JPEG": (lambda: encode(plain("CMYK", (255, 0, 0, 0)), "JPEG"), (0, 255, 255)),
    "CMYK TIFF": (lambda: encode(plain("CMYK", (255, 0, 0, 0)), "TIFF"), (0, 255, 255)),
    "grey JPEG": (lambda: encode(plain("L", 90), "JPEG"), (90, 90, 90)),
    "16-bit grey PNG": (lambda: encode(grey_16(0x80FF), "PNG"), (0x80, 0x80, 0x80)),
    "16-bit grey TIFF": (lambda: encode(grey_16(0x80FF), "TIFF"), (0x80, 0x80, 0x80)),
    "16-bit grey, big-endian": (
        lambda: Image.frombytes("I;16B", (4, 4), b"\x80\xff" * 16),
        (0x80, 0x80, 0x80),
    ),
    "32-bit grey TIFF": (lambda: encode(plain("I", 0x80FF), "TIFF"), (0x80, 0x80, 0x80)),
    "32-bit grey, beyond 16": (lambda: plain("I", 0x12345), (255, 255, 255)),
    "32-bit grey, below 0": (lambda: plain("I", -1), (0, 0, 0)),
    "16-bit RGB PNG": (lambda: png_16_bit_rgb(0xFFFF, 0x8000, 0x1234), (0xFF, 0x80, 0x12)),
    "YCbCr": (lambda: plain("RGB", (255, 0, 0)).convert("YCbCr"), (255, 0, 0)),
    "HSV": (lambda: plain("RGB", (255, 0, 0)).convert("HSV"), (255, 0, 0)),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(name):
    source, colour = MODES[name][0](), MODES[name][1]
    expected = np.full((224, 224, 3), colour)
    # Blending, YCbCr and JPEG each round to whole levels.
    assert difference(classify.read_photo(source), expected)[1] <= 2


def grey_ramp(most, dtype):
    """A ramp from black to `most`, 64 x 64."""
    return (np.linspace(0, 1, 64)[np.newaxis].repeat(64, 0) * most).astype(dtype)


@pytest.mark.parametrize(
    ("most", "dtype", "white"),
    [
        (255, np.uint16, 255),  # 8 bits in 16, as some scanners write
        (1023, np.uint16, 255),  # 10, 12 and 14 bits: machine vision, thermal and raw cameras
        (4095, np.uint16, 255),
        (16383, np.uint16, 255),
        (65535, np.uint16, 255),
        (40000, np.uint16, 156),  # 16 bits, not fully used: 40000 / 256
        (1.0, np.float32, 255),  # the usual ranges of floats
        (255.0, np.float32, 255),
        (0.5, np.float32, 128),
        (3000.0, np.float32, 255),  # any other is stretched
    ],
)
def test_the_range_of_more_than_8_bits_is_judged_from_the_values(most, dtype, white):
    pixels = classify.read_photo(Image.fromarray(grey_ramp(most, dtype)), (64, 64))
    assert abs(int(pixels[0, -1, 0]) - white) <= 1  # rounding
    assert pixels[0, 0, 0] == 0


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several_counts(format_):
    later = [plain("RGB", "blue"), plain("RGB", "lime")]
    options = {"lossless": True} if format_ == "WEBP" else {}
    data = encode(plain("RGB", "red"), format_, save_all=True, append_images=later, **options)
    assert (classify.read_photo(data) == (255, 0, 0)).all()


# ---------------------------------------------------------------- scaling while decoding


@pytest.mark.parametrize(
    ("width", "height", "levels"),
    [
        (225, 225, 0.01),  # too small to be scaled
        (500, 375, 0.01),
        # Scaled to 1.5 times the size and then down: the two ways blur nearly alike.
        (1800, 1351, 1.5),
        (1797, 1347, 1.5),
        (3593, 2697, 1.5),
        # Scaled to just above the size: the decoder's blur differs from the filter's most.
        (1203, 901, 3.0),
        (457, 913, 3.0),
        (449, 599, 3.0),
    ],
)
def test_a_jpeg_scaled_while_decoding_equals_one_decoded_in_full(landscape, width, height, levels):
    image = Image.fromarray(landscape).resize((width, height), Image.Resampling.BICUBIC)
    data = encode(image, "JPEG", **FINE_JPEG)
    with Image.open(io.BytesIO(data)) as opened:
        full = classify.read_photo(opened.convert("RGB"))
    # A cut that is off by the part of a block that is padding costs 3 to 15 levels.
    assert difference(classify.read_photo(data), full)[0] <= levels


# ---------------------------------------------------------------- sources


def test_every_kind_of_source_gives_the_same_pixels(tmp_path, landscape):
    image = Image.fromarray(landscape).reduce(2)
    path = tmp_path / "photo.png"
    image.save(path)
    expected = classify.read_photo(path)
    content, array = path.read_bytes(), np.asarray(image)
    for source in (str(path), content, io.BytesIO(content), image, array):
        assert np.array_equal(classify.read_photo(source), expected)
    with path.open("rb") as file:
        assert np.array_equal(classify.read_photo(file), expected)
        assert not file.closed


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "GIF"])
def test_the_callers_image_is_left_as_it_is(landscape, format_):
    data = encode(Image.fromarray(landscape).reduce(2), format_)
    with Image.open(io.BytesIO(data)) as used, Image.open(io.BytesIO(data)) as untouched:
        classify.read_photo(used)
        assert (used.mode, used.size) == (untouched.mode, untouched.size)
        assert used.tobytes() == untouched.tobytes()


def test_the_callers_array_is_left_as_it_is(landscape):
    small = landscape[:224, :224].copy()
    before = small.copy()
    pixels = classify.read_photo(small)
    assert np.array_equal(pixels, before)  # of the right size already
    assert not np.shares_memory(pixels, small)
    assert np.array_equal(small, before)


def test_an_array_may_be_a_view(landscape):
    mirrored = classify.read_photo(landscape[:, ::-1])
    assert np.array_equal(mirrored, classify.read_photo(landscape[:, ::-1].copy()))


# ---------------------------------------------------------------- what is no photo


def refused(source):
    """The message of the PhotoError, which must be one line."""
    with pytest.raises(classify.PhotoError) as caught:
        classify.read_photo(source)
    assert isinstance(caught.value, classify.EdgebeeError)
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)  # the address of some object
    return str(caught.value)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.9])
def test_a_truncated_jpeg_is_refused_by_name(tmp_path, photo, kept):
    content = photo.read_bytes()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(content[: int(len(content) * kept)])
    assert refused(broken).startswith(f"{broken}: ")


@pytest.mark.parametrize("missing", [2, 20, 60])
@pytest.mark.parametrize("kind", ["file", "bytes", "open file"])
def test_a_jpeg_that_lacks_its_last_bytes_is_read_with_a_warning(
    tmp_path, photo, caplog, missing, kind
):
    content = photo.read_bytes()[:-missing]
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(content)
    source = {"file": cut, "bytes": content, "open file": io.BytesIO(content)}[kind]
    pixels = classify.read_photo(source)
    # All but the last blocks is there.
    mean, _ = difference(pixels[:200], classify.read_photo(photo)[:200])
    assert mean < 0.1
    name = cut if kind == "file" else "photo"
    assert caplog.messages == [f"{name}: its last bytes are missing; read without them"]


@pytest.mark.parametrize(("kept", "read"), [(0.9, True), (0.75, True), (0.2, False)])
def test_a_progressive_jpeg_is_read_without_its_finest_scans(landscape, caplog, kept, read):
    whole = encode(Image.fromarray(landscape), "JPEG", progressive=True, quality=85)
    cut = whole[: int(len(whole) * kept)]
    if not read:
        assert "truncated" in refused(cut)
        return
    # The scans that are missing refine levels by a few grey levels at most.
    assert difference(classify.read_photo(cut), classify.read_photo(whole))[0] < 3
    assert caplog.messages == ["photo: its last bytes are missing; read without them"]


def test_portable_pixmaps_are_read(landscape):
    image = Image.fromarray(landscape).reduce(4)
    expected = classify.read_photo(image)
    assert np.array_equal(classify.read_photo(encode(image, "PPM")), expected)
    grey = classify.read_photo(encode(image.convert("L"), "PPM"))
    assert np.array_equal(grey, classify.read_photo(image.convert("L")))


def test_a_jpeg_whose_second_half_was_never_written_is_refused(tmp_path, photo):
    content = photo.read_bytes()
    half = len(content) // 2
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(content[:half] + bytes(len(content) - half))
    assert "truncated" in refused(broken)


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ({0x9003: "2024:05:01 12:30:00"}, "2024-05-01T12:30:00"),
        ({0x9003: "2024:05:01 12:30:00", 0x9011: "-05:30"}, "2024-05-01T12:30:00-05:30"),
        ({0x9003: "2024:05:01 12:30:00", 0x9011: "CEST"}, "2024-05-01T12:30:00"),
        ({0x9003: "0000:00:00 00:00:00"}, ""),
        ({0x9003: "    :  :     :  :  "}, ""),
        ({}, ""),
    ],
)
def test_when_a_photo_was_taken_is_read_from_its_exif(photo, tags, taken):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    with Image.open(photo) as image:
        content = encode(image, "JPEG", exif=exif)
    assert classify.decode_image(content).taken == taken


@pytest.mark.parametrize(
    ("brand", "way_out"),
    [(b"heic", "HEIC needs a plug-in: pip install pillow-heif"), (b"isom", "a film, not a photo")],
)
def test_what_is_not_read_is_named_with_the_way_out(monkeypatch, brand, way_out):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    content = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(400)
    assert way_out in refused(content)


def test_avif_is_read_where_pillow_can(landscape):
    if "AVIF" not in Image.registered_extensions().values():
        pytest.skip("this Pillow has no AVIF")
    image = Image.fromarray(landscape).reduce(4)
    try:
        content = encode(image, "AVIF", quality=95)
    except (OSError, KeyError, ValueError):
        pytest.skip("this Pillow writes no AVIF")
    # The compression costs 15 of such detail; another picture would cost 60.
    assert difference(classify.read_photo(content), classify.read_photo(image))[0] < 25


def test_a_jpeg_of_any_size_is_read_as_scaled(tmp_path):
    # 200 megapixels, as phones take them: more than Pillow opens, 1/64 of which is held.
    path = tmp_path / "phone.jpg"
    Image.new("L", (16_384, 12_288), 90).save(path, quality=30)
    assert difference(classify.read_photo(path), np.full((224, 224, 3), 90))[1] <= 2


def test_what_is_missing_a_folder_or_text_is_refused_by_name(tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("this is not a picture")
    assert f"{text}: unreadable (not a picture)" in refused(text)
    assert "No such file" in refused(tmp_path / "missing.jpg")
    assert f"{tmp_path}: " in refused(tmp_path)
    assert "not a picture" in refused(b"this is not a picture")


def test_a_picture_too_large_to_hold_is_refused_unread():
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    start = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    )
    assert "900000000 pixels" in refused(start + struct.pack(">I", 900) + b"IDAT")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_no_picture_are_refused(value):
    values = np.zeros((8, 8), np.float32)
    values[3, 3] = value
    assert "NaN or infinite" in refused(Image.fromarray(values))


@pytest.mark.parametrize("kind", [str, Path])
def test_a_photo_at_an_address_is_refused_in_one_true_line(kind):
    assert (
        refused(kind("https://example.org/bee.jpg"))
        == "https://example.org/bee.jpg: an address, not a file; download the photo first"
    )


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.int64),
        np.zeros((8, 8, 5), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_arrays_that_are_no_picture_are_refused(array):
    refused(array)


@pytest.mark.filterwarnings("ignore")  # Pillow's remarks on what has been damaged here
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_damaged_files_are_read_or_refused_but_never_raise_anything_else(landscape, format_):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(landscape).reduce(20)
    good = encode(image, format_, **({} if format_ in ("GIF", "BMP") else {"exif": exif}))
    chance = random.Random(0)
    for _ in range(200):
        damaged = bytearray(good)
        # Mostly in the header, where a wrong byte is a wrong size, type or offset.
        reach = min(len(good), 400 if chance.random() < 0.7 else len(good))
        for _ in range(chance.choice((1, 2, 4, 8, 16))):
            damaged[chance.randrange(reach)] = chance.choice((0, 1, 127, 128, 255))
        with contextlib.suppress(classify.PhotoError):
            assert classify.read_photo(bytes(damaged), (24, 32)).shape == (24, 32, 3)
