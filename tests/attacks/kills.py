"""Kill edgebee at random moments, most of them around the writing of files, and run it again.

    python tests/attacks/kills.py --count 210

`train`, `convert`, `benchmark`, `classify --watch`, `archive`, the drawing of the sample and the
download are ended by SIGKILL, then run to their end. Afterwards no file under a final name is half
written, nothing of the killed run is left, and the results are those of a run that was left in
peace. Exit status 1 when not. The same seed gives the same moments, as far as a clock allows.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from kill_targets import TARGETS, download_target
from killing import Kill, attack_target

SHARES = {
    "train": 3,
    "convert": 3,
    "benchmark": 3,
    "watch": 5,
    "archive": 5,
    "sample": 1,
    "download": 6,
}
"""How the kills are shared out: the download is quick."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=210, help="kills in all (default: 210)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SHARES, action="append", help="(repeatable)")
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    shares = {name: SHARES[name] for name in args.only or SHARES}
    faults = 0
    with download_target() as download:
        for name, share in shares.items():
            count = max(1, round(args.count * share / sum(shares.values())))
            target = download if name == "download" else TARGETS[name]
            started = time.monotonic()
            kills = attack_target(target, count, args.seed, every=_show)
            bad = [kill for kill in kills if kill.fault]
            faults += len(bad)
            seconds = time.monotonic() - started
            print(f"\n{name}: {count} kills, {len(bad)} faults, {seconds:.0f} s")
            for fault, number in Counter(kill.fault for kill in bad).items():
                moment = next(kill.moment for kill in bad if kill.fault == fault)
                print(f"--- {number} times, first {moment}: {fault}")
    return 1 if faults else 0


def _show(kill: Kill) -> None:
    print("x" if kill.fault else ".", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
