"""TensorFlow is started quietly; no line of edgebee is lost, and nothing ever hangs."""

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


def test_a_standard_error_that_is_somebody_elses_stays_theirs():
    # Its lines once went past a notebook, or a program that had put its own in place.
    command = [sys.executable, "-c", REDIRECTED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "a line\n"
    assert done.stderr == ""


WRITES_WITH_THE_LOCK = """
import ctypes, os, threading
from edgebee.tensorflow_runtime import start_tensorflow
start_tensorflow()
# A PyDLL keeps the interpreter's lock during a call, as TensorFlow's converter does.
line = b"I0000 00:00:1795884595.574565   17445 port.cc:153] chatter\\n" + b"a native line\\n"
write = ctypes.PyDLL(None).write
for _ in range(10):
    content = line * 1000
    assert write(2, content, len(content)) == len(content)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="calls write() of the C library")
def test_native_code_that_writes_megabytes_under_the_lock_does_not_hang():
    # A pipe holds 64 kB, and the thread that empties it would wait for the lock.
    done = subprocess.run(
        [sys.executable, "-c", WRITES_WITH_THE_LOCK],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stderr.splitlines() == ["a native line"] * 10_000
