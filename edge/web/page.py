"""Build the page: a folder for any web server, or one HTML file for mail.

The page is plain HTML, CSS and JavaScript in `static/`; nothing is compiled. Beside it go the
models as they are, LiteRT.js, icons, and a service worker that keeps all of it in the browser.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebee.edge.classify import ModelError, read_labels
from edgebee.edge.tflite.model_file import Tensor, check_model_file, read_model_file
from edgebee.edge.web.icons import draw_icon
from edgebee.edge.web.litert_js import load_litert_js
from edgebee.errors import OutputError
from edgebee.files import output_directory, write_bytes
from edgebee.progress import ProgressCallback, ignore_progress

__all__ = ["PageModel", "WebPage", "build_page", "build_single_file"]

_STATIC = Path(__file__).with_name("static")
_PAGE, _WORKER, _OPENED_AS_FILE = "index.html", "service_worker.js", "opened_as_file.js"
_MOST_LABELS_IN_TITLE = 4
_DTYPES = ("uint8", "float32")
"""What LiteRT.js takes and gives."""


@dataclass(frozen=True)
class PageModel:
    """A model of a page."""

    name: str
    """What people choose it by."""
    path: str
    """Where it is, seen from the page."""
    labels: tuple[str, ...]
    content: bytes


@dataclass(frozen=True)
class WebPage:
    """A page that was built."""

    path: Path
    """What to open: `index.html` of the folder, or the single file."""
    models: tuple[str, ...]
    size_bytes: int
    """Of everything that a browser loads."""

    def __repr__(self) -> str:
        """`WebPage(site/index.html: model_int8; 12.5 MB)`."""
        return f"WebPage({self.path}: {', '.join(self.models)}; {self.size_bytes / 1e6:.1f} MB)"


def build_page(
    models: Sequence[Path],
    folder: Path,
    *,
    runtime: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> WebPage:
    """Build the page as a folder, which works without network once a browser has opened it.

    Args:
        models: `.tflite` files, of edgebee or others; the first is the one that the page begins
            with.
        folder: where to put it; what is there already stays, or is replaced by what is new.
        runtime: see `load_litert_js`.
        progress: called while LiteRT.js is downloaded.

    Raises:
        ModelError: a model cannot be run on the page.
        DownloadError: LiteRT.js cannot be had.
        OutputError: the folder cannot be written.
    """
    read = _read_models(models)
    title = _title(read[0].labels)
    files = _scripts_and_styles(runtime, progress) | _icons()
    files |= {model.path: model.content for model in read}
    files["manifest.webmanifest"] = _manifest(title)
    files[_PAGE] = _fill_page(files[_PAGE], title, read).encode()
    # The worker last, so that a browser that comes meanwhile keeps no mixture of two pages.
    files[_WORKER] = _fill_worker(files.pop(_WORKER), files)
    with output_directory(folder):
        for name, content in files.items():
            _make_folder((folder / name).parent)
            write_bytes(folder / name, content)
    return WebPage(folder / _PAGE, _names(read), sum(map(len, files.values())))


def build_single_file(
    models: Sequence[Path],
    file: Path,
    *,
    runtime: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> WebPage:
    """Build the page as one HTML file with everything in it, for mail and for `file://`.

    Args, errors: as for `build_page`.
    """
    read = _read_models(models)
    static = _scripts_and_styles(runtime, progress)
    page = _fill_page(static[_PAGE], _title(read[0].labels), read)
    content = _inline(page, static, read).encode()
    _make_folder(file.parent)
    write_bytes(file, content)
    return WebPage(file, _names(read), len(content))


# ------------------------------------------------------------------ models


def _read_models(paths: Sequence[Path]) -> tuple[PageModel, ...]:
    models: dict[str, PageModel] = {}
    for path in paths:
        check_model_file(path)
        file = read_model_file(path)
        labels = read_labels(path)
        _check_kind(path, file.inputs, file.outputs, labels)
        name = _free_name(path, models)
        models[name] = PageModel(name, f"models/{name}.tflite", labels, file.content)
    return tuple(models.values())


def _free_name(path: Path, taken: Collection[str]) -> str:
    """The file's name without its ending, as an address takes it; another one if it is taken."""
    plain, parent = (
        re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "model"
        for name in (path.stem, path.absolute().parent.name)
    )
    counted = (f"{plain}-{number}" for number in itertools.count(2))
    names = itertools.chain((plain, f"{parent}-{plain}"), counted)
    return next(name for name in names if name not in taken)


def _check_kind(
    path: Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor], labels: Sequence[str]
) -> None:
    """Refuse here what the page would refuse (`checkKind` in `classifier.js`)."""
    shape, scores = inputs[0].shape, outputs[0].shape
    count = 1
    for side in scores:
        count *= side
    problem = ""
    if len(inputs) > 1:
        problem = f"takes {len(inputs)} inputs, not one photo"
    elif len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or min(shape) < 1:
        problem = f"takes {list(shape)}, not one RGB photo, [1, H, W, 3]"
    elif inputs[0].dtype not in _DTYPES or outputs[0].dtype not in _DTYPES:
        problem = (
            f"takes {inputs[0].dtype} and gives {outputs[0].dtype}; LiteRT.js knows uint8 and "
            "float32: convert it without --io int8"
        )
    elif scores[:1] != (1,) or count not in ({1, 2} if len(labels) == 2 else {len(labels)}):
        problem = f"gives {list(scores)} scores for its {len(labels)} label names"
    if problem:
        raise ModelError(f"{path}: {problem}")


def _names(models: Sequence[PageModel]) -> tuple[str, ...]:
    return tuple(model.name for model in models)


def _title(labels: Sequence[str]) -> str:
    """`ants or bees`; of many classes their number."""
    classes = [label for label in labels if label != "neither"]
    if len(classes) > _MOST_LABELS_IN_TITLE:
        return f"{len(classes)} classes"
    return " or ".join([", ".join(classes[:-1]), classes[-1]] if len(classes) > 1 else classes)


# ------------------------------------------------------------------ files


def _scripts_and_styles(tarball: Path | None, progress: ProgressCallback) -> dict[str, bytes]:
    """The page's own files and LiteRT.js, by their names seen from the page."""
    paths = sorted(path for path in _STATIC.rglob("*") if path.is_file())
    own = {path.relative_to(_STATIC).as_posix(): path.read_bytes() for path in paths}
    runtime = load_litert_js(tarball, progress=progress)
    return own | {f"runtime/{name}": content for name, content in runtime.items()}


def _icons() -> dict[str, bytes]:
    return {
        "icons/icon-192.png": draw_icon(192),
        "icons/icon-512.png": draw_icon(512),
        "icons/maskable-512.png": draw_icon(512, rounded=False),
        "icons/apple-touch-icon.png": draw_icon(180, rounded=False),
    }


def _manifest(title: str) -> bytes:
    """What a phone needs to put the page among its programs (W3C Web Application Manifest)."""
    icons = [
        {"src": "icons/icon-192.png", "sizes": "192x192", "type": "image/png"},
        {"src": "icons/icon-512.png", "sizes": "512x512", "type": "image/png"},
        {
            "src": "icons/maskable-512.png",
            "sizes": "512x512",
            "type": "image/png",
            "purpose": "maskable",
        },
    ]
    described = {
        "name": f"edgebee: {title}",
        "short_name": "edgebee",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#fdfdfc",
        "theme_color": "#ffb300",
        "icons": icons,
    }
    return (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode()


def _fill_page(page: bytes, title: str, models: Sequence[PageModel]) -> str:
    listed = [
        {"name": one.name, "path": one.path, "labels": one.labels, "bytes": len(one.content)}
        for one in models
    ]
    # In a script element only "</script" and "<!--" would end the data.
    data = json.dumps(listed, ensure_ascii=False).replace("<", "\\u003c")
    values = {"title": html.escape(title), "models": data}
    # In one pass, so that a label that looks like a mark stays a label.
    return re.sub(r"\{\{ (\w+) \}\}", lambda mark: values[mark[1]], page.decode())


def _fill_worker(worker: bytes, files: Mapping[str, bytes]) -> bytes:
    """The service worker, with the files to keep, and a name that changes with any of them."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    kept = sorted(name for name in files if name != "runtime/LICENSE.txt")
    script = worker.decode()
    script = script.replace('"{{ version }}"', json.dumps(digest.hexdigest()[:16]))
    return script.replace('"{{ files }}"', json.dumps(["./", *kept])).encode()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write there ({error.strerror}); choose another place with --out"
        ) from error


# ------------------------------------------------------------------ one file


def _inline(page: str, static: Mapping[str, bytes], models: Sequence[PageModel]) -> str:
    """The page with styles, scripts, models and WebAssembly in it."""
    wasm = next(name for name in static if name.endswith(".wasm"))
    starter = wasm.replace(".wasm", ".js")
    # Only ./… of other modules is imported; an import map gives each a name, a data: URL its text.
    modules = [
        name
        for name in static
        if name.endswith(".js") and name not in (starter, _WORKER, _OPENED_AS_FILE)
    ]
    imports = {
        f"edgebee/{name}": "data:text/javascript;base64," + _base64(_renamed(name, static[name]))
        for name in modules
    }
    packed = {wasm: static[wasm]} | {model.path: model.content for model in models}
    assets = "".join(
        f'<script type="application/octet-stream" data-asset="{html.escape(name)}">'
        f"{_base64(gzip.compress(content, 9, mtime=0))}</script>\n"
        for name, content in packed.items()
    )
    icon = "data:image/png;base64," + _base64(draw_icon(192))
    policy = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' data:; "
    policy += "style-src 'unsafe-inline'; img-src blob: data:; media-src blob:"
    head = f'<link rel="icon" href="{icon}">\n<style>{static["page.css"].decode()}</style>'
    scripts = (
        f'<script type="importmap">{json.dumps({"imports": imports})}</script>\n{assets}'
        f"<script>{static[starter].decode()}</script>\n"
        '<script type="module">import "edgebee/app.js";</script>'
    )
    page = re.sub(r'(http-equiv="Content-Security-Policy" content=")[^"]*', r"\1" + policy, page)
    page = _replace_between(page, "<!-- links -->", "<!-- end of links -->", head)
    return _replace_between(page, "<!-- scripts -->", "<!-- end of scripts -->", scripts)


def _renamed(name: str, script: bytes) -> bytes:
    """A module that imports others by the names of the import map."""
    folder = Path(name).parent

    def rename(found: re.Match[str]) -> str:
        return f'from "edgebee/{(folder / found[1]).as_posix()}"'

    return re.sub(r'from "\./([\w./]+)"', rename, script.decode()).encode()


def _replace_between(text: str, start: str, end: str, new: str) -> str:
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return before + new + after


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
