"""Checkpoints: where a training that was interrupted goes on.

After every epoch the variables of the model and of its optimizer, and the epochs so far,
are written to one file in the output folder. Which images an epoch shows depends on the
seed and the epoch alone, and what the frozen base gives for them is always the same, so a
resumed training ends with the weights of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgebee.errors import TrainingError
from edgebee.files import write_bytes
from edgebee.photos.dataset import Dataset
from edgebee.run import Epoch
from edgebee.train.recipe import Recipe

__all__ = ["Checkpoint", "Checkpoints", "can_resume", "clear_checkpoint"]

_FILE_NAME = ".checkpoint.npz"

_LAYOUT = 5
"""What the variables are and their order; another number whenever a training stores others."""


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch."""

    epochs: tuple[Epoch, ...]
    variables: tuple[npt.NDArray[Any], ...]
    """Of the phase's model and its optimizer, in their order."""


class Checkpoints:
    """The checkpoint file of one output folder.

    Args:
        folder: the output folder.
        recipe: the settings; a checkpoint of others is refused.
        dataset: the photos; a checkpoint of others is refused.
    """

    def __init__(self, folder: Path, recipe: Recipe, dataset: Dataset) -> None:
        self.path = folder / _FILE_NAME
        self.fingerprint = _fingerprint(recipe, dataset)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the state, replacing the one before."""
        buffer = io.BytesIO()
        header = {
            "layout": _LAYOUT,
            "fingerprint": self.fingerprint,
            "epochs": [asdict(epoch) for epoch in checkpoint.epochs],
        }
        arrays = {f"{place:04d}": array for place, array in enumerate(checkpoint.variables)}
        np.savez(buffer, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
        write_bytes(self.path, buffer.getvalue())

    def load(self) -> Checkpoint:
        """Read the state.

        Raises:
            TrainingError: there is none, or it is of another training or version of edgebee.
        """
        again = "leave --resume out to start again"
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                header = json.loads(str(stored["header"]))
                names = sorted(name for name in stored.files if name != "header")
                variables = tuple(stored[name] for name in names)
        except FileNotFoundError as error:
            raise TrainingError(
                f"{self.path.parent}: no interrupted training there; {again}"
            ) from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise TrainingError(f"{self.path}: damaged; {again}") from error
        if header.get("layout") != _LAYOUT:
            raise TrainingError(f"{self.path}: made by another version of edgebee; {again}")
        if header["fingerprint"] != self.fingerprint:
            raise TrainingError(
                f"{self.path.parent}: the interrupted training had other settings or photos; "
                f"give the same ones, or {again}"
            )
        return Checkpoint(tuple(Epoch(**epoch) for epoch in header["epochs"]), variables)


def clear_checkpoint(folder: Path) -> None:
    """Remove the state of a training in `folder`, which is finished."""
    (folder / _FILE_NAME).unlink(missing_ok=True)


def can_resume(folder: Path, recipe: Recipe, dataset: Dataset) -> bool:
    """Whether an interrupted training of these settings and photos is in `folder`."""
    try:
        Checkpoints(folder, recipe, dataset).load()
    except TrainingError:
        return False
    return True


def _fingerprint(recipe: Recipe, dataset: Dataset) -> str:
    """A hash of the settings and of every photo's name, class and size."""
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for photos in (dataset.train, dataset.validation):
        lines: Sequence[str] = [
            f"{path.relative_to(dataset.root).as_posix()}\t{label}\t{path.stat().st_size}\n"
            for path, label in zip(photos.paths, photos.classes, strict=True)
        ]
        digest.update("".join(lines).encode() + b"\n")
    return digest.hexdigest()
