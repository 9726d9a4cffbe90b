"""A written model file, read back before it gets its name."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from edgebee.convert.golden import enlarge
from edgebee.convert.manifest import MANIFEST_NAME
from edgebee.edge.classify import Classifier, ModelError, invoke
from edgebee.errors import ConversionError

__all__ = ["check_packed"]


def check_packed(path: Path) -> None:
    """Prove that a file is whole and answers as it says.

    Everything comes from the file itself: labels, manifest, golden samples and their scores.

    Raises:
        ConversionError: something in it is missing, damaged or not as it says.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise ConversionError(f"{path}: {damaged} in it is damaged; convert it again")
            manifest = json.loads(archive.read(MANIFEST_NAME))
            samples = manifest["golden"]["samples"]
            pictures = [archive.read(sample["file"]) for sample in samples]
        classifier = Classifier(path)
    except (zipfile.BadZipFile, KeyError, ModelError) as error:
        reason = str(error).removeprefix(f"{path}: ").strip("'\"")
        raise ConversionError(f"{path}: was not written whole ({reason}); convert again") from error
    if list(classifier.labels) != manifest["labels"]:
        raise ConversionError(
            f"{path}: has the labels {', '.join(classifier.labels[:8])} inside, not those that "
            f"were verified: {', '.join(manifest['labels'][:8])}"
        )
    for sample, picture in zip(samples, pictures, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(picture)))
        scores = invoke(classifier.interpreter, enlarge(pixels, classifier.size))
        difference = float(np.abs(scores - np.float32(sample["scores"]["xnnpack"])).max())
        # The same file on the same machine a moment ago: only the number of threads may differ.
        if not difference <= 1e-4:
            raise ConversionError(
                f"{path}: {sample['file']} in it scores {difference:.3g} away from what was "
                "recorded; convert again"
            )
