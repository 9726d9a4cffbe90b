"""The answer is drawn on the photo: upright, in full resolution, readable at any size."""

import numpy as np
import pytest
from PIL import Image, ImageFont, ImageOps

annotation = pytest.importorskip("edgebee.edge.station.annotation", reason="needs edgebee")
from edgebee.edge.classify import PhotoError, Prediction  # noqa: E402

GREY = 120


def letters(picture):
    """The box of what is nearly white: left, top, right, bottom."""
    return Image.fromarray((np.asarray(picture.convert("L")) > 225).astype(np.uint8)).getbbox()


@pytest.mark.parametrize(
    "size", [(1, 1), (40, 30), (500, 375), (375, 500), (4000, 3000), (3000, 90), (90, 3000)]
)
def test_readable_at_any_size(size):
    width, height = size
    pixels = np.full((height, width, 3), GREY, np.uint8)
    picture = annotation.annotate(pixels, "bees 0.957")
    left, top, right, bottom = letters(picture)
    # Capitals of a 16-pixel font are about 11 high; a twentieth of the short side when larger.
    assert bottom - top >= max(10, 0.6 * 0.05 * min(size))
    assert right - left > 4 * (bottom - top)
    assert left > 0
    assert right < picture.width
    assert bottom < picture.height
    assert (pixels == GREY).all()


@pytest.mark.parametrize("size", [(500, 375), (4000, 3000)])
def test_on_a_photo_of_usual_size_nothing_is_added_and_little_hidden(size):
    pixels = np.full((size[1], size[0], 3), GREY, np.uint8)
    picture = np.asarray(annotation.annotate(pixels, "bees 0.957"))
    assert picture.shape == pixels.shape
    untouched = (picture == GREY).all(axis=(1, 2)).sum()
    assert untouched > 0.88 * size[1]  # the letters' twentieth, and their margins


@pytest.mark.parametrize("size", [(40, 30), (3000, 90)])
def test_on_a_small_photo_nothing_is_hidden(size):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = np.asarray(annotation.annotate(pixels, "bees 0.957"))
    left = (picture.shape[1] - size[0]) // 2
    assert (picture[: size[1], left : left + size[0]] == pixels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_photo_is_upright_and_full(tmp_path, landscape, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(landscape[:225, :301]).save(path, exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert (annotation.full_pixels(path) == upright).all()


def test_a_tiff_is_not_turned_twice(tmp_path, landscape):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(landscape).save(tmp_path / "photo.tif", exif=exif)
    assert annotation.full_pixels(tmp_path / "photo.tif").shape == (1203, 901, 3)


def test_a_photo_too_large_to_be_held_in_full_is_read_smaller(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "phone.jpg"
    Image.new("L", (12_000, 9_000), 90).save(path, quality=30, exif=exif)  # 108 megapixels
    pixels = annotation.full_pixels(path)
    # Half of it would be 27 megapixels, more than the 25 that are held: a quarter, upright.
    assert pixels.shape == (3000, 2250, 3)


def test_a_script_that_no_font_has_is_one_warning_with_the_remedy(monkeypatch, caplog):
    monkeypatch.setattr(annotation, "_FONTS", ("DejaVuSans.ttf",))
    annotation._log_missing_letters.cache_clear()
    pixels = np.full((300, 400, 3), GREY, np.uint8)
    if annotation._load_font("DejaVuSans.ttf", 16) is None:
        pytest.skip("needs DejaVu")
    for _ in range(2):
        annotation.annotate(pixels, "\u871c\u8702 0.957")  # bee, in Chinese
    (message,) = caplog.messages
    assert message.startswith("\u871c\u8702: no font here has all its letters")
    annotation.annotate(pixels, "H\u00f6rnchen \u043f\u0447\u0435\u043b\u0430 0.957")
    assert len(caplog.messages) == 1


def test_no_picture_is_one_clear_error(tmp_path):
    (tmp_path / "x.jpg").write_text("no picture")
    with pytest.raises(PhotoError, match=r"x\.jpg: unreadable \(not a picture\)"):
        annotation.full_pixels(tmp_path / "x.jpg")


def test_what_is_written():
    scores = {"ants": 0.531, "bees": 0.469}
    assert annotation.caption(Prediction("ants", 0.531, scores, 1.0, 1.0)) == "ants 0.531"
    assert (
        annotation.caption(Prediction("unknown", 0.531, scores, 1.0, 1.0)) == "unknown (ants 0.531)"
    )


# Under its name since Pillow 10.1; before, it was the default.
bitmap_font = getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)


def old_default():
    return bitmap_font()


@pytest.mark.parametrize("missing", ["DejaVuSans.ttf", "sized"])
def test_without_the_fonts_of_a_desktop_it_is_still_readable(monkeypatch, missing):
    truetype = ImageFont.truetype

    def no_dejavu(font, *arguments, **options):
        if font == "DejaVuSans.ttf":
            raise OSError("cannot open resource")
        return truetype(font, *arguments, **options)

    monkeypatch.setattr(ImageFont, "truetype", no_dejavu)
    if missing == "sized":  # Pillow 9: one bitmap font, 11 pixels high
        monkeypatch.setattr(ImageFont, "load_default", old_default)
    picture = annotation.annotate(np.full((1500, 2000, 3), GREY, np.uint8), "bees 0.957")
    _, top, _, bottom = letters(picture)
    assert bottom - top >= 0.6 * 0.05 * 1500
