"""Damaged models against every command that opens them.

    python tests/attacks/models.py --count 10000

`.tflite` files are damaged in their flatbuffer, in the zip behind it, or cut; `.keras` files in
their zip, or inside it with the checksums made right again. Each goes through one of the
commands, which must end in an answer or in one line; never in a traceback or a crash. Exit
status 1 when one ends otherwise; `--keep DIR` keeps such files.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import struct
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from children import Report, attack
from kills import prepare_converted
from pictures import EDGES

__all__ = ["COMMANDS", "attack_models", "damage_keras", "damage_tflite"]

CPU_SECONDS = 120
"""TensorFlow takes some to load, once in each child."""
MEMORY_MB = 4096
"""TensorFlow's."""
COMMANDS: dict[str, tuple[int, list[str]]] = {
    "classify": (60, ["classify", "-m", "{tflite}", "photos/ants/0.jpg"]),
    "inspect": (14, ["inspect", "{tflite}"]),
    "doctor": (14, ["doctor", "{tflite}"]),
    "convert": (10, ["convert", "{keras}", "--quantize", "float32"]),
    "benchmark": (2, ["benchmark", "out"]),
}
"""Command -> its share of the cases in percent, and its words."""


# ---------------------------------------------------------------------------- damages


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
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for inside, data in files.items():
            archive.writestr(inside, data)
    return packed.getvalue()


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


def known_commands() -> dict[str, tuple[int, list[str]]]:
    """Those of `COMMANDS` that this edgebee has."""
    from edgebee.cli import COMMANDS as HAD

    return {name: value for name, value in COMMANDS.items() if name in HAD}


def attack_models(
    count: int,
    seed: int = 0,
    *,
    only: Sequence[str] = (),
    keep: Path | None = None,
    show: bool = False,
) -> Report:
    """Try `count` damaged models, each with one command."""
    commands = {n: v for n, v in known_commands().items() if not only or n in only}
    names, shares = list(commands), [share for share, _ in commands.values()]
    with tempfile.TemporaryDirectory(prefix="edgebee-models-") as temporary:
        folder = Path(temporary)
        prepare_converted(folder)
        sound = {path.name: path.read_bytes() for path in (folder / "out").glob("model*.*")}
        os.chdir(folder)

        def draw(case: int) -> tuple[str, str, bytes]:
            """The command of a case, the file that it damages, and what is in it then."""
            chance = random.Random(f"{seed} {case}")
            command = chance.choices(names, shares)[0]
            keras = command == "convert" or (command == "benchmark" and chance.random() < 0.3)
            name = "model.keras" if keras else chance.choice(sorted(sound.keys() - {"model.keras"}))
            return command, name, (damage_keras if keras else damage_tflite)(chance, sound[name])

        def try_case(case: int) -> str:
            for name, content in sound.items():
                Path("out", name).write_bytes(content)
            command, name, content = draw(case)
            Path("out", name).write_bytes(content)
            path = f"out/{name}"
            words = [word.format(tflite=path, keras=path) for word in commands[command][1]]
            return f"{command} {_run(words)}"

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


def _run(words: list[str]) -> str:
    """Run a command line in this process; say whether it answered or refused."""
    from edgebee.cli import edgebee

    said, err = io.StringIO(), io.StringIO()
    status: Any = None
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(err):
        try:
            edgebee(words, prog_name="edgebee")
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
    assert all(line.isprintable() and len(line) < 1000 for line in errors), talk[-1500:]
    return "refused"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=10_000, help="models (default: 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS, action="append", default=[])
    parser.add_argument("--keep", type=Path, help="folder for the files that break something")
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    keep = args.keep and args.keep.absolute()
    report = attack_models(args.count, args.seed, only=args.only, keep=keep, show=True)
    print(f"\n{report}")
    for fault in report.faults[:50]:
        print(f"--- case {fault.case} of seed {args.seed}: {fault.what}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
