"""What the tests share: a trained model, the photos, the command line.

Nothing heavy is imported up here: the runner's tests also run where only NumPy, Pillow and
a TFLite runtime are installed.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# A run in the background inherits an ignored Ctrl-C, and would pass that on to what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

TENSORFLOW_LOG = "TF_CPP_MIN_LOG_LEVEL"
os.environ.setdefault(TENSORFLOW_LOG, "2")  # read when TensorFlow loads, once

if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker for each core: threads of NumPy's would spin while they wait for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

CALIBRATION_SAMPLES = 8
"""Representative photos: enough for what is tested, a fraction of the default's time."""


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once, by whichever worker comes first."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def own_cache(of_all_workers: Path) -> Iterator[Path]:
    """Tests, and the processes they start, keep out of the user's cache folder."""
    cache = of_all_workers / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEBEE_CACHE", str(cache))
        yield cache


@pytest.fixture
def remarks() -> Iterator[list[str]]:
    """What the library has logged so far, `warning: …` where it is one, as a person sees it."""
    logger, lines = logging.getLogger("edgebee"), list[str]()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warning = "warning: " if record.levelno >= logging.WARNING else ""
            lines.append(warning + record.getMessage())

    handler, level = Kept(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="session")
def hymenoptera() -> Path:
    """The folder of real ants and bees, where EDGEBEE_DATA says that there is one."""
    named = os.environ.get("EDGEBEE_DATA")
    if not named:
        pytest.skip("EDGEBEE_DATA names no folder with the hymenoptera photos")
    candidates = [Path(named, "hymenoptera_data"), Path(named)]
    found = [folder.resolve() for folder in candidates if (folder / "val" / "bees").is_dir()]
    if not found:
        pytest.skip(f"EDGEBEE_DATA={named} has no hymenoptera_data in it")
    return found[0]


@pytest.fixture(scope="session")
def tensorflow_started() -> None:
    """TensorFlow in this process."""
    pytest.importorskip("tensorflow", reason="needs edgebee[train]")


@pytest.fixture(scope="session")
def artifacts(of_all_workers: Path, tensorflow_started: None) -> Path:
    """What `edgebee train` and `edgebee convert` leave: a really trained model, all formats.

    Trained on the drawn sample, briefly and at 96 pixels; once for all workers. Do not write in it.
    """
    from filelock import FileLock

    folder = of_all_workers / "trained" / "artifacts"
    with FileLock(of_all_workers / "trained.lock"):
        whole = folder.with_name("whole")
        if not whole.exists():
            _train_and_convert(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def calibration_samples() -> int:
    """Photos that `artifacts` was calibrated on."""
    return CALIBRATION_SAMPLES


def _train_and_convert(folder: Path) -> None:
    from edgebee.commands import train
    from edgebee.convert.conversion import convert_model
    from edgebee.convert.formats import FORMATS
    from edgebee.train.recipe import Recipe

    train.run(
        "sample",
        folder,
        Recipe(epochs=2, fine_tune_epochs=1, image_size=96, augmentations=2, neither=False),
    )
    # Three epochs leave many answers near one half, and int8 turns some of them, more or fewer as
    # the processor rounds in training: how much a real model may lose is tested elsewhere.
    convert_model(
        folder / "model.keras", formats=FORMATS, samples=CALIBRATION_SAMPLES, max_drop=10.0
    )


@pytest.fixture(scope="session")
def plain_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Edgebee as a device gets it, in a folder for the PYTHONPATH of another Python."""
    import io
    import zipfile

    from edgebee.edge.device.wheel import build_wheel

    folder = tmp_path_factory.mktemp("plain-package")
    _, content = build_wheel()
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def store() -> Iterator[Any]:
    """An object store with the bucket `cameras`."""
    pytest.importorskip("pyarrow", reason="needs edgebee[archive]")
    from object_store import started_store

    with started_store() as running:
        yield running


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real cluster on this machine: a head without processors, to which nodes are added."""
    pytest.importorskip("ray", reason="needs edgebee[ray]")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
    for name, value in (("initial_delay", 0), ("period", 500), ("timeout", 1000)):
        monkeypatch.setenv(f"RAY_health_check_{name}_ms", str(value))  # notice deaths sooner
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield cluster
    cluster.shutdown()


@dataclass(frozen=True)
class Finished:
    """A command line that has come to its end."""

    status: int
    out: str
    err: str
    cpu_seconds: float = 0.0
    """User and system time of the process; 0 when it ran in this one."""

    @property
    def errors(self) -> list[str]:
        """The lines of standard error, without empty ones."""
        return [line for line in self.err.splitlines() if line.strip()]


Edgebee = Callable[..., Finished]


@pytest.fixture
def edgebee(capsys: pytest.CaptureFixture[str]) -> Edgebee:
    """Run the command line in this process, for what needs TensorFlow loaded once only."""
    from edgebee.cli import edgebee as group

    def run(*arguments: str | Path) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            group([str(argument) for argument in arguments], prog_name="edgebee")
        captured = capsys.readouterr()
        status = exit_.value.code
        assert isinstance(status, int)
        return Finished(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def edgebee_process() -> Edgebee:
    """Run the command line as a process of its own, as a person does."""

    def run(*arguments: str | Path, cwd: Path | None = None, **variables: str) -> Finished:
        environment = os.environ | variables
        del environment[TENSORFLOW_LOG]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "edgebee", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Finished(done.returncode, done.stdout, done.stderr, cpu)

    return run
