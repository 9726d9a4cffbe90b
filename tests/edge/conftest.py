"""The runner under test, its model, and pictures to show it.

`import classify` gives the tests the installed `edgebee.edge.classify`; where edgebee is not
installed, as on a Pi that has the two files alone, it gives `edge/classify.py` by its path.
"""

import importlib
import importlib.util
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "edge" / "classify.py"
MODEL = ROOT / "edge" / "models" / "hymenoptera_int8.tflite"


def _runner() -> ModuleType:
    if importlib.util.find_spec("edgebee"):
        return importlib.import_module("edgebee.edge.classify")
    spec = importlib.util.spec_from_file_location("classify", RUNNER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["classify"] = module  # dataclasses look their module up while it is made
    spec.loader.exec_module(module)
    return module


sys.modules["classify"] = _runner()


@pytest.fixture(scope="session")
def runner() -> Path:
    """The runner's file."""
    return RUNNER


@pytest.fixture(scope="session")
def model() -> Path:
    """The model that ships: int8, labels and metadata inside."""
    return MODEL


@pytest.fixture(scope="session")
def foreign_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as if made elsewhere: no zip behind it, no mention of labels.txt."""
    content = MODEL.read_bytes()
    network = content[: content.index(b"PK\x03\x04")]  # where the appended zip starts
    path = tmp_path_factory.mktemp("foreign") / "foreign.tflite"
    path.write_bytes(network.replace(b"labels.txt", b"nothing.at"))
    return path


@pytest.fixture(scope="session")
def landscape() -> npt.NDArray[np.uint8]:
    """`uint8 [901, 1203, 3]`: no two parts alike, detail as in a photo; no side divides by 8."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (91, 121, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((1203, 901), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def golden_pictures(model: Path) -> list[Image.Image]:
    """The pictures inside the model, 256 pixels large: of some it is unsure."""
    with zipfile.ZipFile(model) as members:
        names = [name for name in members.namelist() if name.startswith("golden/")]
        files = [io.BytesIO(members.read(name)) for name in names]
    return [Image.open(file).convert("RGB").resize((256, 256)) for file in files]


@pytest.fixture(scope="session")
def class_picture(model: Path) -> Image.Image:
    """An ant, drawn; `landscape` is neither."""
    picture = Image.new("RGB", (256, 256), (190, 170, 120))
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in (
        (60, 103, 120, 153),
        (114, 110, 159, 146),
        (153, 111, 187, 145),
    ):
        draw.ellipse((left, top, right, bottom), fill=(40, 20, 20))
    for x, bend in ((95, -15), (115, 5), (135, 20)):
        for side in (-1, 1):
            leg = [(x, 128), (x + bend, 128 + 45 * side), (x + 2 * bend, 128 + 85 * side)]
            draw.line(leg, fill=(40, 20, 20), width=5)
    for y in (100, 156):
        draw.line((170, 128, 215, y), fill=(40, 20, 20), width=3)
    assert sys.modules["classify"].Classifier(model)(picture).label == "ants"
    return picture


@pytest.fixture
def photo(tmp_path: Path, landscape: npt.NDArray[np.uint8]) -> Path:
    """A JPEG file of `landscape`, made small."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(landscape).reduce(4).save(path)
    return path


SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""
"""Python sleeps until a time of the monotonic clock, which libfaketime 0.9.10 counts from the
wall clock that it has set, even if it leaves the monotonic one alone."""


class JumpingClock:
    """A wall clock for other processes that can be set while they run; others run on.

    Attributes:
        variables: of the environment, for a process that is to live by it.
    """

    def __init__(self, folder: Path) -> None:
        said = subprocess.run(
            ["faketime", "-f", "+0d", "env"], capture_output=True, text=True, check=True
        ).stdout
        library = next(line for line in said.splitlines() if line.startswith("LD_PRELOAD="))
        place = folder / "clock"
        place.mkdir()
        (place / "sitecustomize.py").write_text(SLEEP)
        self._file = place / "offset"
        self.variables = {
            "LD_PRELOAD": library.removeprefix("LD_PRELOAD="),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(place),
        }
        self.jump(0)

    def jump(self, hours: int) -> None:
        """Set it so many hours before (-) or after the right time."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{hours:+}h\n")
        part.replace(self._file)


@pytest.fixture
def jumping_clock(tmp_path: Path) -> JumpingClock:
    """A clock that jumps, where `faketime` is installed."""
    if shutil.which("faketime") is None:
        pytest.skip("needs faketime")
    return JumpingClock(tmp_path)
