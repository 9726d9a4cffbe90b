"""Damaged models against every command that opens them.

    python tests/attacks/models.py --count 10000
    PYTHONPATH=src OTHER_PYTHON tests/attacks/models.py --start DIR --only lone

`.tflite` files are damaged in their flatbuffer, in the zip behind it, or cut, some under a hash
that is made right again, so that only their structure can tell; `.keras` files in their zip, or
inside it under right checksums. Each goes through one of the
commands, which must end in an answer or in one line; never in a traceback or a crash. Exit
status 1 when one ends otherwise; `--keep DIR` keeps such files. `lone` is `edge/classify.py`. A
Python with another runtime and without TensorFlow starts from a folder that `--start` has made.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from children import Report, attack
from kill_targets import prepare_converted
from pictures import EDGES

__all__ = ["COMMANDS", "attack_models", "damage_keras", "damage_network", "damage_tflite"]

CPU_SECONDS = 120
"""TensorFlow takes some to load, once in each child."""
MEMORY_MB = 4096
"""TensorFlow's."""
COMMANDS: dict[str, tuple[int, list[str]]] = {
    "classify": (40, ["classify", "-m", "{tflite}", "photos/ants/0.jpg"]),
    "lone": (28, ["-m", "{tflite}", "photos/ants/0.jpg"]),
    "inspect": (14, ["inspect", "{tflite}"]),
    "doctor": (8, ["doctor", "{tflite}"]),
    "convert": (8, ["convert", "{keras}", "--quantize", "float32"]),
    "benchmark": (2, ["benchmark", "out"]),
}
"""Command -> its share of the cases in percent, and its words."""
REHASHED = 0.4
"""Of the damaged `.tflite` files, but for `lone`: SECURITY.md says that it trusts the hash."""


# ---------------------------------------------------------------------------- damages


def damage_network(chance: random.Random, content: bytes) -> bytes:
    """Damage the flatbuffer of a `.tflite` file, under a hash that is right all the same."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = min(entry.header_offset for entry in archive.infolist())
        files = {name: archive.read(name) for name in archive.namelist()}
    network = damage_tflite(chance, content[:start])
    manifest = json.loads(files["edgebee.json"])
    manifest["network"] = {
        "bytes": len(network),
        "sha256": hashlib.sha256(network).hexdigest(),
        "crc32": zlib.crc32(network),
    }
    files["edgebee.json"] = json.dumps(manifest).encode()
    return network + _zipped(files)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def damage_tflite(chance: random.Random, content: bytes) -> bytes:
    """Damage a `.tflite` file: mostly its tables, which lie before and behind the weights."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        where = chance.random()
        low, high = 0, len(data)
        if where < 0.35:
            high = min(high, 4096)
        elif where < 0.8:
            low = max(0, high - 60_000)
        _damage_at(chance, data, chance.randrange(low, max(low + 1, high)))
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


def _damage_at(chance: random.Random, data: bytearray, place: int) -> None:
    kind = chance.randrange(5)
    if kind == 0:
        data[place] ^= 1 << chance.randrange(8)
    elif kind in (1, 2):  # sizes and offsets of flatbuffers are 32-bit and aligned
        place &= ~3
        if place + 4 <= len(data):
            struct.pack_into("<I", data, place, chance.choice(EDGES) & 0xFFFFFFFF)
    elif kind == 3:
        length = chance.choice((4, 64, 1024))
        data[place : place + length] = bytes(len(data[place : place + length]))
    else:
        data[place : place + 8] = chance.randbytes(len(data[place : place + 8]))


def damage_keras(chance: random.Random, content: bytes) -> bytes:
    """Damage a `.keras` file: its zip, or one of the files in it, under a right checksum."""
    if chance.random() < 0.3:
        return damage_tflite(chance, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(sorted(files))
    if name.endswith(".json") and chance.random() < 0.7:
        tree = json.loads(files[name])
        _damage_tree(chance, tree)
        files[name] = json.dumps(tree).encode()
    elif chance.random() < 0.1:
        del files[name]
    else:
        files[name] = damage_tflite(chance, files[name])
    return _zipped(files)


ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 31, 1 << 70, 1e308, float("nan"), "", "Lambda", "os", "__class__",
    "a" * 10_000, [], {}, [[]], "keras.src.utils", "builtins", {"class_name": "__lambda__"},
)  # fmt: skip


def _damage_tree(chance: random.Random, tree: Any) -> None:
    """Put something else in some place of a JSON tree, or take it away."""
    while True:
        keys: Sequence[Any] = list(tree) if isinstance(tree, dict) else range(len(tree))
        if not keys:
            return
        key = chance.choice(keys)
        inner = tree[key]
        if not isinstance(inner, (dict, list)) or chance.random() < 0.1:
            break
        tree = inner
    if chance.random() < 0.2:
        del tree[key]
    else:
        tree[key] = chance.choice(ODD_VALUES)


# ---------------------------------------------------------------------------- the attack


def attack_models(
    count: int,
    seed: int = 0,
    *,
    only: Sequence[str] = (),
    start: Path | None = None,
    keep: Path | None = None,
    show: bool = False,
) -> Report:
    """Try `count` damaged models, each with one command; `start` holds sound ones, or shall."""
    commands = {name: value for name, value in COMMANDS.items() if not only or name in only}
    names, shares = list(commands), [share for share, _ in commands.values()]
    with tempfile.TemporaryDirectory(prefix="edgebee-models-") as temporary:
        folder = Path(temporary, "folder")
        _prepare(folder, start)
        sound = {path.name: path.read_bytes() for path in (folder / "out").glob("model*.*")}
        os.chdir(folder)

        def draw(case: int) -> tuple[str, str, bytes]:
            """The command of a case, the file that it damages, and what is in it then."""
            chance = random.Random(f"{seed} {case}")
            command = chance.choices(names, shares)[0]
            keras = command == "convert" or (command == "benchmark" and chance.random() < 0.3)
            name = "model.keras" if keras else chance.choice(sorted(sound.keys() - {"model.keras"}))
            rehashed = command != "lone" and chance.random() < REHASHED
            damage = damage_network if rehashed else damage_tflite
            return command, name, (damage_keras if keras else damage)(chance, sound[name])

        def try_case(case: int) -> str:
            command, damaged, content = draw(case)
            for path in Path("out").glob("model*.*"):  # what the case before left
                if path.name not in sound:
                    path.unlink()
            for name, whole in {**sound, damaged: content}.items():
                if Path("out", name).read_bytes() != whole:
                    Path("out", name).write_bytes(whole)
            path = f"out/{damaged}"
            words = [word.format(tflite=path, keras=path) for word in commands[command][1]]
            return f"{command} {_run(words, lone=command == 'lone')}"

        def every(report: Report) -> None:
            if show:
                print(f"\r{report}", end="", file=sys.stderr, flush=True)

        report = attack(
            range(count), try_case, cpu_seconds=CPU_SECONDS, memory_mb=MEMORY_MB, batch=200,
            every=every,
        )  # fmt: skip
        os.chdir("/")
        for fault in report.faults if keep else ():
            keep.mkdir(parents=True, exist_ok=True)
            command, name, content = draw(fault.case)
            (keep / f"{seed}-{fault.case}-{command}-{name}").write_bytes(content)
    return report


def _prepare(folder: Path, start: Path | None) -> None:
    """Photos and sound models in `folder`: those of `start`, or new ones, which go there then."""
    if start and start.is_dir():
        shutil.copytree(start, folder)
        return
    folder.mkdir()
    prepare_converted(folder)
    if start:
        shutil.copytree(folder, start)


def _run(words: list[str], *, lone: bool) -> str:
    """Run a command line in this process; say whether it answered or refused."""
    from edgebee.cli import edgebee
    from edgebee.edge import classify

    said, err = io.StringIO(), io.StringIO()
    status: Any = None
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(err):
        try:
            status = classify.main(words) if lone else edgebee(words, prog_name="edgebee")
        except SystemExit as end:
            status = end.code
    talk = err.getvalue()
    assert "Traceback" not in talk, talk[-1500:]
    if status == 0:
        return "answered"
    errors = [line for line in talk.splitlines() if line.lower().startswith("error: ")]
    assert status == 1, f"status {status}: {talk[-500:]}"
    # What doctor and inspect find, they may say as their result.
    assert errors or said.getvalue(), "it failed without a word"
    lines = talk.splitlines()
    assert all(line.isprintable() and len(line) < 1000 for line in lines), talk[-1500:]
    return "refused"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=10_000, help="models (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS, action="append", default=[])
    parser.add_argument("--start", type=Path, help="folder of sound models, made if there is none")
    parser.add_argument("--keep", type=Path, help="folder for the files that break something")
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    start, keep = args.start and args.start.absolute(), args.keep and args.keep.absolute()
    report = attack_models(args.count, args.seed, only=args.only, start=start, keep=keep, show=True)
    print(f"\n{report}")
    for fault in report.faults[:50]:
        print(f"--- case {fault.case} of seed {args.seed}: {fault.what}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
