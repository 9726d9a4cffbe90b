"""What follows a prediction: the photo is annotated, saved, moved to its label's folder."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from edgebee.edge.classify import PhotoError, Prediction
from edgebee.edge.station import annotation, photo_store

if TYPE_CHECKING:
    from edgebee.edge.station.camera import Frame

__all__ = ["annotate_photo", "move_classified", "move_linked", "save_frame"]

_log = logging.getLogger("edgebee.edge.station")


def annotate_photo(
    photo: Path, result: Prediction | PhotoError, folder: Path, below: Path | None = None
) -> None:
    """Write a photo with its prediction drawn on; a photo that is unreadable is passed over.

    With `below`, it is written to `folder` as the photo lies in `below`, over an older one;
    else under a new name. A photo too large to be held in full is written smaller.

    Raises:
        PhotoStoreError: it could not be written.
    """
    if isinstance(result, PhotoError):
        return
    try:
        pixels = annotation.full_pixels(photo)
    except PhotoError as error:
        _log.warning("%s: not annotated: %s", photo, error)
        return
    image = annotation.annotate(pixels, annotation.caption(result))
    write = functools.partial(annotation.save_jpeg, image)
    name = photo.name if photo.suffix.lower() in {".jpg", ".jpeg"} else f"{photo.name}.jpg"
    inside = photo.relative_to(below).parent if below else ""
    photo_store.save_photo(folder / inside, name, write, replace=bool(below))


def move_classified(photo: Path, result: Prediction | PhotoError, folder: Path) -> Path | None:
    """Move a photo to its label's folder; returns where it is then, None if it is unreadable.

    Raises:
        PhotoStoreError: it could not be moved; it is where it was.
    """
    if isinstance(result, PhotoError):
        return None
    return photo_store.move_photo(photo, folder / photo_store.folder_name(result.label))


def move_linked(results: Iterable[tuple[Path, Prediction | PhotoError]], folder: Path) -> None:
    """Move links, and photos that they lead to: the links lead there afterwards.

    Raises:
        PhotoStoreError: one could not be moved; it is where it was.
    """
    listed = [(photo, result, os.path.realpath(photo)) for photo, result in results]
    links: list[tuple[Path, str]] = []
    moved: dict[str, Path] = {}
    for photo, result, real in listed:
        is_link = photo.is_symlink()
        place = move_classified(photo, result, folder)
        if place and is_link:
            links.append((place, real))
        elif place:
            moved[real] = place
    for link, real in links:
        photo_store.lead_to(link, moved.get(real, Path(real)))


def save_frame(
    frame: Frame, prediction: Prediction, folder: Path, *, annotated: bool = False
) -> Path:
    """Write a frame as JPEG, named by its time and label, perhaps annotated; returns the file.

    Raises:
        PhotoStoreError: it could not be written.
    """
    text = annotation.caption(prediction)
    pixels = frame.pixels
    image = annotation.annotate(pixels, text) if annotated else Image.fromarray(pixels)
    write = functools.partial(annotation.save_jpeg, image)
    return photo_store.save_photo(folder, _frame_name(frame, prediction), write)


def _frame_name(frame: Frame, prediction: Prediction) -> str:
    when = frame.when.replace(":", "-").zfill(10)  # names in the order of time, of films too
    return f"{when}_{photo_store.folder_name(prediction.label)}.jpg"
