"""`edgebee doctor`: an answer, its reasons, and an exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgebee.edge

MODEL = Path(edgebee.edge.__file__).resolve().parent / "models" / "hymenoptera_int8.tflite"
OLD_PYTHON = os.environ.get("EDGEBEE_TFLITE_RUNTIME_PYTHON")


def test_the_model_that_ships_runs_here(edgebee_process, tmp_path):
    said = edgebee_process("doctor", cwd=tmp_path)
    assert said.status == 0
    assert said.err == ""
    assert said.out.splitlines()[-1] == f"{MODEL} will run here"
    names = {line.split()[1] for line in said.out.splitlines()[:-1] if line.strip()[:2] != "->"}
    assert {"python", "system", "runtime", "numpy", "model", "operators", "run"} <= names
    assert "one photo in" in said.out


def test_json_is_a_list_of_checks(edgebee, tmp_path):
    said = edgebee("doctor", "--json", MODEL)
    assert said.status == 0
    findings = json.loads(said.out)
    assert all(set(one) == {"name", "status", "text", "remedy"} for one in findings)
    assert {one["name"] for one in findings} >= {"python", "runtime", "numpy", "model", "run"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"no model", "not a TFLite model"), (MODEL.read_bytes()[:90_000], "damaged")],
)
def test_a_damaged_model_is_one_line(edgebee, tmp_path, content, complaint):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    said = edgebee("doctor", path)
    assert (said.status, said.out) == (1, "")
    (line,) = said.errors
    assert f"{path}: {complaint}" in line


@pytest.mark.parametrize("arguments", [["--threads"], ["one", "two"]])
def test_wrong_usage_is_status_2(edgebee, arguments):
    assert edgebee("doctor", *arguments).status == 2


@pytest.mark.slow
@pytest.mark.skipif(OLD_PYTHON is None, reason="no Python with tflite-runtime is named")
def test_it_works_in_the_plain_install_with_the_old_runtime(tmp_path, plain_package):
    model = shutil.copy(MODEL, tmp_path)
    done = subprocess.run(
        [OLD_PYTHON, "-m", "edgebee", "doctor", model],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(plain_package)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tflite-runtime==2.14.0: loaded in" in done.stdout


# ------------------------------------------------------------------ the working folder


@pytest.fixture
def trap(tmp_path):
    """A folder with a file called like every module that the doctor's processes import."""
    code = (
        "import sys; from edgebee.__main__ import main\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", MODEL], capture_output=True, text=True, check=False
    )
    names = {name.partition(".")[0] for name in done.stderr.split()}
    # The child's own imports: a runtime and what it needs.
    names |= {"runpy", "resource", "ai_edge_litert", "tflite_runtime", "flatbuffers", "tqdm"}
    assert {"click", "numpy", "random", "json", "subprocess", "edgebee"} <= names
    for name in names - {"__main__"}:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the working folder')\n")
    return tmp_path


def test_nothing_is_run_from_the_working_folder(trap, tmp_path_factory):
    program = tmp_path_factory.mktemp("bin") / "edgebee"  # as pip installs it
    program.write_text("from edgebee.__main__ import main\nmain()\n")
    done = subprocess.run(
        [sys.executable, program, "doctor", MODEL],
        cwd=trap, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "of the working folder" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{MODEL} will run here", done.stderr


def test_python_m_runs_nothing_of_the_working_folder_but_what_is_called_edgebee(trap):
    # What `python -m` itself imports comes before us, and is frozen into Python.
    (trap / "edgebee.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "edgebee", "doctor", MODEL],
        cwd=trap, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "of the working folder" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{MODEL} will run here", done.stderr
