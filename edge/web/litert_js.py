"""LiteRT.js, the runtime of the page: downloaded once, checked, and cut down to what is needed.

Of its four builds of WebAssembly the page takes the one without "relaxed SIMD", since relaxed
instructions may round as the processor likes: with it the same file gives the same scores in every
browser. It needs no second thread, so that the page works from any server and from none.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from edgebee.errors import DownloadError
from edgebee.photos.download import download_file
from edgebee.photos.hymenoptera import CACHE_VARIABLE, user_cache
from edgebee.progress import ProgressCallback, ignore_progress

__all__ = ["URL", "VARIABLE", "VERSION", "load_litert_js"]

VERSION = "2.5.3"
URL = f"https://registry.npmjs.org/@litertjs/core/-/core-{VERSION}.tgz"
SIZE_BYTES = 11_817_097
SHA256 = "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd"

VARIABLE = "EDGEBEE_LITERT_JS"
"""The environment variable that names the tarball, where it cannot be downloaded."""

_SCRIPT = "index.js"
_WASM = ("litert_wasm_compat_internal.js", "litert_wasm_compat_internal.wasm")

_CHANGES = {
    # A bare name would need an import map, and the page's own loader takes the page in one file.
    'from "@litertjs/wasm-utils";': 'from "./wasm_loader.js";',
    # The page uses the processor alone: graphics cards of some phones compute something else.
    "webGpuDevice = await createDefaultWebGpuDevice();": "webGpuDevice = null;",
    "//# sourceMappingURL=index.js.map": "",
}
_HEADER = f"""// LiteRT.js, @litertjs/core {VERSION}, © Google LLC, Apache-2.0: see LICENSE.txt.
// Changed by edgebee: it takes ./wasm_loader.js for @litertjs/wasm-utils, and asks for no WebGPU.
"""


def load_litert_js(
    tarball: Path | None = None, *, progress: ProgressCallback = ignore_progress
) -> Mapping[str, bytes]:
    """The files of LiteRT.js that the page needs.

    Args:
        tarball: the npm package as a file; default: what `EDGEBEE_LITERT_JS` names, else it is
            downloaded to the user's cache once.
        progress: called with the megabytes that have arrived.

    Returns:
        Name -> content: the library, and its WebAssembly with the script that starts it.

    Raises:
        DownloadError: it cannot be had, or is something else; the message has the remedy.
    """
    named = os.environ.get(VARIABLE)
    tarball = tarball or (Path(named) if named else None)
    try:
        tarball = tarball or _download(progress)
        _check(tarball)
        with tarfile.open(tarball) as archive:
            script = _member(archive, f"package/dist/{_SCRIPT}").decode()
            files = {name: _member(archive, f"package/wasm/{name}") for name in _WASM}
    except OSError as error:
        where = tarball or "LiteRT.js"
        raise DownloadError(
            f"{where}: {error.strerror or error}; name the file of {URL} with {VARIABLE}, or "
            f"another cache with {CACHE_VARIABLE}"
        ) from error
    for old, new in _CHANGES.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    return {_SCRIPT: (_HEADER + script).encode(), **files}


def _download(progress: ProgressCallback) -> Path:
    try:
        return download_file(
            URL, user_cache() / "litert_js", size_bytes=SIZE_BYTES, sha256=SHA256, progress=progress
        )
    except DownloadError as error:
        raise DownloadError(
            f"{URL}: could not be downloaded ({error}); fetch it on another machine and name the "
            f"file with --runtime or {VARIABLE}"
        ) from error


def _check(tarball: Path) -> None:
    if hashlib.sha256(tarball.read_bytes()).hexdigest() != SHA256:
        raise DownloadError(
            f"{tarball}: not LiteRT.js {VERSION}, its SHA-256 is another; get {URL}"
        )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None
    return member.read()
