"""What the tests of the benchmark share."""

from __future__ import annotations

import pytest
from examples import make_results  # beside this file

from edgebee.benchmarks.results import Results


@pytest.fixture
def example() -> Results:
    """Two photos wrong with int8, one with Keras; four times as fast."""
    return make_results()
