"""The edgebee that runs here, as a wheel that a device installs."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import io
import zipfile
from pathlib import Path

__all__ = ["build_wheel"]

_ROOMS = ("commands", "photos", "train", "convert", "edge", "benchmarks")
_LEFT_OUT = ("edgebee/benchmarks/studies/",)
"""How edgebee itself was measured: in a checkout, and in no other wheel either."""
_KINDS = ("*.py", "py.typed", "models/*.tflite")
"""Code and the model that ships; not weights and report templates: a device does not train."""


def build_wheel() -> tuple[str, bytes]:
    """The edgebee that runs here, installed or from a checkout, as a wheel.

    Returns:
        File name and content. The same code gives the same bytes.
    """
    version = importlib.metadata.version("edgebee")
    info = f"edgebee-{version}.dist-info"
    files = _package_files() | {
        f"{info}/METADATA": _metadata(version),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: edgebee\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\nedgebee = edgebee.__main__:main\n",
    }
    record = "".join(
        f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return f"edgebee-{version}-py3-none-any.whl", _zip(files)


def _metadata(version: str) -> bytes:
    requires = importlib.metadata.requires("edgebee") or []
    lines = ["Metadata-Version: 2.1", "Name: edgebee", f"Version: {version}"]
    return "\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires), ""]).encode()


def _package_files() -> dict[str, bytes]:
    """Every file that a device needs, by its name in the wheel."""
    files = {}
    for name, folder in _package_folders().items():
        for path in sorted(path for kind in _KINDS for path in folder.glob(kind)):
            inside = f"{name}/{path.relative_to(folder).as_posix()}"
            if not inside.startswith(_LEFT_OUT):
                files[inside] = path.read_bytes()
    return files


def _package_folders() -> dict[str, Path]:
    """Every package of edgebee's by its name in the wheel, and its folder here.

    The import system knows them: the rooms of an editable install do not lie below `edgebee`.
    """
    folders = {"edgebee": _folder_of("edgebee")}
    for room in _ROOMS:
        top = _folder_of(f"edgebee.{room}")
        for package in sorted(path.parent for path in top.rglob("__init__.py")):
            inside = package.relative_to(top).as_posix()
            folders[f"edgebee/{room}" if package == top else f"edgebee/{room}/{inside}"] = package
    return folders


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()
