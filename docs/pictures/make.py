"""Make the pictures of the README and the documentation again, from real output.

    python docs/pictures/make.py [--demo FOLDER]

Runs `edgebee demo`, renders what it printed as a terminal, photographs its report page with a
headless Chromium, lets the model draw its prediction on a picture of the sample, and photographs
the page of `edgebee web` as a phone and a PC show it, and that of an archive. `--demo` takes the
folder of an earlier run of this script instead of a new demo, `--only` makes one picture.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from chromium import Chromium, Page

HERE = Path(__file__).resolve().parent
EDGEBEE = (sys.executable, "-m", "edgebee")
PICTURE = "bees/bee_029.jpg"
"""Of the sample's validation pictures: the one that the demo classifies."""
REPORT_SIZE = (1200, 1400)
"""Of the browser's window, in pixels: the headline and the first two tables."""
TERMINAL_COLUMNS = 100
PICTURES = ("demo.svg", "report.png", "annotated.jpg", "web.png", "archive.png")
EXIF_IFD, DATE_TIME_ORIGINAL = 0x8769, 0x9003


def run_demo(folder: Path) -> None:
    """Run the demo in `folder`; what it prints goes to `demo.txt` there."""
    environment = os.environ | {"EDGEBEE_CACHE": "cache", "COLUMNS": str(TERMINAL_COLUMNS)}
    with (folder / "demo.txt").open("w") as log:
        subprocess.run(
            [*EDGEBEE, "demo"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )


def shorten(lines: list[str]) -> list[str]:
    """Leave out all epochs but the first and the last of each phase, marked by `…`."""
    headings = [i for i, line in enumerate(lines) if line.startswith(("Epoch", "Phase", "["))]
    kept: list[str] = []
    for before, here, after in zip(headings, headings[1:], headings[2:], strict=False):
        if not kept:
            kept += lines[:here]
        inside = all(lines[heading].startswith("Epoch") for heading in (before, here, after))
        if not inside:
            kept += lines[here:after]
        elif kept[-1] != "…":
            kept.append("…")
    return kept + lines[headings[-1] :]


def draw_terminal(text: str, target: Path) -> None:
    """Render terminal output as SVG, with the fonts of the reader's machine."""
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    lines = ["$ edgebee demo", *shorten(text.strip("\n").splitlines())]
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=TERMINAL_COLUMNS, file=nowhere, force_terminal=True)
        for line in lines:
            style = "bold" if line.startswith(("$", "[", "Phase")) else ""
            console.print(Text(line, style))
        svg = console.export_svg(title="edgebee demo", theme=MONOKAI, unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # they would be fetched
    svg = svg.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")
    target.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")


def photograph_page(page: Path, target: Path) -> None:
    """Save the top of the report page as PNG.

    Raises:
        SystemExit: there is no Chromium.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no Chromium found: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "page.png")
        subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--hide-scrollbars",
                f"--window-size={REPORT_SIZE[0]},{REPORT_SIZE[1]}",
                f"--screenshot={shot}",
                page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        with Image.open(shot) as image:
            image.convert("RGB").quantize(128).save(target, optimize=True)


def annotate(folder: Path, target: Path) -> None:
    """Let the demo's model draw its prediction on a picture of the sample."""
    with tempfile.TemporaryDirectory() as drawn:
        (photo,) = folder.glob(f"cache/sample*/val/{PICTURE}")
        model = folder / "artifacts" / "model_int8.tflite"
        subprocess.run(
            [*EDGEBEE, "classify", "-m", str(model), "--annotate", drawn, str(photo)], check=True
        )
        (result,) = Path(drawn).rglob("*.jpg")
        shutil.copyfile(result, target)


def photograph_archive(folder: Path, target: Path) -> None:
    """Save the page of an archive of the sample's pictures, as of one summer, as PNG."""
    pictures = sorted(folder.glob("cache/sample*/*/*/*.jpg"))
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as made:
        for number, picture in enumerate(pictures):
            most = 190 if "bee" in picture.stem else 150  # days into the year
            day = min(300, max(60, chance.gauss(most, 35)))
            taken = datetime(2026, 1, 1) + timedelta(days=day)
            exif = Image.Exif()
            exif[EXIF_IFD] = {DATE_TIME_ORIGINAL: taken.strftime("%Y:%m:%d %H:%M:%S")}
            copy = Path(made, "meadow", f"camera {number % 3}", f"IMG_{number:04d}.jpg")
            copy.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(picture) as image:
                image.save(copy, quality=95, exif=exif)
            if number % 90 == 5:  # a card that was pulled out too early
                copy.write_bytes(copy.read_bytes()[:1000])
        model = folder / "artifacts" / "model_int8.tflite"
        subprocess.run(
            [*EDGEBEE, "archive", "meadow", "--out", "meadow archive", "--summary", "-m", model],
            cwd=made,
            check=False,  # 1: a photo failed
        )
        (page,) = Path(made, "meadow archive").glob("*/summary.html")
        photograph_page(page, target)


WEB_SIZES = ((390, 880), (1100, 800))
"""Width and height of a phone's and of a PC's window, in pixels."""
WEB_GAP = 40
"""Pixels between and around the two."""


def photograph_web_page(folder: Path, target: Path) -> None:
    """Save the page of `edgebee web` with pictures of the sample on it, in both sizes, as PNG.

    Raises:
        SystemExit: there is no Chromium.
    """
    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    from chromium import find_chromium, running_chromium

    browser = find_chromium()
    if browser is None:
        raise SystemExit("no Chromium found: apt install chromium")
    photos = sorted(folder.glob("cache/sample*/val/*/*_0[0-2][0-9].jpg"), reverse=True)[::11]
    with tempfile.TemporaryDirectory() as made, running_chromium(browser) as chromium:
        page = Path(made, "page.html")
        model = folder / "artifacts" / "model_int8.tflite"
        subprocess.run(
            [*EDGEBEE, "web", str(model), "--single-file", "--out", str(page)], check=True
        )
        shots = [photograph_window(chromium, page, size, photos) for size in WEB_SIZES]
    width = sum(shot.width for shot in shots) + 3 * WEB_GAP
    both = Image.new("RGB", (width, max(shot.height for shot in shots) + 2 * WEB_GAP), "#d9dee4")
    left = WEB_GAP
    for shot in shots:
        both.paste(shot, (left, WEB_GAP))
        left += shot.width + WEB_GAP
    both.quantize(160).save(target, optimize=True)


def photograph_window(
    chromium: Chromium, page: Path, size: tuple[int, int], photos: list[Path]
) -> Image.Image:
    """The upper part of the page of `edgebee web`, with photos chosen."""
    opened = chromium.open(page, size[0])
    wait_for(opened, "document.getElementById('selftest').dataset.state")
    contents = [base64.b64encode(photo.read_bytes()).decode() for photo in photos]
    opened.evaluate(f"""(() => {{
      const chosen = new DataTransfer(), input = document.getElementById("files")
      for (const content of {json.dumps(contents)}) {{
        const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0))
        chosen.items.add(new File([bytes], "photo.jpg"))
      }}
      input.files = chosen.files
      input.dispatchEvent(new Event("change"))
    }})()""")
    wait_for(opened, "[...document.querySelectorAll('#thumbnails button')]"
             ".every(one => one.dataset.kind)")  # fmt: skip
    time.sleep(0.5)  # the bars grow
    with tempfile.TemporaryDirectory() as made:
        opened.screenshot(Path(made, "page.png"))
        with Image.open(Path(made, "page.png")) as image:
            return image.convert("RGB").crop((0, 0, *size))


def wait_for(page: Page, script: str) -> None:
    """Wait until an expression in the page is true."""
    while not page.evaluate(script):
        time.sleep(0.05)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_formatter())
    parser.add_argument("--demo", type=Path, metavar="FOLDER")
    parser.add_argument("--only", choices=PICTURES)
    args = parser.parse_args()
    folder = args.demo
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="edgebee-pictures-"))
        run_demo(folder)
        print(f"the demo is in {folder}")
    printed = (folder / "demo.txt").read_text("utf-8").replace(f"{folder}/", "")
    makers = {
        "demo.svg": lambda target: draw_terminal(printed, target),
        "report.png": lambda target: photograph_page(folder / "artifacts/report.html", target),
        "annotated.jpg": lambda target: annotate(folder, target),
        "web.png": lambda target: photograph_web_page(folder, target),
        "archive.png": lambda target: photograph_archive(folder, target),
    }
    for name, make in makers.items():
        if args.only not in (None, name):
            continue
        make(HERE / name)
        print(f"{HERE / name}: {(HERE / name).stat().st_size / 1e3:.0f} kB")


def _formatter() -> type[argparse.HelpFormatter]:
    return argparse.RawDescriptionHelpFormatter


if __name__ == "__main__":
    main()
