"""A benchmark that is over soon, for the tests of the command, and what it left."""

from pathlib import Path

import msgspec

from edgebee.benchmarks.measure.results import Results

ROUNDS, PHOTOS = 2, 6
SHORT = ("--rounds", str(ROUNDS), "--photos", str(PHOTOS))
"""Options of `edgebee benchmark`."""


def read_results(path: Path) -> Results:
    """The content of a `benchmark.json`."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
