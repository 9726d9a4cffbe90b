"""Each thing that has kept a model from running is found, and what to type about it is said."""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("edgebee", reason="the lone runner has no doctor")
import classify

import edgebee
from edgebee.edge.device import doctor, isolated_run, throttling
from edgebee.edge.device.problems import FAILED, OK, WARNING, render
from edgebee.edge.device.system_info import SystemInfo, read_system_info
from edgebee.edge.tflite.model_file import read_model_file

PACKAGE = str(Path(edgebee.__file__).parents[1])
CRASHING = os.environ.get("EDGEBEE_TEST_TFLITE_NUMPY2")

PI = SystemInfo(
    python=(3, 11, 2), bits=64, kernel="aarch64", glibc=(2, 36),
    packages={"numpy": "2.3.1", "pillow": "11.0", "ai-edge-litert": "2.3.0"},
    throttled=0,
)  # fmt: skip
ANSWERED = isolated_run.IsolatedRun("answered", runtime="ai-edge-litert==2.3.0")


@pytest.fixture(scope="module")
def file(model):
    return read_model_file(model)


def examine(monkeypatch, file, result=ANSWERED, **changes):
    """Findings by name on a machine that differs from PI in `changes`; the run ended so."""
    monkeypatch.setattr(doctor, "run_isolated", lambda *_, **__: result)
    here = dataclasses.replace(PI, **changes)
    return {one.name: one for one in doctor.examine_system(here, file)}


def test_a_pi_in_order_has_no_remedies(monkeypatch, file):
    found = examine(monkeypatch, file)
    assert {one.status for one in found.values()} == {OK}
    assert not any(one.remedy for one in found.values())


@pytest.mark.parametrize(
    ("changes", "name", "status", "said", "remedy"),
    [
        ({"python": (3, 9, 2)}, "python", FAILED, "3.10 or newer", "apt install"),
        ({"bits": 32, "python": (3, 13, 0), "packages": {"numpy": "1.26"}}, "runtime", FAILED,
         "no TFLite runtime", "rpi-imager"),
        ({"bits": 32, "packages": {"numpy": "1.26"}}, "runtime", FAILED, "no TFLite runtime",
         "'numpy<2' pillow tflite-runtime"),
        ({"packages": {"numpy": "2.3"}}, "runtime", FAILED, "no TFLite runtime",
         "pip install numpy pillow ai-edge-litert"),
        ({"packages": {"numpy": "2.3", "tflite-runtime": "2.14.0"}}, "numpy", FAILED, "crashes",
         "pip install 'numpy<2'"),
        ({"packages": {"ai-edge-litert": "2.3.0"}}, "numpy", FAILED, "not installed", "numpy"),
        ({"bits": 32}, "system", OK, "32-bit programs on a 64-bit kernel", ""),
        ({"kernel": "armv6l", "bits": 32}, "system", WARNING, "armv6l", "Zero 2 W"),
        ({"glibc": None}, "system", WARNING, "not glibc", "docker run"),
        ({"glibc": (2, 24)}, "system", WARNING, "newer system", "docker run"),
        ({"throttled": 0x50005}, "throttling", WARNING, "now: under-voltage", "power supply"),
        ({"throttled": 0x80008}, "throttling", WARNING, "temperature", "measure_temp"),
        ({"packages": {"numpy": "1.26", "tflite-runtime": "2.13.0"}}, "operators", WARNING,
         "the oldest that edgebee knows", "--upgrade tflite-runtime"),
    ],
)  # fmt: skip
def test_what_is_amiss_is_found_with_its_remedy(
    monkeypatch, file, changes, name, status, said, remedy
):
    finding = examine(monkeypatch, file, **changes)[name]
    assert finding.status == status
    assert said in finding.text
    assert remedy in finding.remedy
    assert bool(finding.remedy) == (status != OK)


@pytest.fixture
def beside_another(model, tmp_path):
    """A model beside a Keras model that it was not made of."""
    (tmp_path / "model.keras").write_bytes(b"of another training")
    return Path(shutil.copy(model, tmp_path))


def test_a_model_of_another_training_is_warned_of(monkeypatch, beside_another):
    found = examine(monkeypatch, read_model_file(beside_another))["training"]
    keras = beside_another.with_name("model.keras")
    assert (found.status, found.remedy) == (WARNING, f"edgebee convert {keras}")
    assert found.text.startswith(f"{beside_another}: of another training than {keras}; ")


def test_the_model_that_was_made_of_the_one_beside_it_is_not(monkeypatch, model, tmp_path):
    keras = tmp_path / "model.keras"
    keras.write_bytes(b"its own")
    recorded = {"provenance": {"keras_sha256": hashlib.sha256(b"its own").hexdigest()}}
    monkeypatch.setattr(classify, "read_manifest", lambda path: recorded)
    assert classify.find_newer_training(tmp_path / "model_int8.tflite") == ""
    keras.unlink()
    assert classify.find_newer_training(tmp_path / "model_int8.tflite") == ""


def test_classify_and_deploy_warn_of_it_too(edgebee, beside_another, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    warning = f"warning: {beside_another}: of another training than "
    done = edgebee("classify", "-m", str(beside_another), str(tmp_path / "p.png"))
    assert (done.status, done.err.count(warning)) == (0, 1)
    done = edgebee("deploy", "-m", str(beside_another), "-p", "1", "nobody@127.0.0.1")
    assert (done.status, done.err.count(warning)) == (1, 1)


@pytest.mark.parametrize("ended", ["refused", "crashed", "hung"])
def test_a_model_that_does_not_answer_has_failed(monkeypatch, file, ended):
    finding = examine(monkeypatch, file, result=isolated_run.IsolatedRun(ended, "for this reason"))[
        "run"
    ]
    assert finding.status == FAILED
    assert "for this reason" in finding.text
    assert "pip install" in finding.remedy


def test_findings_are_aligned_lines_with_their_remedies_below(monkeypatch, file):
    lines = render(examine(monkeypatch, file, throttled=1).values()).splitlines()
    assert all(line.startswith(("ok", "warning", "failed", " " * 21 + " -> ")) for line in lines)
    assert len({line.split(None, 2)[1] for line in lines if line[0] != " "}) == len(lines) - 1


# ------------------------------------------------------------------ the parts that look


def test_this_machine_is_described(file):
    here = read_system_info()
    assert here.bits == 64
    assert here.packages["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("text", "flags"), [("throttled=0x50005\n", 0x50005), ("0\n", 0), ("80000\n", 0x80000)]
)
def test_flags_of_both_origins(text, flags):
    assert throttling.parse_flags(text) == flags


def test_flags_are_read_from_the_file_before_the_command(tmp_path):
    system_file = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    system_file.parent.mkdir(parents=True)
    command = ("echo", "throttled=0x20002")
    assert throttling.read_flags(tmp_path, command) == 0x20002
    system_file.write_text("4\n")
    assert throttling.read_flags(tmp_path, command) == 4
    system_file.write_text("nothing\n")
    assert throttling.read_flags(tmp_path, ("false",)) is None
    assert throttling.read_flags(tmp_path, ("no-such-command-here",)) is None


@pytest.mark.parametrize("bit", range(4))
def test_every_bit_is_named_now_and_since_the_start(bit):
    (name,) = throttling.active_flags(1 << bit)
    assert f"now: {name}" in throttling.check_throttling(1 << bit).text
    past = throttling.check_throttling(1 << bit + 16).text
    assert past == f"not now; since the start: {name}"


# ------------------------------------------------------------------ the trial


@pytest.fixture
def child(monkeypatch):
    """Lets the child find edgebee as this process does."""
    monkeypatch.setenv("PYTHONPATH", PACKAGE)


def test_the_model_that_ships_answers_in_a_child(child, model):
    result = isolated_run.run_isolated(model)
    assert result.ended == "answered", result.reason
    assert result.runtime.split("==")[0] in {"ai-edge-litert", "tflite-runtime"}
    assert 0 < result.invoke_ms < result.load_ms * 10
    assert result.selftest["passed"]


def with_golden_samples(model: Path, folder: Path, shift: float) -> Path:
    """The model with three golden samples; the recorded scores are off by `shift`."""
    content = model.read_bytes()
    interpreter = classify.make_interpreter(model)
    path = folder / "golden.tflite"
    path.write_bytes(content[: content.index(b"PK\x03\x04")])
    samples = []
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"golden/{number}.png", picture.getvalue())
            rows = np.arange(224) * 32 // 224
            scores = classify.invoke(interpreter, pixels[rows][:, rows])
            expected = [float(score) + shift for score in scores]
            samples.append({"file": f"golden/{number}.png", "scores": {"builtin": expected}})
        golden = {"tolerance": 0.1, "samples": samples}
        archive.writestr("edgebee.json", json.dumps({"golden": golden}))
        archive.writestr("labels.txt", "ants\nbees\nneither\n")
    return path


def test_golden_samples_are_run_in_the_child(monkeypatch, file, child, model, tmp_path):
    path = with_golden_samples(model, tmp_path, shift=0.2)
    result = isolated_run.run_isolated(path)
    assert result.ended == "answered", result.reason
    assert result.selftest["difference"] == pytest.approx(0.2, abs=1e-6)
    assert examine(monkeypatch, file, result=result)["selftest"].status == FAILED
    result.selftest["passed"] = True
    assert examine(monkeypatch, file, result=result)["selftest"].status == OK


def test_a_model_that_the_runtime_refuses_is_refused_in_words(child, tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 100)
    result = isolated_run.run_isolated(path)
    assert result.ended in {"refused", "crashed"}
    assert result.reason


def test_a_crash_of_the_child_is_survived_and_named(monkeypatch, model, tmp_path):
    runtime = tmp_path / "ai_edge_litert"  # a runtime that ends the process when it is used
    runtime.mkdir()
    (runtime / "__init__.py").touch()
    (runtime / "interpreter.py").write_text(
        "import os, signal\ndef Interpreter(**_): os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PACKAGE}")
    result = isolated_run.run_isolated(model)
    assert result == isolated_run.IsolatedRun("crashed", "the process ended with SIGSEGV")


def test_a_child_that_never_answers_is_given_up(monkeypatch, model, tmp_path):
    (tmp_path / "ai_edge_litert").mkdir()
    (tmp_path / "ai_edge_litert" / "__init__.py").touch()
    (tmp_path / "ai_edge_litert" / "interpreter.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PACKAGE}")
    monkeypatch.setattr(isolated_run, "SECONDS", 1)
    assert isolated_run.run_isolated(model).ended == "hung"


@pytest.mark.slow
@pytest.mark.skipif(CRASHING is None, reason="EDGEBEE_TEST_TFLITE_NUMPY2 names no such Python")
@pytest.mark.parametrize("guarded", [True, False])
def test_tflite_runtime_under_numpy_2_is_survived(
    monkeypatch, model, tmp_path, plain_package, guarded
):
    if not guarded:  # past the runner's own refusal, so that it really crashes
        (tmp_path / "ai_edge_litert").mkdir()
        code = "from tflite_runtime.interpreter import *\n"
        (tmp_path / "ai_edge_litert" / "interpreter.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{plain_package}")
    result = isolated_run.run_isolated(model, python=CRASHING)
    assert result.ended == ("refused" if guarded else "crashed")
    assert ("numpy<2" if guarded else "") in result.reason


def test_a_file_that_does_not_fit_together_fails(monkeypatch, model, tmp_path):
    content = model.read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[:-20])  # the end of the zip with the labels
    finding = examine(monkeypatch, read_model_file(path))["model"]
    assert finding.status == FAILED
    assert "copy it again" in finding.text
