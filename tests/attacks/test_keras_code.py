"""A Keras file that carries code: none of it runs, and the file is refused in a line.

The ways in are those of published advisories: Lambda layers with bytecode (CVE-2024-3660), also
in Keras' older HDF5 format (CVE-2025-9905), classes and functions named by their module in
config.json (CVE-2025-1550), switching the safe mode off from within the file (CVE-2025-9906),
pickles (CVE-2025-49655), and files of this machine named in the file (CVE-2025-12058).
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="needs edgebee[train]")
pytestmark = pytest.mark.usefixtures("tensorflow_started")


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def bytecode(mark: Path) -> dict[str, Any]:
    """A serialized lambda, as Keras writes them, that leaves a file behind when it is called."""
    function = eval(f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]")
    code = base64.b64encode(marshal.dumps(function.__code__)).decode()
    return {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}


def sound_model() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 3)),
            keras.layers.Rescaling(1.0),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def with_layer(path: Path, layer: dict[str, Any], before: dict[str, Any] | None = None) -> None:
    """A `.keras` file whose second layer is `layer`, and before it another."""
    sound_model().save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    layers = config["config"]["layers"]
    layers[1:2] = [one for one in (before, layer) if one is not None]
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def serialized(module: str | None, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def lambda_layer(path: Path, mark: Path) -> None:
    config = {"name": "l", "function": bytecode(mark), "arguments": {}, "output_shape": None}
    with_layer(path, serialized("keras.layers", "Lambda", config))


def lambda_layer_after_switching_safety_off(path: Path, mark: Path) -> None:
    switch = serialized("keras.config", "enable_unsafe_deserialization", {})
    config = {"name": "l", "function": bytecode(mark), "arguments": {}, "output_shape": None}
    with_layer(path, serialized("keras.layers", "Lambda", config), before=switch)


def switch_as_activation(path: Path, mark: Path) -> None:
    switch = {
        "module": "keras.config",
        "class_name": "function",
        "config": "enable_unsafe_deserialization",
        "registered_name": "function",
    }
    first = serialized("keras.layers", "Activation", {"name": "a", "activation": switch})
    config = {"name": "l", "function": bytecode(mark), "arguments": {}, "output_shape": None}
    with_layer(path, serialized("keras.layers", "Lambda", config), before=first)


def function_of_any_module(path: Path, mark: Path) -> None:
    with_layer(path, serialized("os", "mkdir", {"path": str(mark)}))


def function_as_activation(path: Path, mark: Path) -> None:
    run = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "function",
    }
    with_layer(path, serialized("keras.layers", "Activation", {"name": "a", "activation": run}))


def class_of_any_module(path: Path, mark: Path) -> None:
    config = {"args": ["touch", str(mark)]}
    with_layer(path, serialized("subprocess", "Popen", config))


def pickle_of_torch(path: Path, mark: Path) -> None:
    packed = base64.b64encode(pickle.dumps(Bomb(mark))).decode()
    config = {"name": "t", "module": {"class_name": "__bytes__", "config": {"value": packed}}}
    with_layer(path, serialized("keras.layers", "TorchModuleWrapper", config))


def saved_model_of_any_place(path: Path, mark: Path) -> None:
    config = {"name": "t", "filepath": str(mark.parent / "elsewhere"), "call_endpoint": "serve"}
    with_layer(path, serialized("keras.layers", "TFSMLayer", config))


def vocabulary_of_this_machine(path: Path, mark: Path) -> None:
    config = {"name": "s", "vocabulary": "/etc/passwd", "max_tokens": None}
    with_layer(path, serialized("keras.layers", "StringLookup", config))


def lambda_in_hdf5(path: Path, mark: Path) -> None:
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 3)),
            keras.layers.Lambda(lambda x: x, output_shape=(8, 8, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.save(path)
    import h5py

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Lambda":
                layer["config"]["function"] = bytecode(mark)
        file.attrs["model_config"] = json.dumps(config)


def zip_entry_outside(path: Path, mark: Path) -> None:
    sound_model().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"../{mark.name}", "x")
        archive.writestr(f"assets/../../{mark.name}", "x")
        archive.writestr(str(mark), "x")


CARRIERS: list[Any] = [
    (lambda_layer, "model.keras"),
    (lambda_layer_after_switching_safety_off, "model.keras"),
    (switch_as_activation, "model.keras"),
    (function_of_any_module, "model.keras"),
    (function_as_activation, "model.keras"),
    (class_of_any_module, "model.keras"),
    (pickle_of_torch, "model.keras"),
    (saved_model_of_any_place, "model.keras"),
    (vocabulary_of_this_machine, "model.keras"),
    (lambda_in_hdf5, "model.h5"),
]


@pytest.mark.filterwarnings("ignore")  # Keras' remarks on its older format
@pytest.mark.parametrize(
    ("carrier", "name"), CARRIERS, ids=lambda one: getattr(one, "__name__", "")
)
def test_code_in_a_keras_file_does_not_run(edgebee, tmp_path, carrier, name):
    mark = tmp_path / "it-ran"
    path = tmp_path / name
    carrier(path, mark)
    (tmp_path / "labels.txt").write_text("ants\nbees\n")
    mark.unlink(missing_ok=True)  # making the file may have called it
    done = edgebee("convert", path, "--quantize", "float32", "--data", "sample")
    assert not mark.exists(), "code from the file was run"
    assert done.status == 1, done
    assert "Traceback" not in done.err
    assert len([line for line in done.errors if line.startswith("Error: ")]) == 1
    assert not list(tmp_path.glob("*.tflite"))


def test_what_a_keras_file_says_does_not_flood_the_line_that_refuses_it(edgebee, tmp_path):
    path = tmp_path / "model.keras"
    with_layer(path, serialized("keras.layers", "a" * 10_000, {}))
    (tmp_path / "labels.txt").write_text("ants\nbees\n")
    done = edgebee("convert", path, "--quantize", "float32", "--data", "sample")
    assert done.status == 1, done
    (line,) = [line for line in done.errors if line.startswith("Error: ")]
    assert "aaa" in line
    assert len(line.replace(str(path), "")) < 400  # 200 of what Keras says, the rest is ours


def test_names_in_a_keras_zip_are_no_paths(edgebee, tmp_path):
    folder, mark = tmp_path / "in", tmp_path / "it-ran"
    folder.mkdir()
    zip_entry_outside(folder / "model.keras", mark)
    (folder / "labels.txt").write_text("ants\nbees\n")
    done = edgebee("convert", folder / "model.keras", "--quantize", "float32", "--data", "sample")
    assert done.status in (0, 1)
    assert not mark.exists()


@pytest.mark.parametrize("megabytes", [64, pytest.param(4096, marks=pytest.mark.slow)])
def test_a_keras_zip_bomb_is_refused(edgebee, tmp_path, megabytes):
    path = tmp_path / "model.keras"
    sound_model().save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in files.items():
            if inside == "config.json":
                with archive.open(inside, "w", force_zip64=True) as file:
                    for _ in range(megabytes // 16):
                        file.write(b" " * (1 << 24))
                    file.write(content)
            else:
                archive.writestr(inside, content)
    path.write_bytes(packed.getvalue())
    (tmp_path / "labels.txt").write_text("ants\nbees\n")
    done = edgebee("convert", path, "--quantize", "float32", "--data", "sample")
    assert done.status == 1
    assert "Traceback" not in done.err
