"""What `mkdocs build` needs beyond its configuration: a package laid out as it is installed.

The rooms `train/`, `convert/`, `edge/` and `benchmarks/` lie beside `src/edgebee/` in the
repository and below it once installed. The API reference is read from source files, which finds
them only in the second layout.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("train", "convert", "edge", "benchmarks")


@event_priority(100)  # before mkdocstrings reads its paths
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let mkdocstrings read a copy of the sources in the installed layout."""
    layout = Path(tempfile.mkdtemp(prefix="edgebee-docs-"))
    atexit.register(shutil.rmtree, layout, ignore_errors=True)
    only_source = shutil.ignore_patterns("*.tflite", "*.h5", "__pycache__")
    shutil.copytree(ROOT / "src" / "edgebee", layout / "edgebee", ignore=only_source)
    for room in ROOMS:
        shutil.copytree(ROOT / room, layout / "edgebee" / room, ignore=only_source)
    plugin: Any = config.plugins["mkdocstrings"]
    plugin.config.handlers["python"]["paths"] = [str(layout)]
    return config
