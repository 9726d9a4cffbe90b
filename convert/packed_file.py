"""Check a model file that was just written, before it gets its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgebee.edge.classify import Classifier, ModelError, read_manifest, selftest
from edgebee.errors import ConversionError

__all__ = ["check_packed"]

MAX_DIFFERENCE = 1e-4
"""The same file on the same machine a moment ago: at most a sum in another order."""


def check_packed(path: Path) -> None:
    """Check with the runner's own readers that a file is whole and predicts what it records.

    Raises:
        ConversionError: something in it is missing, damaged or not as recorded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ModelError(f"{path}: {damaged} in it is damaged")
        labels, recorded = Classifier(path).labels, read_manifest(path).get("labels")
        tested = selftest(path)
    except (zipfile.BadZipFile, ModelError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ConversionError(f"{path}: was not written whole ({reason}); convert again") from error
    if list(labels) != recorded:
        raise ConversionError(
            f"{path}: has the labels {', '.join(labels[:8])} inside, but was verified with others"
        )
    if not tested.difference <= MAX_DIFFERENCE:
        raise ConversionError(
            f"{path}: its golden samples score {tested.difference:.3g} away from what was just "
            "recorded; convert again"
        )
