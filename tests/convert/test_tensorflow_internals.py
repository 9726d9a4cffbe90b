"""TensorFlow's private functions are called only where they were tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs edgebee[train]")
from edgebee.convert.tensorflow_internals import NEWEST_TRIED, OLDEST_TRIED, check_version
from edgebee.errors import ConversionError


@pytest.mark.parametrize("version", ["2.18.0", "2.18.1", "2.21.0", "2.21.0-rc1"])
def test_a_version_that_was_tried(version):
    check_version(version)


@pytest.mark.parametrize("version", ["2.17.1", "2.22.0", "3.0.0-dev20271231", "1.15.5"])
def test_another_version_is_refused_with_what_to_install(version):
    with pytest.raises(ConversionError, match=re.escape(f"TensorFlow {version}: ")) as refusal:
        check_version(version)
    assert "pip install 'tensorflow>=2.18,<2.22'" in str(refusal.value)


def test_pip_installs_only_what_was_tried():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    (bounds,) = re.findall(r'"tensorflow>=(\d+)\.(\d+),<(\d+)\.(\d+)"', text)
    oldest, above = tuple(map(int, bounds[:2])), tuple(map(int, bounds[2:]))
    assert oldest == OLDEST_TRIED
    assert above == (NEWEST_TRIED[0], NEWEST_TRIED[1] + 1)


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
