"""TensorFlow's private functions are called in one place."""

from __future__ import annotations

import re
from pathlib import Path


def test_no_other_file_imports_them():
    root = Path(__file__).parents[2]
    private = re.compile(r"tensorflow\.(lite\.)?python|_experimental_|_pywrap")
    found = [
        path.name
        for folder in ("convert", "train", "src", "edge")
        for path in (root / folder).rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["tensorflow_internals.py"]
