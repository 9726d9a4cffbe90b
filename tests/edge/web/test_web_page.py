"""The page as a browser runs it: the same answers as the runner, and a line for what goes wrong."""

from __future__ import annotations

import base64
import io
import json
import struct

import classify
import numpy as np
import PIL
import pytest
from PIL import Image
from web_pages import SAID, browser_with, change_manifest, open_page, relabel, served, wait_for

START = """(async () => {
  const { Classifier, chooseLabel } = await import("./classifier.js")
  const { loadAsset } = await import("./assets.js")
  const { readPhoto } = await import("./photo.js")
  const fromBase64 = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
  const toBase64 = bytes => btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""))
  const classifier = await Classifier.load(await loadAsset(MODEL))
  window.classifier = classifier
  window.chooseLabel = chooseLabel
  window.scoresOf = async pixels => [...await classifier.invoke(fromBase64(pixels))]
  window.read = async (photo, size) =>
    toBase64(await readPhoto(new Blob([fromBase64(photo)]), size))
})()"""
"""Gives the tests the page's own modules."""


@pytest.fixture(scope="module")
def opened():
    """The page that `page` opened last."""
    return []


@pytest.fixture
def page(browser, address, model, opened):
    """The page with its own modules at hand; opened again after tests that opened another."""
    if not opened or not opened[-1].evaluate("'scoresOf' in window"):
        opened.append(open_page(browser, address))
        opened[-1].evaluate(START.replace("MODEL", json.dumps(f"models/{model.stem}.tflite")))
    return opened[-1]


def encoded(content: bytes) -> str:
    return json.dumps(base64.b64encode(content).decode())


def read_in_browser(page, content, size=(224, 224)):
    """What the page's `readPhoto` makes of a file's content."""
    text = page.evaluate(f"read({encoded(content)}, {list(size)})")
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(*size, 3)


# ------------------------------------------------------------------ the model


def test_on_opening_it_runs_the_golden_samples_and_asks_only_its_own_server(page, address):
    assert page.evaluate(SAID) == "self-test passed, bit-identical"
    assert page.complaints == []
    assert {request.startswith((address, "blob:", "data:")) for request in page.requests} == {True}


def test_the_same_pixels_get_the_same_scores_to_the_bit(page, model):
    interpreter = classify.make_interpreter(model)
    random = np.random.default_rng(3)
    for number in range(12):
        coarse = Image.fromarray(random.integers(0, 256, (2 + number, 5, 3), np.uint8))
        pixels = np.asarray(coarse.resize((224, 224)))
        expected = classify.invoke(interpreter, pixels)
        assert page.evaluate(f"scoresOf({encoded(pixels.tobytes())})") == expected.tolist()


def test_its_words_are_chosen_as_the_runner_chooses_them(page):
    random = np.random.default_rng(4)
    for labels in (["ants", "bees"], ["ants", "bees", "neither"], ["bees"]):
        for _ in range(30):
            scores = random.dirichlet(np.full(len(labels), 0.7)).astype(np.float32)
            threshold = float(random.choice([0.0, 0.5, 0.65, 1.0]))
            call = f"chooseLabel({labels}, Float32Array.from({scores.tolist()}), {threshold})"
            assert page.evaluate(call) == classify.choose_label(labels, scores, threshold)


# ------------------------------------------------------------------ photos


def picture(width, height, mode="RGB", cell=9):
    """A picture no two parts of which are alike; `cell`: pixels from one colour to another."""
    random = np.random.default_rng(width)
    shape = (height // cell + 2, width // cell + 2, 3)
    coarse = Image.fromarray(random.integers(40, 216, shape, np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def as_file(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def see_through(width, height):
    image = picture(width, height, "RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda a: 255 * (a > 99)))
    return image


EXACT = {
    "png": as_file(picture(300, 260), "PNG"),
    "the model's own size": as_file(picture(224, 224), "PNG"),
    "smaller than the model's": as_file(picture(90, 120), "PNG"),
    "one pixel": as_file(picture(1, 1), "PNG"),
    "very wide": as_file(picture(1500, 40), "PNG"),
    "large, reduced first": as_file(picture(2001, 1533), "PNG"),
    "grey": as_file(picture(301, 257, "L"), "PNG"),
    "palette": as_file(picture(301, 257).quantize(64), "GIF"),
    "transparent": as_file(see_through(301, 257), "PNG"),
    "webp": as_file(picture(301, 257), "WEBP", lossless=True),
    "jpeg": as_file(picture(500, 375), "JPEG", quality=90),
    "jpeg, tall": as_file(picture(333, 500), "JPEG"),
    "jpeg, odd sides": as_file(picture(333, 441), "JPEG"),
    "jpeg, progressive": as_file(picture(447, 300), "JPEG", progressive=True),
    "jpeg, grey": as_file(picture(301, 257, "L"), "JPEG"),
}


needs_pillow_13 = pytest.mark.skipif(
    int(PIL.__version__.split(".")[0]) < 13, reason="older Pillows scale tall pictures otherwise"
)


@needs_pillow_13
@pytest.mark.parametrize("name", EXACT)
def test_a_picture_is_read_as_the_runner_reads_it_to_the_bit(page, name):
    assert np.array_equal(read_in_browser(page, EXACT[name]), classify.read_photo(EXACT[name]))


@needs_pillow_13
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_on_its_side_is_turned_upright(page, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = as_file(picture(401, 299), "JPEG", exif=exif)
    for size in ((224, 224), (96, 160)):
        expected = classify.read_photo(content, size)
        assert np.array_equal(read_in_browser(page, content, size), expected)


SHRUNK = {
    "halved": as_file(picture(640, 481), "JPEG"),
    "quartered": as_file(picture(1203, 901), "JPEG", quality=90),
    "an eighth": as_file(picture(2411, 1807), "JPEG", quality=60),
    "halved, colours in full": as_file(picture(641, 481), "JPEG", subsampling="4:4:4"),
    "halved, colours halved across": as_file(picture(641, 481), "JPEG", subsampling="4:2:2"),
    "quartered, colours halved across": as_file(picture(1201, 903), "JPEG", subsampling="4:2:2"),
    "an eighth, colours halved across": as_file(picture(2001, 1802), "JPEG", subsampling="4:2:2"),
    "grey": as_file(picture(1001, 903, "L"), "JPEG"),
    "progressive": as_file(picture(1001, 903), "JPEG", progressive=True),
    "progressive, colours in full": as_file(
        picture(641, 487), "JPEG", progressive=True, subsampling="4:4:4", quality=96
    ),
    "progressive, colours halved across": as_file(
        picture(2011, 1801), "JPEG", progressive=True, subsampling="4:2:2", quality=40
    ),
    "progressive, grey": as_file(picture(1001, 903, "L"), "JPEG", progressive=True),
    "with restart markers": as_file(picture(1001, 903), "JPEG", restart_marker_blocks=7),
    "with tables of its own": as_file(picture(1001, 903), "JPEG", optimize=True),
    "finest": as_file(picture(701, 503), "JPEG", quality=100),
    "coarsest": as_file(picture(701, 503), "JPEG", quality=3),
}


@needs_pillow_13
@pytest.mark.parametrize("name", SHRUNK)
def test_a_large_jpeg_is_shrunk_as_the_runners_decoder_does_to_the_bit(page, name):
    assert np.array_equal(read_in_browser(page, SHRUNK[name]), classify.read_photo(SHRUNK[name]))


@needs_pillow_13
@pytest.mark.parametrize("orientation", [3, 6])
def test_a_large_jpeg_on_its_side_is_turned_upright(page, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = as_file(picture(1001, 803), "JPEG", exif=exif)
    assert np.array_equal(read_in_browser(page, content), classify.read_photo(content))


def test_a_large_jpeg_of_a_rare_kind_is_nearly_as_the_runner_reads_it(page):
    content = as_file(picture(1001, 803, cell=24), "JPEG", quality=90, keep_rgb=True)
    difference = read_in_browser(page, content).astype(int) - classify.read_photo(content)
    # The browser reads them whole, and rounds each pixel before the mean of some is taken.
    assert abs(difference).mean() < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_a_corrupted_large_jpeg_is_read_or_refused_at_once(page, progressive):
    content = as_file(picture(701, 503), "JPEG", progressive=progressive)
    huge = content.replace(struct.pack(">HH", 503, 701), b"\xff\xff\xff\xff")
    random = np.random.default_rng(7)
    corrupted = [huge, content[:-2], content[:-200], content[: len(content) // 2]]
    for number in range(60):
        bytes_ = bytearray(content)
        for place in random.integers(2, len(content) if number % 2 else 620, 3):
            bytes_[place] = random.integers(256)
        corrupted.append(bytes(bytes_))
    for one in corrupted:
        said = page.evaluate(
            f"read({encoded(one)}, [224, 224]).then(() => 'read', error => error.message)"
        )
        assert said in ("read", "damaged or cut short; copy it again"), said


def choose(page, *files):
    """Choose files as a person does with the button."""
    listed = ", ".join(
        f"new File([Uint8Array.from(atob({encoded(content)}), c => c.charCodeAt(0))], {name!r})"
        for name, content in files
    )
    page.evaluate(f"""(() => {{
      const chosen = new DataTransfer(), input = document.getElementById("files")
      for (const file of [{listed}]) chosen.items.add(file)
      input.files = chosen.files
      input.dispatchEvent(new Event("change"))
    }})()""")


def text_of(page, name):
    return page.evaluate(f"document.getElementById('{name}').textContent")


def test_chosen_photos_are_labelled_and_one_that_is_none_says_so(browser, address, model):
    page = open_page(browser, address)
    photo = EXACT["jpeg"]
    bad = {"letter.jpg": b"Dear Bee,", "half.jpg": photo[: len(photo) // 2]}
    choose(page, ("ant.jpg", photo), ("grey.png", EXACT["grey"]), *bad.items())
    wait_for(page, "document.getElementById('summary').textContent.includes('2 unreadable')")
    expected = classify.Classifier(model, threads=1)(photo)
    assert text_of(page, "verdict-label") == expected.label
    assert text_of(page, "verdict-score") == f"{100 * expected.score:.1f} %"
    assert text_of(page, "summary").startswith("4 photos: ")
    for number, line in enumerate(
        (
            "letter.jpg: this browser cannot read it; save it as JPEG or PNG",
            "half.jpg: damaged or cut short; copy it again",
        )
    ):
        page.evaluate(f"document.querySelectorAll('[data-kind=error]')[{number}].click()")
        assert text_of(page, "notice") == line


@pytest.mark.parametrize("width", [390, pytest.param(1200, marks=pytest.mark.slow)])
def test_it_fits_the_screen_with_photos_and_long_names(browser, site, address, width):
    page = open_page(browser, address, width)
    choose(page, *((f"{'long name ' * 9}{n}.png", EXACT["png"]) for n in range(9)))
    wait_for(page, "document.getElementById('summary').textContent.startsWith('9 photos')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


# ------------------------------------------------------------------ what goes wrong


def build(folder, litert_js, *models):
    from edgebee.edge.web.page import build_page

    build_page(models, folder, runtime=litert_js)
    return served(folder)


def test_a_model_that_computes_something_else_says_what_differs(
    browser, tmp_path, litert_js, repacked
):
    scores_of = {}  # kernels -> score of the first label

    def tamper(manifest):
        for kernels, scores in manifest["golden"]["samples"][1]["scores"].items():
            scores_of[kernels] = scores[0]
            scores[0] += 2

    bad = repacked(tmp_path / "bad.tflite", lambda files: change_manifest(files, tamper))
    with build(tmp_path / "site", litert_js, bad) as address:
        page = open_page(browser, address)
        said = text_of(page, "selftest")
    # Of what the kinds of kernels gave, the page names the nearest.
    recorded = min(scores_of.values()) + 2
    differs = f"golden/1.png: ants {scores_of['xnnpack']:.3f} here, {recorded:.3f} recorded"
    assert said == f"self-test failed: {differs}; copy the file again"
    assert page.evaluate("document.getElementById('selftest').dataset.state") == "failed"


@pytest.mark.slow
def test_neither_has_a_colour_of_its_own_and_one_of_several_models_is_chosen(
    browser, tmp_path, litert_js, repacked, model
):
    classes = [name for name in classify.read_labels(model) if name != "neither"]
    names = [*classes, "neither"][-len(classify.read_labels(model)) :]
    other = repacked(tmp_path / "field.tflite", lambda files: relabel(files, names))
    with build(tmp_path / "site", litert_js, model, other) as address:
        page = open_page(browser, address)
        assert text_of(page, "title") == f"{' or '.join(classes)}?"
        page.evaluate("""(() => { const list = document.getElementById("model")
          list.value = "field"; list.dispatchEvent(new Event("change")) })()""")
        title = json.dumps(f"{' or '.join(names[:-1])}?")
        wait_for(page, f"document.getElementById('title').textContent === {title}")
        choose(page, ("stranger.png", picture_of_the_last(model)))
        wait_for(page, "document.getElementById('verdict-label').textContent === 'neither'")
    colours = [
        page.evaluate(f"getComputedStyle(document.querySelector('{where}')).backgroundColor")
        for where in ("li[data-kind=neither] .bar", "li[data-kind=class] .bar")
    ]
    assert colours[0] != colours[1]


def picture_of_the_last(model):
    """A picture whose best score is the model's last."""
    classifier = classify.Classifier(model)
    random = np.random.default_rng(6)
    for side in range(2, 60):
        small = Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8))
        content = as_file(small.resize((224, 224), Image.Resampling.NEAREST), "PNG")
        scores = classifier(content).scores
        if max(scores, key=lambda label: scores[label]) == classifier.labels[-1]:
            return content
    raise AssertionError("58 patterns, and none is the last label's")


NASTY = ["<!-- links -->", "</script><img src=x onerror=alert(1)>", '{{ models }}"&amp;']


@pytest.mark.slow
@pytest.mark.parametrize("single_file", [False, True])
def test_labels_are_text_and_nothing_else(
    browser, tmp_path, litert_js, repacked, model, single_file
):
    from edgebee.edge.web.page import build_single_file

    names = NASTY[-len(classify.read_labels(model)) :]
    model = repacked(tmp_path / "nasty.tflite", lambda files: relabel(files, names))
    if single_file:
        built = build_single_file([model], tmp_path / "page.html", runtime=litert_js)
        page = open_page(browser, built.path)
    else:
        with build(tmp_path / "site", litert_js, model) as address:
            page = open_page(browser, address)
    choose(page, ("ant.png", EXACT["png"]))
    wait_for(page, "document.getElementById('timing').textContent")
    assert page.complaints == []
    assert text_of(page, "title") == f"{', '.join(names[:-1])} or {names[-1]}?"
    shown = "[...document.querySelectorAll('.name')].map(one => one.textContent)"
    assert page.evaluate(shown) == names
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"Dear Bee,", "letter: not a TFLite model; choose a .tflite file"),
        (b"\0\0\0\x7fTFL3\0\0\0\0", "letter: damaged ("),
    ],
)
def test_another_file_than_a_model_says_so_and_the_model_stays(
    browser, address, content, complaint
):
    page = open_page(browser, address)
    choose(page, ("letter.tflite", content))
    wait_for(page, "!document.getElementById('notice').hidden")
    assert text_of(page, "notice").startswith(complaint)
    assert text_of(page, "selftest") == "self-test passed, bit-identical"


def test_another_kind_of_model_says_so(browser, address, foreign_model):
    page = open_page(browser, address)
    choose(page, ("foreign.tflite", foreign_model.read_bytes()))
    wait_for(page, "document.getElementById('notice').textContent.startsWith('foreign: ')")
    assert "no label names are inside" in text_of(page, "notice")


def test_opened_from_its_folder_it_says_that_it_needs_a_server(browser, site):
    page = browser.open(site / "index.html", 390)
    assert text_of(page, "notice") == (
        "This page needs a server: start one with edgebee web … --serve, or make one file of it "
        "with --single-file."
    )


def test_a_browser_without_webassembly_says_what_to_do(browser, address):
    script = browser.call(
        "Page.addScriptToEvaluateOnNewDocument", source="delete window.WebAssembly"
    )
    try:
        page = open_page(browser, address)
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", **script)
    assert text_of(page, "notice") == (
        "This browser has no WebAssembly; allow it, or open the page in a current Chrome, Edge, "
        "Firefox or Safari."
    )
    assert text_of(page, "selftest") == "not run"


def test_a_denied_camera_says_what_to_do(browser, address):
    page = open_page(browser, address)
    browser.call("Browser.setPermission", permission={"name": "camera"}, setting="denied")
    page.evaluate("document.getElementById('camera').click()")
    wait_for(page, "!document.getElementById('notice').hidden")
    said = text_of(page, "notice")
    assert "camera" in said
    assert said.endswith("choose a photo.")
    assert text_of(page, "camera") == "Start camera"


# ------------------------------------------------------------------ camera, offline, one file


def write_film(path, image):
    """A film of one picture, as Chromium takes it for a camera's (YUV4MPEG2)."""
    y, u, v = image.convert("YCbCr").split()
    half = (image.width // 2, image.height // 2)
    planes = b"".join(plane.tobytes() for plane in (y, u.resize(half), v.resize(half)))
    header = f"YUV4MPEG2 W{image.width} H{image.height} F10:1 Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(header + 3 * (b"FRAME\n" + planes))


@pytest.mark.slow
def test_a_camera_is_classified_while_it_runs(address, model, tmp_path):
    image = picture(640, 480)
    write_film(tmp_path / "film.y4m", image)
    with browser_with(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}",
    ) as browser:
        page = open_page(browser, address)
        page.evaluate("document.getElementById('camera').click()")
        wait_for(page, "document.getElementById('timing').textContent.includes('frames a second')")
        expected = classify.Classifier(model)(image)
        shown = float(text_of(page, "verdict-score").rstrip(" %")) / 100
        assert text_of(page, "verdict-label") == expected.label
        assert abs(shown - expected.score) < 0.1  # a camera's colours are rounded on the way
        page.evaluate("document.getElementById('camera').click()")
        assert page.evaluate("document.getElementById('video').srcObject") is None
        assert text_of(page, "camera") == "Start camera"


@pytest.mark.slow
def test_once_opened_it_works_without_its_server(site):
    with browser_with() as browser:
        with served(site) as address:
            page = open_page(browser, address)
            wait_for(page, "document.getElementById('network').textContent.includes('kept')")
            errors = browser.call("Page.getInstallabilityErrors")["installabilityErrors"]
            assert errors == []
        page = open_page(browser, address)  # nobody listens there any more
        assert page.evaluate(SAID) == "self-test passed, bit-identical"


@pytest.mark.slow
def test_a_newer_page_takes_the_place_of_the_kept_one(
    browser, tmp_path, litert_js, repacked, model
):
    from edgebee.edge.web.page import build_page

    names = ["hornets", "wasps", "flies"][-len(classify.read_labels(model)) :]
    other = repacked(tmp_path / model.name, lambda files: relabel(files, names))
    with build(tmp_path / "site", litert_js, model) as address:
        page = open_page(browser, address)
        wait_for(page, "document.getElementById('network').textContent.includes('kept')")
        build_page([other], tmp_path / "site", runtime=litert_js)
        page = browser.open(address, 390)
        wait_for(page, "document.getElementById('title')?.textContent.endsWith('wasps or flies?')")


@pytest.mark.slow
def test_the_page_in_one_file_needs_no_server(browser, tmp_path, litert_js, model):
    from edgebee.edge.web.page import build_single_file

    built = build_single_file([model], tmp_path / "bees.html", runtime=litert_js)
    page = open_page(browser, built.path)
    assert page.evaluate(SAID) == "self-test passed, bit-identical"
    assert page.complaints == []
    assert {request.partition(":")[0] for request in page.requests} <= {"data", "blob"}
    assert built.size_bytes < 10_000_000  # mail takes 10 to 25 MB


@needs_pillow_13
@pytest.mark.slow
@pytest.mark.hymenoptera
def test_all_validation_photos_get_the_same_label(page, hymenoptera, model):
    classifier = classify.Classifier(model, threads=1)
    names = classifier.labels
    photos = sorted(classify.find_images([hymenoptera / "val"]))
    assert len(photos) == 153
    exact, largest = 0, 0.0
    for photo in photos:
        content = photo.read_bytes()
        expected = classifier(content)
        pixels = read_in_browser(page, content)
        exact += np.array_equal(pixels, classify.read_photo(content))
        scores = page.evaluate(f"scoresOf({encoded(pixels.tobytes())})")
        label = classify.choose_label(names, np.float32(scores), classifier.threshold)
        assert label == expected.label, photo
        largest = max(
            largest, *(abs(s - expected.scores[n]) for n, s in zip(names, scores, strict=True))
        )
    assert largest == 0
    assert exact == 153
