"""Whether a model will run on this machine: everything that has kept one from running.

Works in the plain install. What could end the process is done in a child, see `isolated_run`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from edgebee.edge.classify import NEITHER, ModelError, find_newer_training, shell_line
from edgebee.edge.device.isolated_run import IsolatedRun, run_isolated
from edgebee.edge.device.platforms import (
    NUMPY_1_ONLY,
    OLDEST_PYTHON,
    dotted,
    find_wheel,
    install_command,
    remedy_without_wheel,
    why_no_wheel,
)
from edgebee.edge.device.problems import FAILED, OK, WARNING, Problem
from edgebee.edge.device.system_info import SystemInfo
from edgebee.edge.device.throttling import check_throttling
from edgebee.edge.tflite.model_file import ModelFile
from edgebee.edge.tflite.runtimes import UnknownRuntimeError, check_operators

__all__ = ["check_model", "examine_system"]


def examine_system(
    here: SystemInfo, file: ModelFile, size: tuple[int, int] | None = None
) -> Iterator[Problem]:
    """Whether a file will run here: checks as they are made; running it takes a second or two.

    Args:
        here: from `read_system_info`.
        file: the model.
        size: height and width of the photos, for a model that takes any.
    """
    yield _python(here)
    yield _architecture(here)
    runtime = _runtime(here)
    yield runtime
    yield _numpy(here)
    yield from check_model(file, runtime.text) if runtime.status != FAILED else ()
    yield from _training(file)
    run = run_isolated(file.path, size=size)
    yield _run(here, run)
    if run.selftest is not None:
        yield _selftest(run.selftest, file)
    if here.throttled is not None:
        yield check_throttling(here.throttled)


def _training(file: ModelFile) -> Iterator[Problem]:
    """Whether the Keras model beside the file is the one that it was made of."""
    with contextlib.suppress(ModelError):  # which has a row of its own
        if stale := find_newer_training(file.path):
            text, _, remedy = stale.rpartition(": ")
            yield Problem("training", WARNING, text, remedy)


def _pip() -> str:
    return f"{sys.executable} -m pip install"


def _python(here: SystemInfo) -> Problem:
    text = f"Python {dotted(here.python)}"
    if here.python < OLDEST_PYTHON:
        text += f"; {dotted(OLDEST_PYTHON)} or newer is needed"
        return Problem("python", FAILED, text, "sudo apt install python3")
    return Problem("python", OK, text)


def _architecture(here: SystemInfo) -> Problem:
    text = f"{here.architecture}, {here.bits}-bit"
    if here.bits == 32 and here.kernel in {"aarch64", "x86_64"}:
        text += f" programs on a 64-bit kernel ({here.kernel})"
    text += ", glibc {}.{}".format(*here.glibc) if here.glibc else ", not glibc"
    if find_wheel(here.python[:2], here.architecture, here.glibc) is None:
        reason = why_no_wheel(here.python[:2], here.architecture, here.glibc)
        return Problem(
            "system", WARNING, f"{text}: {reason}", remedy_without_wheel(here.architecture)
        )
    return Problem("system", OK, text)


def _runtime(here: SystemInfo) -> Problem:
    """The runtime that the runner takes: LiteRT before tflite-runtime."""
    for package in ("ai-edge-litert", "tflite-runtime"):
        if package in here.packages:
            return Problem("runtime", OK, f"{package}=={here.packages[package]}")
    wheel = find_wheel(here.python[:2], here.architecture, here.glibc)
    remedy = (
        install_command(wheel, sys.executable) if wheel else remedy_without_wheel(here.architecture)
    )
    return Problem("runtime", FAILED, "no TFLite runtime is installed", remedy)


def _numpy(here: SystemInfo) -> Problem:
    installed = here.packages.get("numpy")
    if installed is None:
        return Problem("numpy", FAILED, "NumPy is not installed", f"{_pip()} numpy")
    old = NUMPY_1_ONLY & here.packages.keys() and "ai-edge-litert" not in here.packages
    if old and int(installed.split(".")[0]) > 1:
        text = f"NumPy {installed}; tflite-runtime needs NumPy 1 and crashes with this"
        return Problem("numpy", FAILED, text, f"{_pip()} 'numpy<2'")
    return Problem("numpy", OK, f"NumPy {installed}")


def _run(here: SystemInfo, run: IsolatedRun) -> Problem:
    if run.ended == "answered":
        ms = f"loaded in {run.load_ms:.0f} ms, one photo in {run.invoke_ms:.1f} ms"
        return Problem("run", OK, f"{run.runtime}: {ms}")
    problem, _, remedy = run.reason.rpartition("; ")
    if "--size" in remedy:
        return Problem("run", FAILED, f"{run.ended}: {problem}", remedy)
    wheel = find_wheel(here.python[:2], here.architecture, here.glibc)
    remedy = install_command(wheel, sys.executable) if wheel else "edgebee inspect MODEL"
    return Problem("run", FAILED, f"{run.ended}: {run.reason}", remedy)


def _selftest(result: dict[str, object], file: ModelFile) -> Problem:
    off = f"max. difference {result['difference']:.3g}" if result["difference"] else "bit-identical"
    text = f"golden samples: {off} ({result['kernels']} kernels)"
    if result["passed"]:
        return Problem("selftest", OK, text)
    inspect = shell_line("edgebee", "inspect", file.path)
    return Problem("selftest", FAILED, text, f"{inspect}; then copy it again")


def check_model(file: ModelFile, runtime: str) -> list[Problem]:
    """Whether the file is sound, and whether a runtime knows its operators."""
    megabytes = file.size_bytes / 1e6
    knows = f", knows {NEITHER}" if NEITHER in file.labels[-1:] else ""
    found = [Problem("model", OK, f"{file.path}: {megabytes:.2f} MB, sound{knows}")]
    if file.problems:
        text = f"{file.path}: {'; '.join(file.problems)}"
        inspect = shell_line("edgebee", "inspect", file.path)
        found = [Problem("model", FAILED, text, inspect)]
    try:
        refused = check_operators(file.content, [runtime])
    except UnknownRuntimeError as error:
        package = runtime.partition("==")[0]
        remedy = f"python3 -m pip install --upgrade {package}"
        return [*found, Problem("operators", WARNING, str(error), remedy)]
    for entry in refused:
        text = str(entry).partition(";")[0]
        found.append(Problem("operators", FAILED, text, entry.remedy))
    if not refused:
        kinds = f"{len(file.operators)} kinds of operator"
        found.append(Problem("operators", OK, f"{kinds}, all known to {runtime}"))
    return found
