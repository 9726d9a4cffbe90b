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
from PIL import Image

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
def class_picture(model: Path, golden_pictures: list[Image.Image]) -> Image.Image:
    """The picture inside the model that it is surest to be of a class; `landscape` is neither."""
    classifier = sys.modules["classify"].Classifier(model)

    def best_class(picture: Image.Image) -> float:
        scores = classifier(picture).scores
        return max(scores[label] for label in classifier.labels if label != "neither")

    surest = max(golden_pictures, key=best_class)
    assert classifier(surest).label in classifier.labels[:-1]
    return surest


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
