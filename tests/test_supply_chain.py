"""What comes in with edgebee, and that the same source always gives the same wheel."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-dev.lock"
DATE = "1700000000"
"""A SOURCE_DATE_EPOCH: 14 November 2023."""


def locked() -> dict[str, str]:
    """Name -> version in the lock file; where a platform decides, one of them."""
    return dict(re.findall(r"^([\w.-]+)==([\w.+!]+)", LOCK.read_text(), re.MULTILINE))


def requirements() -> list:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    parse = pytest.importorskip("packaging.requirements").Requirement
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for name in ("train", "test", "dev"):
        lines += project["optional-dependencies"][name]
    wanted = [parse(line) for line in lines]
    return [one for one in wanted if one.name != "edgebee"]


def test_every_dependency_is_bounded_below():
    for one in requirements():
        assert any(limit.operator == ">=" for limit in one.specifier), one


def test_the_lock_file_holds_every_dependency_in_a_version_that_is_allowed():
    pins = locked()
    for one in requirements():
        if one.marker is None or one.marker.evaluate({"platform_machine": "x86_64"}):
            assert one.name in pins, f"{one.name}: run the command in CONTRIBUTING.md again"
            assert one.specifier.contains(pins[one.name]), (one, pins[one.name])


def test_every_pin_has_hashes_and_names_no_host():
    text = LOCK.read_text()
    assert "://" not in text
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert block.count("--hash=sha256:") >= 1, block[:80]


@pytest.mark.slow
def test_the_same_source_gives_the_same_wheel(tmp_path):
    digests = []
    for number in range(2):
        source = tmp_path / f"place-{number}" / "edgebee"
        litter = shutil.ignore_patterns(
            ".git", ".venv", "artifacts", "build", "dist", "*.egg-info", "__pycache__", ".*_cache"
        )
        shutil.copytree(ROOT, source, symlinks=True, ignore=litter)
        for path in source.rglob("*"):  # another checkout has other times
            if not path.is_symlink():
                os.utime(path, (time.time() - 1000 * number,) * 2)
        folder = tmp_path / f"wheel-{number}"
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--wheel-dir", folder],
            cwd=source,
            env=os.environ | {"SOURCE_DATE_EPOCH": DATE},
            capture_output=True,
            check=True,
        )
        (wheel,) = folder.glob("*.whl")
        digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("report", "status", "word"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 of 1 packages looked up"),
        ([{"name": "a", "version": "1", "vulns": [{"id": "X-1"}]}], 1, "vulnerable: a 1: X-1"),
        ([{"name": "a", "skip_reason": "not found"}], 0, "NOT CHECKED: the service does not"),
        (None, 0, "NOT CHECKED: no route to host"),
    ],
)
def test_not_looked_up_is_told_apart_from_fine(tmp_path, report, status, word):
    # A stand-in for pip-audit: the real one needs a service on the network.
    content = "" if report is None else json.dumps({"dependencies": report})
    (tmp_path / "pip_audit.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        f"content = {content!r}\n"
        "if content:\n"
        "    Path(sys.argv[sys.argv.index('--output') + 1]).write_text(content)\n"
        "else:\n"
        "    sys.exit('no route to host')\n"
    )
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py", LOCK],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert word in done.stdout + done.stderr
