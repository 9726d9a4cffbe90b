"""TensorFlow is started quietly, and no line of edgebee is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("tensorflow", reason="needs edgebee[train]")

REDIRECTED = """
import contextlib, io, sys
from edgebee.tensorflow_runtime import start_tensorflow
said = io.StringIO()
with contextlib.redirect_stderr(said):
    start_tensorflow()
    print("a line", file=sys.stderr)
print(said.getvalue(), end="")
"""


@pytest.mark.slow
def test_a_standard_error_that_is_somebody_elses_stays_theirs():
    # Its lines once went past a notebook, or a program that had put its own in place.
    command = [sys.executable, "-c", REDIRECTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "a line\n"
    assert done.stderr == ""
