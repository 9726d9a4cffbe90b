"""The house as it is delivered: what a wheel holds, what each install needs, what imports what."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import edgebee

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("train", "convert", "edge", "benchmarks")
WEIGHTS = "train/weights/mobilenet_v2_1.0_224_no_top.weights.h5"
WEIGHTS_SHA256 = "67f237619be09c65ee1b7bc5aba641fe2eedae49d43e46c286c0ba55480122dc"
FIELD_WEIGHTS = "train/weights/mobilenet_v2_1.0_224_field.weights.h5"
SHIPPED_MODEL = "edge/models/hymenoptera_int8.tflite"

HEAVY = ("tensorflow", "keras", "matplotlib", "tqdm", "rich", "scipy", "flatbuffers")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ------------------------------------------------------------------ in the checkout


def test_the_weights_are_the_published_ones():
    assert sha256((ROOT / WEIGHTS).read_bytes()) == WEIGHTS_SHA256
    assert WEIGHTS_SHA256 in (ROOT / "NOTICE").read_text()


def test_the_notice_names_the_hardened_weights():
    notice = (ROOT / "NOTICE").read_text()
    assert FIELD_WEIGHTS in notice
    assert sha256((ROOT / FIELD_WEIGHTS).read_bytes()) in notice


def modules() -> list[str]:
    """Every module of the package, found without importing it."""
    rooms = [importlib.import_module(f"edgebee.{room}") for room in ROOMS]
    found = [
        module.name
        for package in (edgebee, *rooms)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    names = {"edgebee", *(room.__name__ for room in rooms), *found}
    return sorted(name for name in names if not name.endswith("__main__"))


def test_the_walk_finds_every_room():
    assert {f"edgebee.{room}" for room in ROOMS} | {"edgebee.commands"} <= set(modules())


def naming_order(name: str) -> tuple[bool, bool, list[str | int]]:
    """Constants, then classes, then functions, numbers by their value, as ruff sorts them."""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
    return not name.isupper(), not name[0].isupper(), parts


@pytest.mark.parametrize("name", modules())
def test_all_is_sorted_and_true(name):
    if name not in sys.modules and name.startswith(("edgebee.train", "edgebee.convert")):
        pytest.importorskip("tensorflow", reason="needs edgebee[train]")
    module = importlib.import_module(name)
    assert module.__doc__
    listed = getattr(module, "__all__", [])
    assert sorted(set(listed), key=naming_order) == list(listed)
    for public in listed:
        assert hasattr(module, public)


@pytest.mark.parametrize(
    "name", ["edgebee", "edgebee.cli", "edgebee.edge", "edgebee.edge.classify"]
)
def test_the_front_door_and_the_runner_need_no_workstation(name):
    code = f"import sys, {name}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module.split(".")[0] for module in done.stdout.split()}
    assert "edgebee" in loaded
    assert not loaded & set(HEAVY)


def test_the_runner_imports_nothing_of_ours():
    code = "import sys, edgebee.edge.classify; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {module for module in done.stdout.split() if module.split(".")[0] == "edgebee"}
    assert ours == {"edgebee", "edgebee.edge", "edgebee.edge.classify"}


def test_no_file_beside_the_runner_hides_a_standard_module():
    # A script puts its own folder first on the path: edge/queue.py would be everyone's queue.
    names = {path.stem for path in (ROOT / "edge").glob("*.py")}
    assert not names & set(sys.stdlib_module_names)


# ------------------------------------------------------------------ what each install needs


def requirements(machine: str, extra: str = "") -> dict[str, str]:
    """Name -> versions that an install on such a machine asks for, by pyproject.toml."""
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    requirement = pytest.importorskip("packaging.requirements").Requirement
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    wanted = [requirement(line) for line in lines]
    return {
        one.name: str(one.specifier)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"platform_machine": machine})
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_plain_install_is_small(machine):
    wanted = requirements(machine)
    assert wanted.keys() == {"click", "pillow", "numpy", "ai-edge-litert"}
    assert "<2" not in wanted["numpy"]


def test_on_32_bit_arm_it_takes_the_old_runtime_and_numpy_1():
    wanted = requirements("armv7l")
    assert wanted.keys() == {"click", "pillow", "numpy", "tflite-runtime"}
    assert "<2" in wanted["numpy"]


def test_the_old_runtime_can_be_asked_for_elsewhere():
    wanted = requirements("x86_64", "tflite-runtime")
    assert wanted.keys() == {"tflite-runtime", "numpy"}
    assert "<2" in wanted["numpy"]


def test_the_workstation_adds_tensorflow():
    assert {"tensorflow", "matplotlib"} <= requirements("x86_64", "train").keys()


# ------------------------------------------------------------------ the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, which building would litter."""
    source = tmp_path_factory.mktemp("source") / "edgebee"
    litter = shutil.ignore_patterns(
        ".git", ".venv", "artifacts", "build", "dist", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, source, symlinks=True, ignore=litter)
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--wheel-dir", folder]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("edgebee-*-py3-none-any.whl")
    return path


def expected_files() -> set[str]:
    """Every module but the studies, the data, and nothing else."""
    places = {"edgebee": ROOT / "src" / "edgebee"}
    places |= {f"edgebee/{room}": ROOT / room for room in ROOMS}
    files = {
        f"{name}/{path.relative_to(place).as_posix()}"
        for name, place in places.items()
        for path in place.rglob("*.py")
    }
    files = {name for name in files if not name.startswith("edgebee/benchmarks/studies/")}
    templates = ("report.css", "report.html.j2", "archive.html.j2")
    page = [ROOT / "benchmarks" / "report" / name for name in templates]
    page += [path for path in (ROOT / "edge" / "web" / "static").rglob("*") if path.is_file()]
    data = [*(ROOT / "edge" / "models").iterdir(), ROOT / WEIGHTS, ROOT / FIELD_WEIGHTS, *page]
    return files | {
        "edgebee/py.typed",
        *(f"edgebee/{path.relative_to(ROOT).as_posix()}" for path in data),
    }


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_the_data_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == expected_files()
        packed = sha256(archive.read(f"edgebee/{WEIGHTS}"))
        assert packed == WEIGHTS_SHA256
        model = archive.read(f"edgebee/{SHIPPED_MODEL}")
    assert model == (ROOT / SHIPPED_MODEL).read_bytes()
    # Weights 9.4 and 4.9 MB and model 2.7 MB, which hardly shrink, and the code.
    assert wheel.stat().st_size < 18_000_000


@pytest.mark.slow
def test_the_wheel_carries_licence_notice_and_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = {name.split("/", 1)[1] for name in archive.namelist() if ".dist-info/" in name}
        assert {"licenses/LICENSE", "licenses/NOTICE", "METADATA", "entry_points.txt"} <= info
        folder = next(name for name in archive.namelist() if ".dist-info/" in name).split("/")[0]
        for name in ("LICENSE", "NOTICE"):
            packed = archive.read(f"{folder}/licenses/{name}")
            assert packed == (ROOT / name).read_bytes()
        entry_points = archive.read(f"{folder}/entry_points.txt").decode()
        assert "edgebee = edgebee.__main__:main" in entry_points
        assert "License-Expression: Apache-2.0" in archive.read(f"{folder}/METADATA").decode()


@pytest.mark.slow
def test_the_installed_wheel_answers_out_of_the_box(wheel, tmp_path):
    from PIL import Image

    installed = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", installed, wheel]
    subprocess.run(command, capture_output=True, check=True)
    Image.new("RGB", (300, 200), (90, 120, 60)).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [installed / "bin" / "edgebee", "classify", "photo.jpg"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("photo.jpg: neither 0.")  # a green area


@pytest.mark.slow
def test_what_deploy_sends_is_the_same_from_a_checkout_and_an_install(wheel, tmp_path):
    installed = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", installed, wheel]
    subprocess.run(command, capture_output=True, check=True)
    code = (
        "import edgebee, sys; from edgebee.edge.device.wheel import build_wheel; "
        "print(edgebee.__file__, file=sys.stderr); sys.stdout.buffer.write(build_wheel()[1])"
    )
    sent = []
    for path in ({}, {"PYTHONPATH": str(installed)}):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | path,
            capture_output=True,
            check=True,
        )
        assert (str(installed).encode() in done.stderr) == bool(path)
        with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
            names = [name for name in archive.namelist() if ".dist-info/" not in name]
            sent.append({name: archive.read(name) for name in names})
    assert sent[0] == sent[1]
    assert "edgebee/edge/models/hymenoptera_int8.tflite" in sent[0]
    assert "edgebee/benchmarks/measure/device_run.py" in sent[0]


@pytest.fixture(scope="module")
def plain_install(tmp_path_factory) -> Path:
    """The `edgebee` script of a fresh environment with the plain install, as on a Pi."""
    folder = tmp_path_factory.mktemp("plain")
    source = folder / "source"  # building leaves files behind, which do not belong in the checkout
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", ".venv", "artifacts"))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", source]
    subprocess.run(pip, check=True)
    return folder / "venv" / "bin" / "edgebee"


@pytest.mark.slow
def test_the_plain_install_answers_out_of_the_box(plain_install, tmp_path):
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (320, 240), "olive").save(photo)
    done = subprocess.run(
        [plain_install, "classify", photo],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("model: ")
    assert line.endswith("hymenoptera_int8.tflite (ants, bees, neither)")
    assert done.stdout.startswith(f"{photo}: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train", "--data", "sample"], "train"),
        (["demo"], "train"),
        (["archive", ".", "--out", "archive"], "archive"),
        (["archive", "query", "archive"], "archive"),
    ],
)
def test_the_plain_install_names_what_a_command_needs(plain_install, arguments, extra, tmp_path):
    done = subprocess.run(
        [plain_install, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert f"pip install 'edgebee[{extra}]'" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
