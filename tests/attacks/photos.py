"""Damaged pictures against the runner's decoder and the look that `data check` takes.

    python tests/attacks/photos.py --count 100000

Every picture ends in pixels or in one line that says what is wrong; never in a traceback, a
crash, words from a library, more than 5 s of CPU time or more than 512 MB. Exit status 1 when
one ends otherwise; `--keep DIR` keeps such files. The same seed gives the same pictures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from children import Report, attack
from pictures import Picture, bombs, make_pictures, mutate
from PIL import __version__ as pillow_version
from PIL import features

from edgebee.edge.classify import PhotoError, read_photo, silence_decoder_warnings
from edgebee.photos.image_stats import inspect_photo

__all__ = ["attack_photos", "look_at"]

SIZE = (224, 224)


def look_at(content: bytes, file: Path) -> str:
    """Read a picture as runner and `data check` do; say what came of it.

    Raises:
        Exception: whatever those should not have raised, or AssertionError for an answer
            that is none.
    """
    file.write_bytes(content)
    try:
        pixels = read_photo(content, SIZE)
        assert (pixels.shape, pixels.dtype) == ((*SIZE, 3), np.uint8)
        outcome = "read"
    except PhotoError as error:
        _check_line(str(error))
        outcome = "refused"
    look = inspect_photo(file)
    _check_line(look.fault)
    assert len(look.digest) == 32
    return outcome


def _check_line(message: str) -> None:
    assert message.isprintable(), repr(message)
    assert len(message) < 300, repr(message)
    assert " at 0x" not in message, "an object's address"


def _make_bombs() -> list[Picture]:
    """The bombs, made in another process: making them takes the memory that is counted here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(bombs).result()


def attack_photos(
    count: int,
    seed: int = 0,
    *,
    keep: Path | None = None,
    with_bombs: bool = False,
    show: bool = False,
) -> Report:
    """Try `count` damaged pictures of all kinds, and the bombs."""
    silence_decoder_warnings()  # as the command line does
    pictures, large = make_pictures(), _make_bombs() if with_bombs else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "photo.jpg")

        def content(case: int) -> bytes:
            return _content(case, seed, pictures, large)

        def every(report: Report) -> None:
            if show:
                print(f"\r{report}", end="", file=sys.stderr, flush=True)

        report = attack(
            range(-len(large), count), lambda case: look_at(content(case), file), every=every
        )
        for fault in report.faults if keep else ():
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{seed}-{fault.case}.bin").write_bytes(content(fault.case))
    return report


def _content(case: int, seed: int, pictures: Sequence[Picture], large: Sequence[Picture]) -> bytes:
    """The picture of a case; those below zero are bombs."""
    if case < 0:
        return large[-case - 1].content
    return mutate(random.Random(f"{seed} {case}"), pictures)[1]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=100_000, help="pictures (default: 100000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that break something")
    args = parser.parse_args()
    report = attack_photos(args.count, args.seed, keep=args.keep, with_bombs=True, show=True)
    codecs = ", ".join(
        f"{name} {features.version(name)}" for name in ("jpg", "zlib", "libtiff", "webp")
    )
    print(f"\n{report}\nPillow {pillow_version}, {codecs}")
    for fault in report.faults[:50]:
        print(f"--- case {fault.case} of seed {args.seed}: {fault.what}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
